"""Running rules: each by itself, one run of a rule at a time, and a record of how it went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from time import monotonic

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection, transaction
from django.utils import timezone

from apps.actions import metrics
from apps.actions.freshness import last_good_runs
from apps.actions.models import RuleRun, RuleVersion
from apps.actions.reconcile import Reconciled, reconcile
from apps.actions.rules import Rule, Subjects
from apps.actions.rules import rules as registry
from apps.actions.versions import current_version, parsed_settings

logger = structlog.get_logger(__name__)

_SWEEP, _RULE = 7_246_903, 7_246_904  # classes of advisory locks, any two constants
LOCK_TIMEOUT = "60s"
STATEMENT_TIMEOUT = "120s"
"""A query of a rule that takes longer fails the rule, before it costs the others the task's whole time."""
KEPT = timedelta(days=90)
"""How long the records of runs are kept; a sweep writes one for each rule, four times an hour."""


def run_rules(
    *,
    now: datetime,
    trigger: str,
    rules: Iterable[str] | None = None,
    subjects: Subjects | None = None,
    events: frozenset[str] = frozenset(),
    dry_run: bool = False,
) -> list[RuleRun]:
    """Judge by rules and reconcile their cards. A failing rule stops no other and resolves none of its cards.

    A sweep judges the present, so whatever happened during a downtime is found by the first one after it; a rule that is
    judged once a day is judged by the first sweep of each day (UTC). A rule that another sweep is judging is skipped.

    Args:
        now: the moment that is judged.
        trigger: of :class:`RuleRun.Trigger`. What a command finds is recorded at the present time, whatever ``now``.
        rules: slugs; None for all that a sweep judges. Named rules are judged even if they were today.
        subjects: what an event touched; None for everything.
        events: with these only rules that listen to one of them are judged.
        dry_run: say what would happen and write nothing.

    Returns:
        The runs. Those of a dry run, and those after an event that changed nothing, are not in the database.

    Raises:
        KeyError: if there is no such rule.
    """
    chosen = [registry[slug] for slug in rules] if rules is not None else [rule for rule in registry if not rule.watch]
    if events:
        chosen = [rule for rule in chosen if rule.events & events]
    if subjects is None and rules is None:
        chosen = _longest_waiting_first(chosen)
    found = []
    for rule in chosen:
        run = _run(rule, now, trigger, subjects, dry_run=dry_run, named=rules is not None)
        if run is not None:
            found.append(run)
    return found


def _longest_waiting_first(chosen: list[Rule]) -> list[Rule]:
    """In this order a sweep that a hanging rule brought to the task's time limit does not starve the same rules each time."""
    last = last_good_runs(rule.slug for rule in chosen)
    return sorted(chosen, key=lambda rule: last[rule.slug].timestamp() if rule.slug in last else 0.0)


def _run(
    rule: Rule, now: datetime, trigger: str, subjects: Subjects | None, *, dry_run: bool, named: bool
) -> RuleRun | None:
    """One run of one rule; None if it is off, was judged today, or is being judged."""
    if dry_run:
        with transaction.atomic():
            # The same code does the work, and the transaction is taken back: nothing it says can differ from a real run.
            run = _judged(rule, now, trigger, subjects, named=named)
            transaction.set_rollback(True)
        if run is not None:
            run.pk = None
        return run
    return _judged(rule, now, trigger, subjects, named=named)


def _judged(rule: Rule, now: datetime, trigger: str, subjects: Subjects | None, *, named: bool) -> RuleRun | None:
    version = current_version(rule)
    if not version.enabled:
        return None
    if rule.once_a_day and not named and (subjects is not None or _judged_today(rule, now)):
        return None
    run = RuleRun(rule=rule.slug, version=version, trigger=trigger, as_of=now, started_at=timezone.now())
    with _only_sweep(rule, wanted=subjects is None) as free:
        if not free:
            logger.info("rule_skipped", rule=rule.slug, reason="another sweep is judging it")
            return None
        if subjects is None:
            _bury_dead(rule)
            run.save()  # before the work, so that a worker that dies leaves a trace
        _attempt(rule, run, subjects)
    return run


def _bury_dead(rule: Rule) -> None:
    """Mark runs whose worker died. Called while holding the sweep's lock, so none of them can still be under way."""
    dead = RuleRun.objects.filter(rule=rule.slug, status=RuleRun.Status.RUNNING)
    dead.update(
        status=RuleRun.Status.FAILED, finished_at=timezone.now(), error="The worker stopped before the run ended."
    )


def _judged_today(rule: Rule, now: datetime) -> bool:
    runs = RuleRun.objects.filter(rule=rule.slug, status=RuleRun.Status.SUCCEEDED, as_of__date=now.date())
    return runs.exclude(trigger=RuleRun.Trigger.EVENT).exists()


def _attempt(rule: Rule, run: RuleRun, subjects: Subjects | None) -> None:
    begun = monotonic()
    try:
        with transaction.atomic():
            done = _reconciled(rule, run.version, run, subjects)
            run.status, run.finished_at = RuleRun.Status.SUCCEEDED, timezone.now()
            run.hits, run.opened, run.updated, run.resolved = done.hits, done.opened, done.updated, done.resolved
            if subjects is None or done.changed:
                run.save()
    except SoftTimeLimitExceeded:
        _fail(run, "The time limit of the task was reached.")
        raise
    except Exception as error:  # a rule may fail in any way, and must not stop the others
        logger.exception("rule_failed", rule=rule.slug)
        _fail(run, f"{type(error).__name__}: {error}")
    metrics.rule_runs.labels(rule.slug, run.trigger, run.status).inc()
    metrics.rule_seconds.labels(rule.slug).observe(monotonic() - begun)


def _reconciled(rule: Rule, version: RuleVersion, run: RuleRun, subjects: Subjects | None) -> Reconciled:
    settings = parsed_settings(rule, version)
    with connection.cursor() as cursor:
        # Runs of one rule after events and its sweep take turns, so that none judges by facts older than those by which
        # the one before it reconciled.
        cursor.execute(
            f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"
        )
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_RULE, rule.slug])
    hits = rule.detect(now=run.as_of, settings=settings, subjects=subjects)
    recorded_at = timezone.now() if run.trigger == RuleRun.Trigger.COMMAND else run.as_of
    return reconcile(rule=rule, version=version, hits=hits, now=run.as_of, subjects=subjects, recorded_at=recorded_at)


def _fail(run: RuleRun, error: str) -> None:
    run.status, run.finished_at, run.error = RuleRun.Status.FAILED, timezone.now(), error[:4_000]
    run.hits = run.opened = run.updated = run.resolved = 0
    run.save()


def forget_old_runs(now: datetime) -> int:
    """Delete the records of runs that are older than ``KEPT``. Returns how many."""
    deleted, _ = RuleRun.objects.filter(started_at__lt=now - KEPT).delete()
    return deleted


@contextmanager
def _only_sweep(rule: Rule, *, wanted: bool) -> Iterator[bool]:
    """Whether this is the only sweep that judges the rule now; runs after events need not be."""
    if not wanted:
        yield True
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_SWEEP, rule.slug])
        free = bool(cursor.fetchone()[0])
    try:
        yield free
    finally:
        if free:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_SWEEP, rule.slug])
