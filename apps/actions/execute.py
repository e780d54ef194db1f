"""Doing what was approved, in a worker.

Guarantee: an execution is claimed by one worker at a time, under a lease that is longer than a task may run. Its key
stays the same for every attempt and goes with each request, and what went through is recorded before the card says so;
so a repetition, after a failure or after a worker died, has one effect wherever the other side honours the key or the
effect is idempotent by nature (a tag, a hold). A mail is neither: it is never sent again by itself once its sending
began. If the worker dies right then, the execution fails with the outcome unknown, and a person decides.
"""

from __future__ import annotations

import smtplib
import socket
from datetime import datetime, timedelta

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.actions import metrics
from apps.actions.binding import Status, entry
from apps.actions.executors import EffectFailed, Job, executors
from apps.actions.models import ActionCard, CardEvent, Execution
from apps.core.decisions import record
from apps.core.http import IntegrationError, TransientFailure
from apps.core.notifications import is_permanent, notify

logger = structlog.get_logger(__name__)

EXPECTED = (IntegrationError, EffectFailed, smtplib.SMTPException, OSError, SoftTimeLimitExceeded)
LEASE = timedelta(minutes=10)
MAX_ATTEMPTS = 6
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
UNKNOWN = "It broke off while sending. Whether it went through is not known: look, then retry or dismiss."
EXHAUSTED = "The worker stopped during each attempt. See its log."


def execute(execution_id: int) -> Execution | None:
    """Attempt an execution that is due.

    Returns:
        The execution after the attempt; None if it is not due, or another worker has it.
    """
    now = timezone.now()
    given_up = _given_up(execution_id, now)
    if given_up is not None:
        return given_up
    execution = _claim(execution_id, now)
    if execution is None:
        return None
    try:
        result = _effect(execution)
    except Exception as error:  # an effect may fail in any way; the card must show it, whatever it is
        if not isinstance(error, EXPECTED):
            logger.exception("execution_failed", execution=execution.pk, action=execution.action)
        return _failed(execution, error, timezone.now())
    return _succeeded(execution, result, timezone.now())


def due(now: datetime, limit: int = 100) -> list[int]:
    """Executions that wait, or whose worker died: their lease is over."""
    waiting = Execution.objects.filter(status__in=["pending", "running"], next_attempt_at__lte=now)
    return list(waiting.order_by("next_attempt_at").values_list("pk", flat=True)[:limit])


def _given_up(execution_id: int, now: datetime) -> Execution | None:
    """Fail an execution whose worker died, if it may have gone through or died too often; None if it may be claimed."""
    lost = Execution.objects.filter(pk=execution_id, status=Execution.Status.RUNNING, next_attempt_at__lte=now)
    execution = lost.filter(Q(result__begun=True) | Q(attempts__gte=MAX_ATTEMPTS)).first()
    if execution is None:
        return None
    error = UNKNOWN if execution.result.get("begun") else EXHAUSTED
    return _finish(execution.pk, execution.attempts, now, failure="permanent", error=error)


@transaction.atomic
def _claim(execution_id: int, now: datetime) -> Execution | None:
    """Take an execution for us until the lease is over."""
    free = Execution.objects.select_for_update(skip_locked=True).filter(
        pk=execution_id, status__in=["pending", "running"], next_attempt_at__lte=now
    )
    execution = free.first()
    if execution is None:
        return None
    execution.status, execution.attempts = Execution.Status.RUNNING, execution.attempts + 1
    execution.next_attempt_at = now + LEASE
    execution.save(update_fields=["status", "attempts", "next_attempt_at"])
    return execution


def _effect(execution: Execution) -> dict[str, object]:
    if execution.action not in executors:
        raise EffectFailed(f"There is no action {execution.action!r} any more.")
    effect = executors[execution.action].effect
    former = Execution.objects.filter(pk=execution.payload.get("execution", 0), card=execution.card_id).first()
    job = Job(
        card=execution.card,
        key=execution.key,
        payload=execution.payload,
        result=former.result if former else {},
        begin=lambda: _begin(execution),
    )
    return effect.roll_back(job) if execution.direction == Execution.Direction.ROLL_BACK else effect.execute(job)


def _begin(execution: Execution) -> None:
    """Record that an effect which cannot be repeated begins; committed before it does."""
    ours = Execution.objects.filter(pk=execution.pk, attempts=execution.attempts, status="running")
    if not ours.update(result={"begun": True}):
        raise EffectFailed("Another worker has taken this over.")


def _failed(execution: Execution, error: Exception, now: datetime) -> Execution | None:
    known = isinstance(error, IntegrationError | EffectFailed)
    text = str(error) if known else f"{type(error).__name__}: {error}"
    transient = _may_pass(error)
    if not _surely_undone(error) and Execution.objects.filter(pk=execution.pk, result__begun=True).exists():
        # Something that cannot be repeated may have gone through, so another attempt is a person's decision.
        text, transient = f"{UNKNOWN} ({text})", False
    wait = getattr(error, "retry_after", None)
    return _finish(
        execution.pk,
        execution.attempts,
        now,
        failure="transient" if transient else "permanent",
        error=text[:2_000],
        wait=timedelta(seconds=wait) if wait else None,
    )


def _may_pass(error: Exception) -> bool:
    """Whether another attempt may succeed."""
    if isinstance(error, smtplib.SMTPException | OSError):
        return not is_permanent(error)
    return isinstance(error, TransientFailure | SoftTimeLimitExceeded)


def _surely_undone(error: Exception) -> bool:
    """Whether the other side certainly did nothing: it refused, or was never reached."""
    if isinstance(error, IntegrationError):
        return not error.maybe_done
    refusals = smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused | EffectFailed
    return isinstance(error, refusals | ConnectionRefusedError | socket.gaierror)


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many failed attempts: 0.5, 2, 8 minutes and so on, at most an hour."""
    return min(FIRST_WAIT * 4 ** (attempts - 1), LONGEST_WAIT)


@transaction.atomic
def _finish(
    pk: int, attempt: int, now: datetime, *, failure: str, error: str, wait: timedelta | None = None
) -> Execution | None:
    """Record a failure: the next attempt is planned, or the card says that a person must look."""
    card, execution = _locked(pk)
    if execution.attempts != attempt or execution.status != Execution.Status.RUNNING:
        return None  # the lease was over, and another worker has it
    execution.failure_kind, execution.last_error = failure, error
    metrics.executions.labels(execution.action, execution.direction, failure).inc()
    if failure == Execution.FailureKind.TRANSIENT and attempt < MAX_ATTEMPTS:
        execution.status = Execution.Status.PENDING
        execution.next_attempt_at = now + max(backoff(attempt), wait or timedelta())
        execution.result = {}
        execution.save()
        return execution
    execution.status, execution.finished_at, execution.next_attempt_at = Execution.Status.FAILED, now, None
    execution.save()
    _show(card, execution, now)
    return execution


def _show(card: ActionCard, execution: Execution, now: datetime) -> None:
    """Say on the card that an execution failed, and tell the person who asked for it."""
    changes = {"Rollback": ["asked for", "failed"]}
    if execution.direction == Execution.Direction.EXECUTE:
        changes = {"Status": [card.get_status_display(), Status.FAILED.label]}
        card.status = Status.FAILED
    card.version, card.changed_at = card.version + 1, now
    card.save(update_fields=["status", "version", "changed_at"])
    CardEvent.objects.create(
        card=card,
        card_version=card.version,
        kind=CardEvent.Kind.FAILED,
        at=now,
        text=execution.last_error,
        data={"changes": changes, "execution": execution.pk},
    )
    verb = "Rolling back" if execution.direction == Execution.Direction.ROLL_BACK else "Executing"
    notify(
        kind="actions",
        recipients=[execution.requested_by],
        title=f"{verb} failed: {card.target}",
        body=execution.last_error,
        url=f"/admin/actions/actioncard/{card.pk}/change/",
        dedupe_key=f"execution_failed:{execution.pk}:{card.version}",
    )
    record(
        entry(card, "system:executions", "execution_failed", execution.last_error, execution=str(execution.key),
              failure=execution.failure_kind)
    )  # fmt: skip


@transaction.atomic
def _succeeded(execution: Execution, result: dict[str, object], now: datetime) -> Execution:
    card, current = _locked(execution.pk)
    if current.status == Execution.Status.SUCCEEDED:
        return current
    current.status, current.result, current.finished_at = Execution.Status.SUCCEEDED, result, now
    current.failure_kind, current.last_error, current.next_attempt_at = "", "", None
    current.save()
    undone = current.direction == Execution.Direction.ROLL_BACK
    before = card.get_status_display()
    card.status = Status.ROLLED_BACK if undone else Status.EXECUTED
    card.version, card.changed_at, card.closed_at = card.version + 1, now, now
    card.save(update_fields=["status", "version", "changed_at", "closed_at"])
    CardEvent.objects.create(
        card=card,
        card_version=card.version,
        kind=CardEvent.Kind.ROLLED_BACK if undone else CardEvent.Kind.EXECUTED,
        at=now,
        text=executors[current.action].title,
        data={"changes": {"Status": [before, card.get_status_display()]}, "execution": current.pk},
    )
    metrics.executions.labels(current.action, current.direction, "succeeded").inc()
    action = "card_rolled_back" if undone else "card_executed"
    record(entry(card, "system:executions", action, "", execution=str(current.key), executor=current.action))
    return current


def _locked(pk: int) -> tuple[ActionCard, Execution]:
    """The card and its execution, locked in the order in which decisions lock them."""
    card_id = Execution.objects.values_list("card_id", flat=True).get(pk=pk)
    card = ActionCard.objects.select_for_update(no_key=True).get(pk=card_id)
    return card, Execution.objects.select_for_update(of=("self",)).select_related("requested_by").get(pk=pk)
