"""Scores: computed from facts, stored with their history, and told.

A batch is one transaction with a constant number of queries. It holds the rows of its scores while it gathers the facts,
so that two calculations of one subscription take turns, and none by older facts overwrites one by newer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from uuid import UUID

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, transaction
from django.utils import timezone

from apps.actions.models import RuleRun
from apps.actions.rules import Subjects
from apps.actions.runs import run_rules
from apps.subscriptions import metrics, notifications, store
from apps.subscriptions.assess import Assessment, assess
from apps.subscriptions.factors import factor_sets
from apps.subscriptions.facts import gather
from apps.subscriptions.models import RiskLevel, Subscription
from apps.subscriptions.relay import GivenUp, Pace, TurnIsLate

logger = structlog.get_logger(__name__)

LOGGED = 20
"""Up to so many results of one batch are logged one by one; a run over all logs its counts, and each score keeps its own."""
RISK_CHANGED = "subscription.risk_changed"
"""The event after which detectors judge the subscriptions whose level changed, or whose score is HIGH and changed."""
_RANK = {"": 0, RiskLevel.LOW.value: 1, RiskLevel.MEDIUM.value: 2, RiskLevel.HIGH.value: 3}
# The server, the task or the run ends; that says nothing about a subscription, and the whole batch is done again later.
NOT_ITS_FAULT = (OperationalError, SoftTimeLimitExceeded, GivenUp, TurnIsLate)
ALONE = Pace()


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of level.

    Attributes:
        previous: the level before; empty for the first one.
        factors: of the new level, as stored.
    """

    subscription_id: UUID
    previous: str
    level: str
    factors: list[dict[str, object]]


@dataclass(slots=True)
class Batch:
    """What became of a batch.

    Attributes:
        succeeded: subscriptions that were calculated, those among them of which a part failed.
        failed: subscriptions that could not be calculated (their level is LOW by default) or not be stored.
        degraded: scores stored with the mark that something failed.
        changed: scores whose level changed.
        transitions: changes of level that are news. A level that is lower only because something failed is none.
        touched: subscriptions whose level changed, or whose score is HIGH and changed.
    """

    succeeded: int = 0
    failed: int = 0
    degraded: int = 0
    changed: int = 0
    transitions: list[Transition] = field(default_factory=list)
    touched: list[UUID] = field(default_factory=list)

    def add(self, other: Batch) -> None:
        """Take in what became of another batch."""
        for name in ("succeeded", "failed", "degraded", "changed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.transitions += other.transitions
        self.touched += other.touched


def recalculate(
    ids: Iterable[UUID], *, now: datetime, occasion: str = "change", judged: bool = True, pace: Pace = ALONE
) -> Batch:
    """Calculate and store the scores of these subscriptions, whatever their status; unknown ids are passed over.

    If the batch cannot be stored as a whole, each subscription is tried alone, so that one bad one stops no other.

    Args:
        now: the moment that is judged; scores calculated for a later moment are left as they are.
        occasion: ``change``, ``run`` or ``request``, for the metrics.
        judged: whether detectors judge what changed once it is committed; without it the caller or the next sweep does.
        pace: told where the batch stands; it may wait there for another batch.

    Raises:
        OperationalError: if the database is not there, or ended the transaction.
    """
    wanted, begun = sorted(set(ids)), perf_counter()
    try:
        with transaction.atomic():
            batch = _recalculated(wanted, now, pace)
    except NOT_ITS_FAULT:
        raise
    except Exception:  # whichever of them it was, the others must not wait for it
        logger.warning("risk_batch_split", subscriptions=len(wanted), exc_info=True)
        pace.turn()
        batch = Batch()
        for one in wanted:
            batch.add(_alone(one, now))
    seconds = perf_counter() - begun
    # No functools.partial: where a robust callback fails, Django asks for its name.
    transaction.on_commit(lambda: _counted(batch, occasion, seconds), robust=True)
    if judged and batch.touched:
        transaction.on_commit(lambda: judge(batch.touched, now=now), robust=True)
    return batch


def recalculate_after_commit(*ids: UUID) -> None:
    """Calculate these subscriptions in this process once the present transaction is committed.

    What fails is logged and left to the daily run, for the change itself is stored.
    """
    transaction.on_commit(lambda: _recalculate_now(ids), robust=True)


def _recalculate_now(ids: tuple[UUID, ...]) -> None:
    recalculate(ids, now=timezone.now())


def _alone(one: UUID, now: datetime) -> Batch:
    """One subscription; if even that fails, LOW by default."""
    try:
        with transaction.atomic():
            return _recalculated([one], now, ALONE)
    except NOT_ITS_FAULT:
        raise
    except Exception as error:  # see recalculate()
        logger.exception("risk_calculation_failed", subscription=str(one))
        metrics.degraded.labels("calculation").inc()
        reason = f"The calculation failed: {type(error).__name__}: {error}"[:300]
    try:
        with transaction.atomic():
            return _default(one, now, reason)
    except NOT_ITS_FAULT:
        raise
    except Exception:  # nothing can be stored for it: it keeps its former score, and the run counts the failure
        logger.exception("risk_score_not_stored", subscription=str(one))
        return Batch(failed=1)


def _default(one: UUID, now: datetime, reason: str) -> Batch:
    owner = Subscription.objects.filter(pk=one).values_list("owner_id", flat=True).first()
    if owner is None:
        return Batch()
    previous = store.locked([one])
    failed = Assessment(RiskLevel.LOW.value, [], store.NOTHING, True, reason, failed=True)
    return _stored([store.Result(one, owner, failed, "none")], previous, now)


def _recalculated(ids: list[UUID], now: datetime, pace: Pace) -> Batch:
    previous = store.locked(ids)
    pace.locked()
    known = gather(ids, now=now)
    sets = factor_sets({facts.scope_id for facts in known.values()})
    results = []
    for one, facts in known.items():
        factors = sets[facts.scope_id]
        results.append(store.Result(one, facts.owner_id, assess(facts, factors, now=now), factors.label))
    pace.turn()
    return _stored(results, previous, now)


def _stored(results: list[store.Result], previous: dict[UUID, store.Stored], now: datetime) -> Batch:
    batch = Batch()
    touched: list[UUID] = []
    written: list[tuple[store.Result, str | None]] = []
    for result in results:
        before, found = previous.get(result.subscription_id), result.found
        batch.failed += found.failed
        batch.succeeded += not found.failed
        batch.degraded += found.degraded
        if before is not None and before.calculated_at > now:
            continue
        if before is not None and before.says(result):
            touched.append(result.subscription_id)
        elif before is not None and not before.differs(found):
            written.append((result, None))
        else:
            written.append((result, before.level if before else ""))
            batch.changed += before is None or before.level != found.level
            moved = before is not None and before.level != found.level
            if moved or found.level == RiskLevel.HIGH.value:
                batch.touched.append(result.subscription_id)
        if (news := _transition(result, before)) is not None:
            batch.transitions.append(news)
    store.write(touched, written, now)
    for result in results if len(results) <= LOGGED else ():
        found = result.found
        logger.info(
            "risk_calculated", subscription=str(result.subscription_id), level=found.level, degraded=found.degraded
        )
    _tell(batch.transitions, now)
    return batch


def _transition(result: store.Result, before: store.Stored | None) -> Transition | None:
    """The change of level, if it is news.

    It is compared with the level last told too: what was kept back while a part failed, or could not be told, is told at
    the next calculation.
    """
    level, previous = result.found.level, before.level if before else ""
    if before is not None and previous == level:
        if (level == RiskLevel.HIGH.value) == (before.told == RiskLevel.HIGH.value):
            return None
        previous = before.told
    if result.found.degraded and _RANK[level] < _RANK[previous]:
        return None  # that nothing bad was found is no good news if not all was looked at
    return Transition(result.subscription_id, previous, level, result.found.factors)


def _tell(transitions: Collection[Transition], now: datetime) -> None:
    """Tell of the changes in the transaction that stores them, if need be one by one.

    What cannot be told stands open in ``last_notified_risk_level``, and the next calculation tries again.
    """
    transitions = [one for one in transitions if RiskLevel.HIGH.value in (one.level, one.previous)]
    if not transitions:
        return
    try:
        with transaction.atomic():
            notifications.tell_of_transitions(transitions, now=now)
    except NOT_ITS_FAULT:
        raise
    except Exception:  # a score that is stored is worth more than news of it
        if len(transitions) == 1:
            logger.exception("risk_not_told", subscription=str(transitions[0].subscription_id))
            metrics.degraded.labels("notification").inc()
            return
        for one in transitions:
            _tell([one], now)


def _counted(batch: Batch, occasion: str, seconds: float) -> None:
    """Count a batch that is committed."""
    done = batch.succeeded + batch.failed
    metrics.calculations.labels(occasion, "succeeded").inc(batch.succeeded)
    metrics.calculations.labels(occasion, "failed").inc(batch.failed)
    if done:
        metrics.calculation_seconds.labels(occasion).observe(seconds / done)
    for news in batch.transitions:
        metrics.transitions.labels(news.previous or "none", news.level).inc()


def judge(touched: Collection[UUID], *, now: datetime) -> None:
    """Let the detectors judge what :attr:`Batch.touched` names. Call it outside of transactions."""
    subjects = Subjects(frozenset(f"subscription:{one}" for one in touched))
    run_rules(now=now, trigger=RuleRun.Trigger.EVENT, subjects=subjects, events=frozenset({RISK_CHANGED}))
