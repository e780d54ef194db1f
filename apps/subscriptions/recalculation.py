"""Recalculation of all active subscriptions, in batches and in the order of their ids.

A run is a row with a cursor. Each batch's transaction also moves the cursor and the counts, so a run that is killed goes on
after the last batch that was committed, and nothing is done twice. Only one works at a time: it holds an advisory lock
for as long as its connection lives, so a killed one gives it back by itself. Two hands share a run's batches, so that one
is prepared while another is written; they are committed in order (see :mod:`apps.subscriptions.relay`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from time import perf_counter
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from apps.core.errors import DomainError
from apps.core.models import User
from apps.subscriptions import levels, metrics
from apps.subscriptions.models import RecalculationRun, Subscription
from apps.subscriptions.relay import Relay, Step, TurnIsLate
from apps.subscriptions.scores import NOT_ITS_FAULT, Batch, judge, recalculate

logger = structlog.get_logger(__name__)

JUDGED_TOGETHER = 1_000
"""Subscriptions that detectors judge at once during a run; each judgement has costs of its own, however few they are."""
_WORKING = 7_221_501  # keys of advisory locks, any constants
_REQUESTING = 7_221_502
_HELPING = 7_221_503
Status = RecalculationRun.Status


class AlreadyRunning(DomainError):
    """Another process recalculates all subscriptions now."""

    code = "recalculation_running"
    message = "All subscriptions are being recalculated already."
    status = 409


def unfinished() -> RecalculationRun | None:
    """The run that waits, is under way, or was cut off; the oldest, if there are several."""
    return RecalculationRun.objects.filter(status__in=[Status.WAITING, Status.RUNNING]).order_by("id").first()


@transaction.atomic
def request_run(
    *, trigger: str, requested_by: User | None = None, now: datetime, batch_size: int | None = None
) -> RecalculationRun:
    """Ask for a recalculation of all active subscriptions; :func:`work` does it.

    Args:
        trigger: of :class:`RecalculationRun.Trigger`.
        requested_by: who asked; None for the schedule.
        now: the moment that is judged.
        batch_size: subscriptions in one transaction; ``RISK_BATCH_SIZE`` if None.

    Returns:
        The unfinished run if there is one, for it does what is asked; else a new one.
    """
    with connection.cursor() as cursor:  # two who ask at once get the same run
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_REQUESTING])
    return unfinished() or RecalculationRun.objects.create(
        trigger=trigger, requested_by=requested_by, as_of=now, batch_size=batch_size or settings.RISK_BATCH_SIZE
    )


def work(
    run: RecalculationRun,
    *,
    on_batch: Callable[[RecalculationRun], None] = lambda run: None,
    go_on: Callable[[], bool] = lambda: True,
) -> RecalculationRun:
    """Do a run from its cursor to its end.

    Args:
        run: as :func:`request_run` returned it.
        on_batch: told after each batch, for showing progress.
        go_on: asked before each batch; after False the run waits for the next call.

    Returns:
        The run as it is now.

    Raises:
        AlreadyRunning: if another process is at it.
        OperationalError: if the database went away; the run goes on after its cursor at the next call.
    """
    with _only_one() as free:
        if not free:
            raise AlreadyRunning
        shift = _Shift(_begin(run), on_batch, go_on)
        try:
            shift.work()
        except Exception as error:  # whatever it is: it is noted where people look, and raised again
            logger.exception("recalculation_interrupted", run=run.pk, cursor=str(shift.run.cursor or ""))
            _interrupted(shift.run, error)
            raise
        shift.judge()
    return shift.run


class _Shift:
    """What one call of :func:`work` does of a run, by one hand or two."""

    def __init__(
        self, run: RecalculationRun, on_batch: Callable[[RecalculationRun], None], go_on: Callable[[], bool]
    ) -> None:
        self.run = run
        self._on_batch, self._go_on = on_batch, go_on
        self._relay, self._judging = Relay(), Lock()
        self._taken = run.cursor  # ahead of the run's cursor, which stands where all is committed
        self._touched: list[UUID] = []
        self._noted = perf_counter()
        self._stopped = False

    def work(self) -> None:
        """Do batches until there are none, or until it is told to stop."""
        if self.run.status != Status.RUNNING:
            return
        # Within a transaction of the caller's no other connection would see what it wrote.
        two = self.run.total > self.run.batch_size and not connection.in_atomic_block
        self._relay.run(self._hand, helper=_lend_a_hand if two else None)
        if self._stopped:
            self.run.status = Status.WAITING
            self.run.save(update_fields=["status"])
        else:
            _finish(self.run)

    def _hand(self) -> None:
        more = True
        while more:
            with self._relay.step() as step:
                more = step is not None and self._batch(step)
            self.judge(least=JUDGED_TOGETHER)

    def _batch(self, step: Step) -> bool:
        """Calculate the next batch, and note it in the same transaction. False if there is none."""
        if not self._go_on():
            self._stopped = True
            self._relay.close()
            return False
        ids = _ids_after(self._taken, self.run.batch_size)
        if not ids:
            self._relay.close()
            return False
        self._taken = ids[-1]
        try:
            batch = self._calculated(ids, step)
        except TurnIsLate:
            step.turn_without_locks()
            batch = self._calculated(ids, step)
        self._touched += batch.touched
        self._on_batch(self.run)
        return True

    def _calculated(self, ids: list[UUID], step: Step) -> Batch:
        with transaction.atomic():
            batch = recalculate(ids, now=self.run.as_of, occasion="run", judged=False, pace=step)
            now = perf_counter()
            _note(self.run, ids[-1], batch, now - self._noted)
            self._noted = now
        return batch

    def judge(self, *, least: int = 1) -> None:
        """Let the detectors judge what changed, if it is enough to be worth it. The other hand goes on meanwhile."""
        with self._judging:
            touched = self._touched
            if len(touched) < least:
                return
            self._touched = []
            try:
                judge(touched, now=self.run.as_of)
            except NOT_ITS_FAULT:
                raise
            except Exception:  # the scores are stored, and the next sweep of the detectors finds them
                logger.exception("recalculation_not_judged", run=self.run.pk, subscriptions=len(touched))


def _lend_a_hand() -> None:
    """Called in the second thread, with its own connection: make that known for as long as it works."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock_shared(%s)", [_HELPING])


def _interrupted(run: RecalculationRun, error: Exception) -> None:
    """Note why a run stopped. It goes on after its cursor if the surroundings were at fault, and ends if we were."""
    if connection.in_atomic_block or not connection.is_usable():
        return  # nothing can be noted now; the mark "running" without a lock says enough
    run.error = f"{type(error).__name__}: {error}"[:2_000]
    run.status = Status.WAITING if isinstance(error, NOT_ITS_FAULT) else Status.FAILED
    run.finished_at = timezone.now() if run.status == Status.FAILED else None
    run.save(update_fields=["status", "error", "finished_at"])
    metrics.runs.labels(run.trigger, "interrupted" if run.status == Status.WAITING else "failed").inc()


def _begin(run: RecalculationRun) -> RecalculationRun:
    """Take the run up. Called while holding the lock, so a run that is marked as running was cut off."""
    with connection.cursor() as cursor:  # the second connection of one that was killed may still be committing a batch
        cursor.execute("SELECT pg_advisory_lock(%s), pg_advisory_unlock(%s)", [_HELPING, _HELPING])
    run = unfinished() or run
    if run.status in (Status.FINISHED, Status.FAILED):
        run.refresh_from_db()
        return run
    run.refresh_from_db()
    if run.started_at is None:
        run.started_at, run.total = timezone.now(), Subscription.objects.active().count()
    logger.info("recalculation_started", run=run.pk, total=run.total, cursor=str(run.cursor or ""), as_of=run.as_of)
    run.status = Status.RUNNING
    run.save(update_fields=["status", "started_at", "total"])
    return run


# The same statements for each batch: building them anew would cost as much as running them.
_AFTER = """
    SELECT id FROM subscriptions_subscription
    WHERE status = 'active' AND (%(cursor)s::uuid IS NULL OR id > %(cursor)s) ORDER BY id LIMIT %(limit)s
"""
_NOTE = """
    UPDATE subscriptions_recalculationrun SET cursor = %s, heartbeat_at = %s, succeeded = succeeded + %s,
        failed = failed + %s, degraded = degraded + %s, changed = changed + %s, seconds = seconds + %s
    WHERE id = %s
"""
_COUNTS = ("succeeded", "failed", "degraded", "changed")


def _ids_after(cursor: UUID | None, limit: int) -> list[UUID]:
    with connection.cursor() as reader:
        reader.execute(_AFTER, {"cursor": cursor, "limit": limit})
        return [pk for (pk,) in reader.fetchall()]


def _note(run: RecalculationRun, cursor: UUID, batch: Batch, seconds: float) -> None:
    run.cursor, run.heartbeat_at = cursor, timezone.now()
    counts = [getattr(batch, name) for name in _COUNTS]
    with connection.cursor() as writer:
        writer.execute(_NOTE, [cursor, run.heartbeat_at, *counts, seconds, run.pk])
    for name, count in zip(_COUNTS, counts, strict=True):
        setattr(run, name, getattr(run, name) + count)
    run.seconds += seconds


def _finish(run: RecalculationRun) -> None:
    """Count the levels for the trends and close the run."""
    begun = perf_counter()
    with transaction.atomic():
        counts = levels.count(day=run.as_of.date())
        run.status, run.finished_at = Status.FINISHED, timezone.now()
        run.seconds += perf_counter() - begun
        run.error = ""
        run.save(update_fields=["status", "finished_at", "seconds", "error"])
    metrics.runs.labels(run.trigger, run.status).inc()
    metrics.run_seconds.set(run.seconds)
    metrics.last_good_run.set(run.finished_at.timestamp())
    for level, number in counts.items():
        metrics.subscriptions.labels(level).set(number)
    logger.info(
        "recalculation_finished",
        run=run.pk,
        trigger=run.trigger,
        succeeded=run.succeeded,
        failed=run.failed,
        degraded=run.degraded,
        changed=run.changed,
        seconds=round(run.seconds, 3),
    )


@contextmanager
def _only_one() -> Iterator[bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_WORKING])
        free = bool(cursor.fetchone()[0])
    try:
        yield free
    finally:
        if free and not connection.needs_rollback:
            _unlock()


def _unlock() -> None:
    if connection.connection is None or connection.connection.closed:
        return  # the lock went with the connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s)", [_WORKING])
