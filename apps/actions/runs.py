"""Running rules: each by itself, one run of a rule at a time, and a record of how it went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection, transaction
from django.utils import timezone

from apps.actions import metrics
from apps.actions.freshness import last_good_runs
from apps.actions.models import RuleRun
from apps.actions.reconcile import Reconciled, Territory, reconcile
from apps.actions.rules import Rule, Subjects
from apps.actions.rules import rules as registry
from apps.actions.versions import current_version, parsed_settings
from apps.core.models import Scope

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
    scope: Scope | None = None,
    dry_run: bool = False,
) -> list[RuleRun]:
    """Judge by rules and reconcile their cards. A failing rule stops no other and resolves none of its cards.

    A sweep judges the present, so whatever happened during a downtime is found by the first one after it; a rule that is
    judged once a day is judged by the first sweep of each day (UTC). A rule that another sweep is judging is skipped.
    Scopes that are judged as of a moment of their own are passed by, unless one of them is asked for.

    Args:
        now: the moment that is judged.
        trigger: of :class:`RuleRun.Trigger`. What a command finds is recorded at the present time, whatever ``now``.
        rules: slugs; None for all that a sweep judges. Named rules are judged even if they were today.
        subjects: what an event touched; None for everything.
        events: with these only rules that listen to one of them are judged.
        scope: judge only what belongs to it; such a run is no sweep.
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
    asked = _Asked(now, trigger, subjects, _territory(scope), named=rules is not None or scope is not None)
    found = []
    for rule in chosen:
        run = _run(rule, asked, dry_run=dry_run)
        if run is not None:
            found.append(run)
    return found


def _longest_waiting_first(chosen: list[Rule]) -> list[Rule]:
    """In this order a sweep that a hanging rule brought to the task's time limit does not starve the same rules each time."""
    last = last_good_runs(rule.slug for rule in chosen)
    return sorted(chosen, key=lambda rule: last[rule.slug].timestamp() if rule.slug in last else 0.0)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every rule of one call is asked to judge."""

    now: datetime
    trigger: str
    subjects: Subjects | None
    territory: Territory
    named: bool

    @property
    def is_sweep(self) -> bool:
        return self.subjects is None and self.territory.only is None


def _territory(scope: Scope | None) -> Territory:
    if scope is not None:
        return Territory(only=scope.pk)
    return Territory(without=frozenset(Scope.objects.exclude(judged_as_of=None).values_list("pk", flat=True)))


def _run(rule: Rule, asked: _Asked, *, dry_run: bool) -> RuleRun | None:
    """One run of one rule; None if it is off, was judged today, or is being judged."""
    if dry_run:
        with transaction.atomic():
            # The same code does the work, and the transaction is taken back: nothing it says can differ from a real run.
            run = _judged(rule, asked)
            transaction.set_rollback(True)
        if run is not None:
            run.pk = None
        return run
    return _judged(rule, asked)


def _judged(rule: Rule, asked: _Asked) -> RuleRun | None:
    version = current_version(rule)
    if not version.enabled:
        return None
    if rule.once_a_day and not asked.named and (asked.subjects is not None or _judged_today(rule, asked.now)):
        return None
    run = RuleRun(rule=rule.slug, version=version, trigger=asked.trigger, as_of=asked.now, started_at=timezone.now())
    with _only_sweep(rule, wanted=asked.is_sweep) as free:
        if not free:
            logger.info("rule_skipped", rule=rule.slug, reason="another sweep is judging it")
            return None
        if asked.is_sweep:
            _bury_dead(rule)
            run.save()  # before the work, so that a worker that dies leaves a trace
        _attempt(rule, run, asked)
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


def _attempt(rule: Rule, run: RuleRun, asked: _Asked) -> None:
    begun = monotonic()
    try:
        with transaction.atomic():
            done = _reconciled(rule, run, asked)
            run.status, run.finished_at = RuleRun.Status.SUCCEEDED, timezone.now()
            run.hits, run.opened, run.updated, run.resolved = done.hits, done.opened, done.updated, done.resolved
            if asked.is_sweep or done.changed:
                run.save()
    except SoftTimeLimitExceeded:
        _fail(run, "The time limit of the task was reached.")
        raise
    except Exception as error:  # a rule may fail in any way, and must not stop the others
        logger.exception("rule_failed", rule=rule.slug)
        _fail(run, f"{type(error).__name__}: {error}")
    metrics.rule_runs.labels(rule.slug, run.trigger, run.status).inc()
    metrics.rule_seconds.labels(rule.slug).observe(monotonic() - begun)


def _reconciled(rule: Rule, run: RuleRun, asked: _Asked) -> Reconciled:
    settings = parsed_settings(rule, run.version)
    with connection.cursor() as cursor:
        # Runs of one rule after events and its sweep take turns, so that none judges by facts older than those by which
        # the one before it reconciled.
        cursor.execute(
            f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"
        )
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_RULE, rule.slug])
    # Whoever judges the past by hand does so now.
    by_hand = asked.trigger == RuleRun.Trigger.COMMAND or asked.territory.only is not None
    return reconcile(
        rule=rule,
        version=run.version,
        hits=rule.detect(now=run.as_of, settings=settings, subjects=asked.subjects),
        now=run.as_of,
        subjects=asked.subjects,
        recorded_at=timezone.now() if by_hand else run.as_of,
        territory=asked.territory,
    )


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
