"""How long calculating the risk of subscriptions takes, and how that grows.

    python benchmarks/subscriptions.py [--sizes 10000 100000 1000000] [--batches 100 1000 5000] [--attempts 12 12 6]

For each size a scratch database ``bench_subscriptions`` is made on the server of ``DATABASE_URL``, filled by SQL, and
dropped at the end. Measured, each in a process of its own, so that its peak memory is its own: the first recalculation of
all with the default batch size, which writes every score; that of the next day with each batch size; one calculation
through the service; the straightforward version (load the objects of one subscription, judge, save) on a sample of the
same rows, extrapolated; and predicting the next renewal of each, beside the straightforward way. Attempts lie in the table in the order of their days, not of their subscriptions, as they would.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)  # instead of this folder, whose names must not hide modules
NAME = "bench_subscriptions"
NOW = datetime(2026, 3, 11, 2, 0, tzinfo=UTC)
PLAIN = 1_000
SINGLE = 300

# Of a hundred subscriptions about five come to HIGH and eleven to MEDIUM. Every fifth renewal was paid only by its second
# try.
FILL = {
    "core_user": """
        INSERT INTO core_user (id, username, password, first_name, last_name, email, is_staff, is_active, is_superuser,
            date_joined)
        SELECT i, 'owner' || i, '!', '', '', 'owner' || i || '@example.com', false, true, false, {now} FROM generate_series(1, {size} / 2) i""",
    "core_scope": "INSERT INTO core_scope (id, slug, name) SELECT i, 'org' || i, 'Org ' || i FROM generate_series(1, 50) i",
    "subscriptions_subscription": """
        INSERT INTO subscriptions_subscription (id, scope_id, owner_id, name, price, currency, interval, renews_on, status,
            balance_source, payment_method, next_attempt_reason, created_at, updated_at)
        SELECT md5('s' || i)::uuid, 1 + i % 50, 1 + i / 2 % ({size} / 2), 'Plan ' || i, 5 + i % 90, 'USD', 'monthly',
            {now}::date + (i % 28)::int, 'active', 'api', '', '', {now} - interval '2 years', {now}
        FROM generate_series(1, {size}) i""",
    "subscription_renewal_attempts": """
        INSERT INTO subscription_renewal_attempts (id, subscription_id, renewal_on, number, attempt_date, amount, currency,
            success, error_message, decline_code, decline_kind, recorded_at)
        SELECT gen_random_uuid(), md5('s' || i)::uuid, day, number, day + interval '9 hours', 5 + i % 90, 'USD', ok, '',
            CASE WHEN ok THEN '' ELSE '51' END, CASE WHEN ok THEN '' ELSE 'soft' END, day
        FROM generate_series({attempts} - 1, 0, -1) n, generate_series(1, {size}) i,
            LATERAL (SELECT CASE WHEN n % 5 = 3 THEN 2 ELSE 1 END AS number,
                            {now}::date - 5 - 30 * (n + (n % 5 = 3)::int) - (i % 28)::int AS day,
                            NOT (n % 5 = 4 OR (n < 1 AND i % 100 < 4) OR (n < 2 AND i % 100 IN (4, 5)) OR (n < 3 AND i % 100 = 6)) AS ok) tried""",
    "subscription_approvals": """
        INSERT INTO subscription_approvals (id, subscription_id, user_id, approval_type, expires_at, status, created_at)
        SELECT gen_random_uuid(), id, owner_id, 'renewal',
            {now} + CASE WHEN hashtext(id::text) % 100 IN (7, 8, 9, 10) THEN interval '-1 day' ELSE interval '90 days' END,
            'active', {now} - interval '1 year'
        FROM subscriptions_subscription""",
    "subscriptions_accountbalance": """
        INSERT INTO subscriptions_accountbalance (subscription_id, amount, currency, as_of)
        SELECT id, round(price * CASE WHEN hashtext(name) % 100 < -94 THEN 0.5 WHEN hashtext(name) % 100 < -82 THEN 1.1 ELSE 3 END, 2),
            'USD', {now} - interval '1 day'
        FROM subscriptions_subscription""",
}  # fmt: skip


def start_django(url: str) -> None:
    os.environ.update(DATABASE_URL=url, DJANGO_SETTINGS_MODULE="config.settings", LOG_LEVEL="ERROR", DEBUG="false")
    import django

    django.setup()


def scratch(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def administer(url: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(scratch(url, "postgres"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]  # built from constants


def fill(size: int, attempts: int) -> None:
    """Migrate and fill the scratch database; indexes other than keys are built after the rows."""
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    values = {"now": f"'{NOW.isoformat()}'::timestamptz", "size": size, "attempts": attempts}
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; SET maintenance_work_mem = '512MB'")
        later = _without_indexes(cursor)
        for table, statement in FILL.items():
            begun = time.monotonic()
            cursor.execute(statement.format(**values))
            print(f"  {table:<32} {cursor.rowcount:>12,} rows {time.monotonic() - begun:6.1f} s", flush=True)
        begun = time.monotonic()
        for statement in later:
            cursor.execute(statement)
        cursor.execute("VACUUM ANALYZE")
        print(f"  {'indexes and statistics':<32} {'':>17} {time.monotonic() - begun:6.1f} s", flush=True)


_INDEXES = """
    SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),
        format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE contype = 'u' AND conrelid = ANY(%s::regclass[])
    UNION ALL
    SELECT format('DROP INDEX %%I', indexname), indexdef FROM pg_indexes JOIN pg_class ON relname = indexname
    WHERE tablename = ANY(%s) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = pg_class.oid)
"""


def _without_indexes(cursor: Any) -> list[str]:
    """Drop the indexes and unique constraints of the filled tables; the statements that make them again."""
    tables = [table for table in FILL if table.startswith("subscription")]
    cursor.execute(_INDEXES, [tables, tables])
    found = cursor.fetchall()
    for drop, _ in found:
        cursor.execute(drop)
    return [make for _, make in found]


def recalculate(day: int, batch_size: int) -> dict[str, Any]:
    """A whole run, as of so many days later."""
    from django.conf import settings

    from apps.subscriptions.recalculation import request_run, work

    settings.CELERY_TASK_ALWAYS_EAGER = True
    begun = time.monotonic()
    run = work(request_run(trigger="command", now=NOW + timedelta(days=day), batch_size=batch_size))
    seconds = time.monotonic() - begun
    return {
        "seconds": seconds, "done": run.succeeded, "failed": run.failed, "changed": run.changed,
        "per second": round(run.succeeded / seconds),
    }  # fmt: skip


def single() -> dict[str, Any]:
    """Calculations of one subscription each, through the service."""
    from apps.subscriptions.models import Subscription
    from apps.subscriptions.services import recalculate as calculate

    ids = list(Subscription.objects.values_list("pk", flat=True)[: SINGLE + 20])
    times = []
    for number, one in enumerate(ids):
        begun = time.monotonic()
        calculate([one], now=NOW + timedelta(days=2, seconds=number))
        times.append((time.monotonic() - begun) * 1000)
    cuts = statistics.quantiles(times[20:], n=100)
    return {
        "seconds": sum(times) / 1000,
        "median ms": round(statistics.median(times[20:]), 2),
        "p95 ms": round(cuts[94], 2),
    }


def plain(size: int) -> dict[str, Any]:
    """The straightforward version on a sample: one subscription after the other, by the ORM, scores and history saved."""
    from apps.subscriptions.models import RiskScore, RiskScoreHistory, Subscription

    sample = list(Subscription.objects.values_list("pk", flat=True)[:PLAIN])
    begun = time.monotonic()
    for one in sample:
        subscription = Subscription.objects.select_related("owner", "balance").get(pk=one)
        renewals: dict[Any, bool] = {}
        for attempt in subscription.renewal_attempts.order_by("-attempt_date"):
            renewals[attempt.renewal_on] = renewals.get(attempt.renewal_on, False) or attempt.success
        failures = 0
        for day in sorted(renewals, reverse=True):
            if renewals[day]:
                break
            failures += 1
        approved = subscription.approvals.filter(status="active", approval_type="renewal", expires_at__gt=NOW).exists()
        share = subscription.balance.amount / subscription.price
        weights = [
            10 if failures >= 3 else 5 if failures else 0,
            0 if share >= 1.2 else 5 if share >= 1 else 10,
            0 if approved else 10,
        ]
        level = "HIGH" if max(weights) >= 10 else "MEDIUM" if max(weights) >= 5 else "LOW"
        factors = [
            {"factor_type": name, "weight": "", "weight_value": weight, "details": {"failures": failures}}
            for name, weight in zip(("failures", "balance", "approval"), weights, strict=True)
        ]
        before = RiskScore.objects.filter(subscription=subscription).first()
        RiskScore.objects.update_or_create(
            subscription=subscription,
            defaults={
                "user": subscription.owner, "risk_level": level, "risk_factors": factors, "total_weight": sum(weights),
                "last_calculated_at": NOW, "rule_version": "plain",
            },
        )  # fmt: skip
        if before is None or before.risk_level != level:
            RiskScoreHistory.objects.create(
                subscription=subscription,
                calculated_at=NOW,
                risk_level=level,
                risk_factors=factors,
                rule_version="plain",
            )
    seconds = time.monotonic() - begun
    return {"seconds": seconds * size / len(sample), "sample": len(sample), "per second": round(len(sample) / seconds)}


def forest() -> Any:
    """A model of the size that training makes, of chance: how long predicting takes does not depend on what was learned."""
    import numpy as np

    from apps.subscriptions.prediction.features import FEATURES
    from apps.subscriptions.prediction.learn import Data, learn

    random = np.random.default_rng(1)
    rows = random.random((6_000, len(FEATURES)))
    failed = random.random(len(rows)) < 0.1 + 0.25 * rows[:, 1]
    data = Data(rows=rows, failed=failed, at=np.arange(len(rows), dtype=float), names=tuple(FEATURES), settle=0)
    return learn(data, threshold=0.99).model


def predictions() -> dict[str, Any]:
    """The chance that the next renewal fails, for all."""
    import tempfile

    from django.conf import settings

    from apps.subscriptions.models import RenewalModel
    from apps.subscriptions.prediction import predict, store

    with tempfile.TemporaryDirectory() as folder:
        settings.RENEWAL_MODEL_DIR = folder
        name, digest = store.write(forest(), 1)
        RenewalModel.objects.create(
            version=1, file=name, sha256=digest, trained_at=NOW, rows=0, metrics={}, observed_until=NOW, active=True,
            threshold=0.99,
        )  # fmt: skip
        cpu, begun = time.process_time(), time.monotonic()
        done = predict.predict_all(now=NOW).subscriptions
    seconds = time.monotonic() - begun
    return {"seconds": seconds, "done": done, "predicting cpu": round(time.process_time() - cpu, 2)}


def plain_predictions(size: int) -> dict[str, Any]:
    """The same for one subscription after the other by the ORM, on a sample."""
    import numpy as np

    from apps.subscriptions.models import RenewalModel, RenewalPrediction, Subscription
    from apps.subscriptions.prediction.features import INTERVAL_DAYS, Try, known, values

    model, version = forest(), RenewalModel.objects.get()
    sample = list(Subscription.objects.values_list("pk", flat=True)[:PLAIN])
    cpu, begun = time.process_time(), time.monotonic()
    for pk in sample:
        one = Subscription.objects.get(pk=pk)
        days = INTERVAL_DAYS[one.interval]
        tries = [
            Try(each.renewal_on, each.attempt_date, each.success, each.decline_kind == "hard", float(each.amount))
            for each in one.renewal_attempts.filter(attempt_date__lt=NOW)
        ]
        row = np.array([values(known(tries, at=NOW, interval_days=days), amount=float(one.price), interval_days=days)])
        chance = float(model.predict(row)[0][0])
        wanted = {"model": version, "chance": chance, "renewal_on": one.renews_on, "predicted_at": NOW}
        RenewalPrediction.objects.update_or_create(subscription=one, defaults=wanted)
    part = size / len(sample)
    cpu = (time.process_time() - cpu) * part
    return {"seconds": (time.monotonic() - begun) * part, "sample": len(sample), "predicting cpu": round(cpu, 2)}


def backend_seconds() -> float | None:
    """Processor time of this connection's server process, where it runs on this machine."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        process = Path(f"/proc/{cursor.fetchone()[0]}/stat")
    if not process.exists():
        return None
    ticks = process.read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def measured(url: str, name: str, *numbers: int) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--url", url, "--measure", name, *map(str, numbers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


MEASURES = {
    "run": recalculate, "single": single, "plain": plain, "predict": predictions, "plain predict": plain_predictions,
}  # fmt: skip


def report(title: str, result: dict[str, Any]) -> None:
    rest = {key: value for key, value in result.items() if key not in ("seconds", "mb")}
    print(f"  {title:<46} {result['seconds']:8.2f} s {result['mb']:5.0f} MB  {rest}", flush=True)


def run(url: str, size: int, attempts: int, batches: list[int]) -> None:
    target = scratch(url, NAME)
    administer(url, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)", f"CREATE DATABASE {NAME}")
    try:
        print(f"{size:,} subscriptions, {attempts} attempts each", flush=True)
        command = [sys.executable, __file__, "--url", target, "--fill", str(size), str(attempts)]
        subprocess.run(command, check=True)
        report(f"first recalculation, batches of {batches[0]:,}", measured(target, "run", 0, batches[0]))
        for day, batch in enumerate(batches, start=1):
            report(f"the next day, batches of {batch:,}", measured(target, "run", day, batch))
        report(f"one at a time, {SINGLE} of them", measured(target, "single"))
        report("straightforward, extrapolated", measured(target, "plain", size))
        report("predicting all next renewals", measured(target, "predict"))
        report("straightforward, extrapolated", measured(target, "plain predict", size))
    finally:
        administer(url, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--attempts", type=int, nargs="+", default=[12, 12, 6], help="of each subscription, by size")
    parser.add_argument("--batches", type=int, nargs="+", default=[100, 1_000, 5_000], help="subscriptions in one")
    parser.add_argument("--url", default=os.environ.get("DATABASE_URL", ""), help="of the server (DATABASE_URL)")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--fill", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill or options.measure:
        start_django(options.url)
    if options.fill:
        fill(*options.fill)
    elif options.measure:
        name, *numbers = options.measure
        started = time.process_time()
        result = MEASURES[name](*map(int, numbers))
        result["cpu"] = {"here": round(time.process_time() - started, 2), "database": backend_seconds()}
        result["mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(result))
    else:
        for place, size in enumerate(options.sizes):
            run(options.url, size, options.attempts[min(place, len(options.attempts) - 1)], options.batches)


if __name__ == "__main__":
    main()
