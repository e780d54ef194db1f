"""How long a sweep over a large shop takes, and how that grows.

    python benchmarks/orders.py [--orders 1000000] [--history 1 10] [--skip-plain]

Makes a scratch database ``bench_orders`` on the server of ``DATABASE_URL``, fills it by SQL with so many orders (100,000 of
them waiting and 50,000 parcels in transit, whatever the history), and drops it at the end. Each measurement runs in a process
of its own, so that its peak memory is its own. Beside the detectors stands the straightforward version: load the objects, loop
over them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)  # instead of this folder, whose names must not hide modules
NAME = "bench_orders"
NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
OPEN_SPAN = 250_000  # of the newest orders two of five wait and one of five is in transit
A_DAY = 1370

TABLES = {
    "orders_customer": """
        INSERT INTO orders_customer (store_id, external_id, email, phone, name, created_at, updated_at)
        SELECT 1, i, 'buyer' || i || '@example.com', '', 'Buyer ' || i, {now} - interval '900 days', {now}
        FROM generate_series(1, {orders} / 5) i""",
    "orders_product": """
        INSERT INTO orders_product (store_id, external_id, title)
        SELECT 1, i, 'Product ' || i FROM generate_series(1, 500) i""",
    # i counts from the newest order back.
    "orders_order": """
        INSERT INTO orders_order (store_id, external_id, number, customer_id, email, currency, total, financial_status,
            fulfillment_status, created_at, updated_at, synced_at, cancelled_at, cancel_reason, shipping_method,
            billing_country, shipping_country, ip_country, billing_name, shipping_name, address_key, ip_key, payment_key, tags)
        SELECT 1, i, '#' || i, buyer, '', 'USD', 20 + (i * 7919) %% 400,
            'paid', CASE WHEN i <= {span} AND i %% 5 < 2 THEN 'unfulfilled' ELSE 'fulfilled' END,
            {now} - i * {gap}, {now} - i * {gap}, {now} - i * {gap},
            CASE WHEN i %% 50 = 3 THEN {now} - i * {gap} + interval '1 hour' END, '', 'standard',
            'US', CASE WHEN i %% 50 = 0 THEN 'CA' ELSE 'US' END, CASE WHEN i %% 80 = 0 THEN 'NG' ELSE 'US' END,
            'Buyer ' || buyer, '', md5('a' || buyer / 2), md5('i' || buyer / 3), md5('p' || buyer), '[]'
        FROM generate_series(1, {orders}::bigint) i, LATERAL (SELECT 1 + abs(hashint8(i)::bigint) %% ({orders} / 5) AS buyer)""",
    "orders_orderline": """
        INSERT INTO orders_orderline (order_id, external_id, product_id, title, quantity, price)
        SELECT o.id, n, 1 + (o.id * n) %% 500, 'Product', 1, 20
        FROM orders_order o, generate_series(1, 2) n WHERE n = 1 OR o.id %% 3 = 0""",
    "orders_fulfillment": """
        INSERT INTO orders_fulfillment (order_id, external_id, status, method, carrier, tracking_number, tracking_url,
            created_at, updated_at, synced_at, delivered_at)
        SELECT id, 1, CASE WHEN external_id::bigint <= {span} AND external_id::bigint %% 5 = 2 THEN 'in_transit' ELSE 'delivered' END,
            'standard', 'Carrier', 'T' || id, '', created_at + interval '1 day', created_at + interval '1 day', created_at,
            CASE WHEN external_id::bigint <= {span} AND external_id::bigint %% 5 = 2 THEN NULL ELSE created_at + interval '4 days' END
        FROM orders_order WHERE fulfillment_status = 'fulfilled' AND cancelled_at IS NULL""",
    "orders_refund": """
        INSERT INTO orders_refund (order_id, store_id, customer_id, external_id, amount, currency, created_at, note, synced_at)
        SELECT id, 1, customer_id, 1, total / 2, 'USD', created_at + (2 + id %% 20) * interval '1 day', '', created_at
        FROM orders_order WHERE id %% 34 = 0 AND created_at + (2 + id %% 20) * interval '1 day' < {now}""",
    "orders_refundline": """
        INSERT INTO orders_refundline (refund_id, external_id, product_id, quantity, amount)
        SELECT id, 1, 1 + order_id %% 500, 1, amount FROM orders_refund""",
    "orders_transaction": """
        INSERT INTO orders_transaction (order_id, refund_id, external_id, kind, status, amount, currency, gateway, error_code,
            created_at)
        SELECT id, NULL::bigint, 1, 'sale', CASE WHEN id %% 200 = 0 THEN 'failure' ELSE 'success' END, total, 'USD', '', '',
            created_at FROM orders_order
        UNION ALL
        SELECT order_id, id, 2, 'refund', 'success', amount, 'USD', '', '', created_at FROM orders_refund""",
    "orders_riskassessment": """
        INSERT INTO orders_riskassessment (order_id, provider, level, recommendation, facts, assessed_at)
        SELECT id, '', 'high', 'cancel', '[]', created_at FROM orders_order WHERE id %% 300 = 0""",
}  # fmt: skip


def start_django(url: str) -> None:
    os.environ.update(DATABASE_URL=url, DJANGO_SETTINGS_MODULE="config.settings", DEBUG="false")
    import django

    django.setup()


def scratch(url: str, name: str) -> str:
    """The same server, another database."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def administer(url: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(scratch(url, "postgres"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]  # built from constants


def fill(orders: int) -> None:
    """Migrate and fill the scratch database; indexes are built after the rows."""
    from django.core.management import call_command
    from django.db import connection, transaction

    from apps.core.models import Scope
    from apps.orders.models import Store

    call_command("migrate", verbosity=0)
    scope = Scope.objects.create(slug="bench", name="Bench")
    Store.objects.create(pk=1, scope=scope, platform="shopify", domain="bench.example.com", name="Bench")
    values = {
        "now": f"'{NOW.isoformat()}'::timestamptz", "orders": orders, "span": min(OPEN_SPAN, orders),
        "gap": f"interval '{86400 / A_DAY:.3f} seconds'",
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; SET maintenance_work_mem = '512MB'")
        cursor.execute(
            "SELECT indexdef, format('DROP INDEX %%I', indexname) FROM pg_indexes JOIN pg_class ON relname = indexname "
            "WHERE tablename = ANY(%s) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = pg_class.oid)",
            [list(TABLES)],
        )
        indexes = cursor.fetchall()
        for _, drop in indexes:
            cursor.execute(drop)
        for table, statement in TABLES.items():
            begun = time.monotonic()
            with transaction.atomic():
                cursor.execute(statement.format(**values).replace("%%", "%"))
            print(f"  {table:<24} {cursor.rowcount:>12,} rows {time.monotonic() - begun:6.1f} s", flush=True)
        begun = time.monotonic()
        for create, _ in indexes:
            cursor.execute(create)
        cursor.execute("VACUUM ANALYZE")
        print(f"  {'indexes and statistics':<24} {'':>17} {time.monotonic() - begun:6.1f} s", flush=True)


def detect() -> dict[str, Any]:
    """Every detector by itself, its hits counted and thrown away."""
    from apps.actions.rules import rules

    rows, whole = {}, time.monotonic()
    for rule in rules:
        if rule.watch:
            continue
        begun = time.monotonic()
        hits = sum(1 for _ in rule.detect(now=NOW, settings=rule.settings(), subjects=None))
        rows[rule.slug] = {"hits": hits, "seconds": round(time.monotonic() - begun, 3)}
    return {"seconds": time.monotonic() - whole, "hits": sum(row["hits"] for row in rows.values()), "rules": rows}


def sweep(minutes: int) -> dict[str, Any]:
    """A whole sweep, cards reconciled and decisions logged."""
    from apps.actions.models import RuleRun
    from apps.actions.runs import run_rules

    begun = time.monotonic()
    runs = run_rules(now=NOW + timedelta(minutes=minutes), trigger=RuleRun.Trigger.SCHEDULE)
    seconds = time.monotonic() - begun
    failed = [f"{run.rule}: {run.error}" for run in runs if run.status != "succeeded"]
    counts = {name: sum(getattr(run, name) for run in runs) for name in ("hits", "opened", "updated", "resolved")}
    slowest = sorted(
        ((round((run.finished_at - run.started_at).total_seconds(), 2), run.rule) for run in runs if run.finished_at),
        reverse=True,
    )[:4]
    return {"seconds": seconds, **counts, "slowest": slowest, "failed": failed}


def plain() -> dict[str, Any]:
    """The straightforward version: load the objects and loop, for the seven rules that the specification names."""
    from apps.orders.models import Fulfillment, Order, Refund, RefundLine

    begun = time.monotonic()
    hits, recent = 0, []
    for order in Order.objects.select_related("customer", "store"):
        if (
            order.fulfillment_status == "unfulfilled"
            and not order.cancelled_at
            and NOW - order.created_at > timedelta(3)
        ):
            hits += 1
        if NOW - order.created_at < timedelta(7):
            recent.append(order)
    for parcel in Fulfillment.objects.select_related("order__customer"):
        if parcel.status == "in_transit" and NOW - parcel.created_at > timedelta(5):
            hits += 1
    refunds = list(Refund.objects.select_related("order", "customer"))
    for days, limit in ((1, 0.05), (7, 0.03)):
        count = sum(NOW - refund.created_at < timedelta(days) for refund in refunds)
        orders = sum(NOW - order.created_at < timedelta(days) for order in recent)
        hits += orders > 0 and count / orders > limit
    customers = Counter(refund.customer for refund in refunds if NOW - refund.created_at < timedelta(90))
    hits += sum(count >= 3 for count in customers.values())
    lines = RefundLine.objects.select_related("refund", "product")
    products = Counter(line.product for line in lines if NOW - line.refund.created_at < timedelta(30))
    hits += sum(count >= 5 for count in products.values())
    hits += sum(refund.amount > 500 and NOW - refund.created_at < timedelta(14) for refund in refunds)
    return {"seconds": time.monotonic() - begun, "hits": hits}


def backend_seconds() -> float | None:
    """Processor time of this connection's server process, where it runs on this machine; without parallel workers."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        process = Path(f"/proc/{cursor.fetchone()[0]}/stat")
    if not process.exists():
        return None
    ticks = process.read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


MEASURES = {"detect": detect, "first": lambda: sweep(0), "again": lambda: sweep(15), "plain": plain}


def measured(name: str, url: str) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--measure", name, "--url", url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def report(title: str, result: dict[str, Any]) -> None:
    rest = {key: value for key, value in result.items() if key not in ("seconds", "rules", "mb") and value}
    print(f"  {title:<42} {result['seconds']:7.2f} s {result['mb']:6.0f} MB  {rest}", flush=True)
    for slug, row in sorted(result.get("rules", {}).items(), key=lambda item: -item[1]["seconds"]):
        print(f"      {slug:<24} {row['seconds']:7.3f} s {row['hits']:>8,} hits")


def run(url: str, orders: int, *, with_plain: bool) -> None:
    target = scratch(url, NAME)
    administer(url, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)", f"CREATE DATABASE {NAME}")
    try:
        print(f"{orders:,} orders over {orders / A_DAY:,.0f} days", flush=True)
        subprocess.run([sys.executable, __file__, "--fill", str(orders), "--url", target], check=True)
        report("all detectors, cards left alone", measured("detect", target))
        report("sweep that opens all cards", measured("first", target))
        report("sweep 15 minutes later", measured("again", target))
        if with_plain:
            report("straightforward: load objects and loop", measured("plain", target))
    finally:
        administer(url, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--history", type=float, nargs="+", default=[1.0, 10.0], help="factors of the number of orders")
    parser.add_argument("--skip-plain", action="store_true", help="without the straightforward version")
    parser.add_argument("--url", default=os.environ.get("DATABASE_URL", ""), help="of the server (DATABASE_URL)")
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    parser.add_argument("--fill", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill or options.measure:
        start_django(options.url)
    if options.fill:
        fill(options.fill)
    elif options.measure:
        result = MEASURES[options.measure]()
        result["cpu"] = {"here": round(time.process_time(), 2), "database": backend_seconds()}
        result["mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(result))
    else:
        for factor in options.history:
            run(
                options.url,
                round(options.orders * factor),
                with_plain=not options.skip_plain and factor == options.history[0],
            )


if __name__ == "__main__":
    main()
