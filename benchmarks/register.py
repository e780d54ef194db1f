"""How long the register's list and heat map take among 100,000 risks.

    python -m benchmarks.register [--risks 100000] [--rounds 40]

A scratch database ``bench_register`` is made on the server of ``DATABASE_URL``, filled by SQL (three scores for each risk, two
matrices, twenty scopes), and dropped at the end. Measured are whole answers of the site, as Django's test client gets them,
for a risk manager, who sees all, and for a support manager, who sees two scopes: the list with several filters and searches,
and the heat map. Import and export have their own measurements.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)  # instead of this folder, whose names must not hide modules
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ["LOG_LEVEL"] = "ERROR"
os.environ["DEBUG"] = "false"

_RISKS = """
    INSERT INTO register_risk (
        reference, source, scope_id, title, description, cause, consequence, evidence, owner_role, status, treatment,
        proximity, severity, recorded_at, version, next_review_on
    )
    SELECT 'B-' || n, 'bench:' || n, (SELECT min(id) FROM core_scope) + n %% 20, 'Risk of ' || md5(n::text) || ' in store ' || n,
        repeat('What it is. ', 20), '', '', '[]', 'Risk Manager', CASE WHEN n %% 10 = 0 THEN 'closed' ELSE 'open' END,
        'mitigate', '', 0, now(), 1, current_date + n %% 200 - 20
    FROM generate_series(1, %s) AS n
"""
_RATINGS = """
    INSERT INTO register_rating (risk_id, kind, matrix_id, probability, impact, level, severity, reason, rated_at, latest)
    SELECT id, kind, %s, p, i, (%s::jsonb -> (p - 1)::int) ->> (i - 1)::int, round(100.0 * p * i / 25), 'Seen.', now(), true
    FROM register_risk CROSS JOIN unnest(ARRAY['inherent', 'current', 'residual']) WITH ORDINALITY AS kinds(kind, place)
    CROSS JOIN LATERAL (SELECT 1 + (id * 7 + place) %% 5 AS p, 1 + (id / 5 + place * 3) %% 5 AS i) AS steps
"""
_SEVERITY = """
    UPDATE register_risk SET severity = rating.severity
    FROM register_rating AS rating WHERE rating.risk_id = register_risk.id AND rating.kind = 'current'
"""
PAGES = (
    ("list, worst first", "/admin/register/risk/"),
    ("list, severity 70 or more", "/admin/register/risk/?severity=70"),
    ("list, review overdue", "/admin/register/risk/?review=overdue"),
    ("list, a word of the title", "/admin/register/risk/?q=store+4711"),
    ("list, one cell of the heat map", "/admin/register/risk/?cell=current-{version}-5-5"),
    ("heat map", "/admin/register/risk/heat-map/"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--risks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    from benchmarks.benchmarks_database import scratch_database

    with scratch_database(os.environ["DATABASE_URL"], "bench_register"):
        version = fill(options.risks)
        print(f"{options.risks:,} risks, {options.rounds} rounds; milliseconds: median, 95 %, longest")
        for who in ("Risk Manager", "Support Manager"):
            for words, address in PAGES:
                times = measure(who, address.format(version=version), options.rounds)
                p95 = times[int(len(times) * 0.95) - 1]
                print(f"{who:<16} {words:<32} {statistics.median(times):7.1f} {p95:7.1f} {times[-1]:7.1f}", flush=True)


def fill(risks: int) -> int:
    """Fill the database; the key of the matrix version that scores are of."""
    import json

    from django.contrib.auth.models import Group
    from django.db import connection
    from guardian.shortcuts import assign_perm

    from apps.core.models import Scope, User
    from apps.register import matrices

    scopes = [Scope.objects.create(slug=f"bench-{n}", name=f"Bench {n}") for n in range(20)]
    for role in ("Risk Manager", "Support Manager"):
        user = User.objects.create(username=role, email=f"{role[:4]}@example.com", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        for scope in scopes[:2] if role == "Support Manager" else ():
            assign_perm("core.work_in_scope", user, scope)
    version = matrices.in_force(matrices.FIVE)
    with connection.cursor() as cursor:
        cursor.execute(_RISKS, [risks])
        cursor.execute(_RATINGS, [version.pk, json.dumps(version.data["cells"])])
        cursor.execute(_SEVERITY)
        cursor.execute("VACUUM ANALYZE register_risk, register_rating")
    return int(version.pk)


def measure(who: str, address: str, rounds: int) -> list[float]:
    """Milliseconds of each answer, the shortest first; the first two only warm up."""
    from django.test import Client

    from apps.core.models import User

    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get(username=who))
    times = []
    for place in range(rounds + 2):
        begun = time.perf_counter()
        answer = client.get(address)
        answer.render() if hasattr(answer, "render") and not answer.is_rendered else None
        if answer.status_code != 200:
            raise SystemExit(f"{address} answers {answer.status_code}")
        if place >= 2:
            times.append((time.perf_counter() - begun) * 1000)
    return sorted(times)


if __name__ == "__main__":
    main()
