"""How long the minute sweep takes among a million open clocks, and among ten times as many.

    python benchmarks/escalation.py [--clocks 1000000 10000000] [--due 1000] [--rounds 7]

For each number a scratch database ``bench_escalation`` is made on the server of ``DATABASE_URL``, filled by SQL, and dropped
at the end. In each round other clocks become due: flags of level 5 that nobody acknowledged, in twenty scopes. Measured is
the whole sweep: claiming, telling (inbox rows, e-mails to be sent, timelines, decision log) and advancing, up to its commits.
Beside it: a sweep that finds nothing due, and the straightforward version that looks at each clock in a transaction of its
own, on a tenth of the due ones.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)  # instead of this folder, whose names must not hide modules
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ["LOG_LEVEL"] = "ERROR"
os.environ["DEBUG"] = "false"
NAME = "bench_escalation"
NOW = datetime(2026, 3, 11, 12, 0, tzinfo=UTC)
SCOPES = 20
PER_FLAG = 40  # clocks of a flag, none of which is due: more than it ever has, which only makes the table smaller

_FLAGS = """
    INSERT INTO escalation_riskflag (
        scope_id, level, status, step, title, description, indicator, affected_customers, frequency, impact, containment,
        communications, "references", source, evidence, version, raised_at, step_since
    )
    SELECT (SELECT min(id) FROM core_scope) + n %% {scopes}, 5, 'open', 'escalated', 'Flag ' || n, 'Why.', '', '', '', '',
        '', '', '[]', 'bench:' || n, '[]', 1, %s, %s
    FROM generate_series(1, %s) AS n
"""
_CLOCKS = """
    INSERT INTO escalation_clock (
        flag_id, target, step, calendar_id, allowed, status, rung, started_at, due_at, next_deadline_at, trace
    )
    SELECT flag.id, CASE WHEN n <= 20 THEN 'step' ELSE 'acknowledge' END, 's' || n, %s, '5 minutes', 'running', 0, %s, at, at,
        '[{{"kind": "due", "on": "2026-03-11", "text": "Due Wed 11 Mar 12:00 UTC", "minutes": 0}}]'
    FROM escalation_riskflag AS flag
    CROSS JOIN generate_series(1, {per_flag}) AS n
    CROSS JOIN LATERAL (SELECT %s + interval '1 day' + random() * interval '90 days' AS at OFFSET n * 0) AS times
"""
_OF_DUE = """
    INSERT INTO escalation_clock (
        flag_id, target, step, calendar_id, allowed, status, rung, started_at, due_at, next_deadline_at, trace
    )
    SELECT id, 'acknowledge', 'escalated', %s, '5 minutes', 'running', 0, %s, %s, %s, '[]'
    FROM escalation_riskflag ORDER BY id LIMIT %s
"""
_DUE = """
    UPDATE escalation_clock SET next_deadline_at = %s - random() * interval '1 minute'
    WHERE id IN (SELECT id FROM escalation_clock WHERE step = 'escalated' ORDER BY id LIMIT %s OFFSET %s)
"""


def scratch(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def administer(url: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(scratch(url, "postgres"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]  # built from constants


def fill(size: int, ready: int) -> None:
    """Migrate and fill the scratch database."""
    from django.core.management import call_command
    from django.db import connection

    from apps.escalation import calendars

    call_command("migrate", verbosity=0)
    people()
    always = calendars.always().pk
    before = NOW - timedelta(hours=1)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; SET maintenance_work_mem = '512MB'")
        flags = max(size // PER_FLAG, ready)
        cursor.execute(_FLAGS.format(scopes=SCOPES), [before, before, flags])
        cursor.execute(_CLOCKS.format(per_flag=size // flags), [always, before, NOW])
        cursor.execute(_OF_DUE, [always, before, NOW + timedelta(days=1), NOW + timedelta(days=1), ready])
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")  # or the writing out of the fill would be counted as the sweep's


def people() -> None:
    """A lead and a manager for each scope, directors and risk managers for all."""
    from django.contrib.auth.models import Group
    from guardian.shortcuts import assign_perm

    from apps.core.models import Scope, User
    from apps.core.roles import Role

    def person(role: Role, name: str, scope: Scope | None = None) -> None:
        one = User.objects.create(username=name, email=f"{name}@example.com", is_staff=True)
        one.groups.add(Group.objects.get(name=role.value))
        if scope:
            assign_perm("core.work_in_scope", one, scope)

    for number in range(SCOPES):
        scope = Scope.objects.create(slug=f"scope-{number}", name=f"Scope {number}")
        person(Role.TEAM_LEAD, f"lead{number}", scope)
        person(Role.SUPPORT_MANAGER, f"manager{number}", scope)
    for number in range(2):
        person(Role.SUPPORT_DIRECTOR, f"director{number}")
        person(Role.RISK_MANAGER, f"risk{number}")


def measure(due: int, rounds: int) -> None:
    """Sweep what becomes due, round after round."""
    from django.db import connection

    from apps.escalation.models import Clock
    from apps.escalation.sweep import sweep

    def timed(batch: int, expected: int) -> tuple[float, float]:
        begun, worked = time.perf_counter(), time.process_time() + of_backend()
        swept = sweep(now=NOW, batch=batch)
        took = time.perf_counter() - begun, time.process_time() + of_backend() - worked
        assert (swept.clocks, swept.failed) == (expected, 0), swept
        return took

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        statistics_of_backend = Path(f"/proc/{cursor.fetchone()[0]}/stat")

    def of_backend() -> float:
        """Processor time of the database's process for us, in seconds; it runs on this machine."""
        ticks = statistics_of_backend.read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def become_due(number: int, offset: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_DUE, [NOW, number, offset])

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_size_pretty(pg_total_relation_size('escalation_clock'))")
        print(f"  {Clock.objects.count():,} open clocks, {cursor.fetchone()[0]} with indexes", flush=True)
    report("nothing due", [timed(500, 0) for _ in range(rounds)])
    for batch in (500, 1000):
        results = []
        for number in range(rounds):
            become_due(due, number * due)
            results.append(timed(batch, due))
        report(f"{due:,} due, batches of {batch}", results)
    become_due(due // 10, 0)
    one = timed(1, due // 10)
    report(f"{due:,} due, one at a time, extrapolated", [(one[0] * 10, one[1] * 10)])


def report(what: str, results: list[tuple[float, float]]) -> None:
    walls, works = zip(*results, strict=True)
    middle: Callable[..., float] = statistics.median
    print(
        f"  load {os.getloadavg()[0]:4.1f}  {what:<40} median {middle(walls):6.3f} s, least {min(walls):6.3f}, most {max(walls):6.3f}; "
        f"processor, this process and the database's {middle(works):6.3f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clocks", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--due", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        import django

        django.setup()
        begun = time.perf_counter()
        fill(options.inside, options.due * options.rounds)
        print(f"filled in {time.perf_counter() - begun:.0f} s, load {os.getloadavg()[0]:.1f}", flush=True)
        measure(options.due, options.rounds)
        return
    url = os.environ["DATABASE_URL"]
    for size in options.clocks:
        administer(url, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)", f"CREATE DATABASE {NAME}")
        try:
            arguments = ["--inside", str(size), "--due", str(options.due), "--rounds", str(options.rounds)]
            ours = os.environ | {"DATABASE_URL": scratch(url, NAME)}
            subprocess.run([sys.executable, __file__, *arguments], check=True, env=ours)
        finally:
            administer(url, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


if __name__ == "__main__":
    main()
