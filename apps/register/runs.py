"""Running checks: each by itself, each kept as a result, old results thinned out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.core.serializers.json import DjangoJSONEncoder
from django.db import InterfaceError, OperationalError, connection, transaction
from psycopg import errors as pg

from apps.core import versions
from apps.core.redaction import redact
from apps.register import metrics
from apps.register.checking import Check, Finding, checks
from apps.register.models import CheckResult, CheckVersion
from apps.register.probing import RunningSite, Site

logger = structlog.get_logger(__name__)

_RESULT = 7_246_905  # class of advisory locks, any constant
STATEMENT_TIMEOUT = "60s"
"""A query of a check that takes longer fails the check, before it costs the others the task's whole time."""
KEPT_WHOLE = timedelta(days=7)
"""So long every result is kept; then the first of each day, and those that changed the outcome."""
KEPT = timedelta(days=400)
ATTEMPTS = 3
LATE = 2
"""After so many turns without a look a check is late."""
EARLY = 0.1
"""Share of its cadence by which a check may come early, so that a late run does not move all that follow it."""


def run_checks(*, now: datetime, slugs: Iterable[str] | None = None, site: Site | None = None) -> list[CheckResult]:
    """Look at the system by all checks, or by some, and keep what they found.

    A check that raises is kept with the outcome ``error`` and stops no other.

    Checks that are off are passed by.

    Args:
        now: the moment that is judged.
        slugs: of the checks; None for all.
        site: whom the checks ask; None for the running site.

    Raises:
        KeyError: if there is no such check.
        SoftTimeLimitExceeded: if the task's time is over; what was done until then is kept.
    """
    chosen = list(checks) if slugs is None else [checks[slug] for slug in slugs]
    asked = site or RunningSite()
    found = []
    for one in chosen:
        version = versions.current(CheckVersion, one)
        if version.enabled:
            found.append(_kept(one, version, _looked(one, version, now, asked), now))
    metrics.show_failing()
    return found


def due_checks(now: datetime) -> list[str]:
    """Slugs of the checks whose turn it is, the longest waiting first; those that are off have none."""
    last = dict(CheckResult.objects.filter(latest=True).values_list("check_slug", "checked_at"))
    wanted = [checks[slug] for slug in enabled_checks()]
    due = [one for one in wanted if one.slug not in last or now - last[one.slug] >= one.every * (1 - EARLY)]
    return [one.slug for one in sorted(due, key=lambda one: (one.slug in last, last.get(one.slug, now)))]


def enabled_checks() -> list[str]:
    """Slugs of the checks that are not switched off."""
    newest = CheckVersion.objects.order_by("rule", "-number").distinct("rule")
    off = {version.rule for version in newest if not version.enabled}
    return [one.slug for one in checks if one.slug not in off]


def late_checks(now: datetime) -> list[str]:
    """Slugs of the checks that never looked, or missed a whole turn; those that are off miss none."""
    last = dict(CheckResult.objects.filter(latest=True).values_list("check_slug", "checked_at"))
    return [slug for slug in enabled_checks() if slug not in last or now - last[slug] > checks[slug].every * LATE]


@dataclass(frozen=True, slots=True)
class _Looked:
    finding: Finding
    seconds: float


def _looked(one: Check, version: CheckVersion, now: datetime, site: Site) -> _Looked:
    begun = monotonic()
    try:
        finding = _in_one_snapshot(one, version, now, site)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # a check may fail in any way, and must not stop the others
        logger.exception("check_failed", check=one.slug)
        # What a driver or a site says may hold its password, and results are read by many.
        words = f"The check itself failed, so nobody knows: {type(error).__name__}: {redact(str(error), 'log').text}"
        finding = Finding("error", words, {"exception": type(error).__name__})
    seconds = monotonic() - begun
    metrics.check_runs.labels(one.slug, finding.outcome).inc()
    metrics.check_seconds.labels(one.slug).observe(seconds)
    return _Looked(finding, seconds)


def _in_one_snapshot(one: Check, version: CheckVersion, now: datetime, site: Site) -> Finding:
    """Look, and once more where a probe met a row that somebody changed after the snapshot."""
    for _ in range(ATTEMPTS - 1):
        try:
            return _in_a_transaction_taken_back(one, version, now, site)
        except OperationalError as error:
            if not isinstance(error.__cause__, pg.SerializationFailure):
                raise
    return _in_a_transaction_taken_back(one, version, now, site)


def _in_a_transaction_taken_back(one: Check, version: CheckVersion, now: datetime, site: Site) -> Finding:
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        with connection.cursor() as cursor:
            if outermost:
                # One snapshot: rows that are written while a check compares them must not look like a contradiction.
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
        finding = one.look(now=now, settings=versions.parsed(one.settings, version), site=site)
        transaction.set_rollback(True)
    return finding


def _kept(one: Check, version: CheckVersion, looked: _Looked, now: datetime) -> CheckResult:
    """Keep what was found, also where the database ended the session in between, as it does when it restarts."""
    try:
        return _written(one, version, looked, now)
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block:
            raise  # the caller's transaction is gone, and with it what it wrote before
        logger.warning("check_result_written_again", check=one.slug)
        connection.close()
        return _written(one, version, looked, now)


@transaction.atomic
def _written(one: Check, version: CheckVersion, looked: _Looked, now: datetime) -> CheckResult:
    with connection.cursor() as cursor:
        # Two runs at once must not both take the former result for the latest.
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_RESULT, one.slug])
    finding = looked.finding
    former = CheckResult.objects.filter(check_slug=one.slug, latest=True).first()
    if former is not None:
        CheckResult.objects.filter(pk=former.pk).update(latest=False)
    same = former is not None and former.outcome == finding.outcome
    return CheckResult.objects.create(
        check_slug=one.slug,
        outcome=finding.outcome,
        summary=_cut(finding.summary, 500),
        evidence=[_evidence(one, version, finding, now)],
        checked_at=now,
        seconds=round(looked.seconds, 4),
        since=former.since if former is not None and same else now,
    )


def _evidence(one: Check, version: CheckVersion, finding: Finding, now: datetime) -> dict[str, Any]:
    """As entries of cards' evidence are kept, so that the same page shows them."""
    return {
        "source": "riskdesk",
        "requestId": f"check-{one.slug}-{now:%Y%m%d%H%M%S}",
        "query": finding.query or f"check {one.slug}",
        "timestamp": DjangoJSONEncoder().default(now),
        "data": dict(finding.facts) | {"limitsVersion": version.number},
    }


def _cut(text: str, length: int) -> str:
    text = " ".join(text.replace("\0", "").split())
    return text if len(text) <= length else f"{text[: length - 1]}…"


_THIN = """
    DELETE FROM register_checkresult r USING (
        SELECT id, outcome,
               lag(outcome) OVER (PARTITION BY check_slug ORDER BY checked_at, id) AS before,
               row_number() OVER (PARTITION BY check_slug, (checked_at AT TIME ZONE 'UTC')::date ORDER BY checked_at, id) AS turn
        FROM register_checkresult
    ) AS h
    WHERE h.id = r.id AND NOT r.latest AND (
        r.checked_at < %(end)s OR (r.checked_at < %(whole)s AND h.turn > 1 AND h.before IS NOT DISTINCT FROM h.outcome)
    )
"""


def thin_history(now: datetime) -> int:
    """Delete old results: all older than ``KEPT``, and of those older than ``KEPT_WHOLE`` all but the first of each day
    and those that changed the outcome. The latest stays in any case. Returns how many were deleted."""
    with connection.cursor() as cursor:
        cursor.execute(_THIN, {"end": now - KEPT, "whole": now - KEPT_WHOLE})
        return cursor.rowcount
