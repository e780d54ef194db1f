"""Processes kept webhooks: claimed in batches, written store by store, judged by the rules, tried again, given up.

The table is the queue. A worker takes what is due and moves its time on; if it dies, the deliveries are due again. All
writing is idempotent, so a delivery that was processed twice changes nothing. One bad delivery stops no other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, OperationalError, connection
from django.utils import timezone

from apps.actions.models import RuleRun
from apps.actions.rules import Subjects
from apps.actions.runs import run_rules
from apps.core.http import TransientFailure
from apps.orders import metrics
from apps.orders.intake.apply import Applied, apply
from apps.orders.intake.ask import complete
from apps.orders.intake.privacy import comply
from apps.orders.intake.topics import COMPLIANCE, READERS, News
from apps.orders.intake.values import Malformed
from apps.orders.models import Store, WebhookDelivery

logger = structlog.get_logger(__name__)

BATCH = 200
LEASE = timedelta(minutes=6)
MAX_ATTEMPTS = 10
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)
Status = WebhookDelivery.Status


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Why a delivery was not processed; ``final`` says that trying again would not help."""

    reason: str
    final: bool = False
    pause: float | None = None


def process_due(*, now: datetime) -> int:
    """Process one batch of what is due.

    Returns:
        How many deliveries were taken; fewer than :data:`BATCH` means that nothing else is due.
    """
    taken = _claim(now)
    by_store: dict[int, list[WebhookDelivery]] = defaultdict(list)
    for delivery in taken:
        by_store[delivery.store_id].append(delivery)
    stores = Store.objects.in_bulk(by_store)
    for key, deliveries in by_store.items():
        # Shop redaction ends the batch of its store: what came with it must not be written after it.
        _process(stores[key], deliveries, now)
    return len(taken)


def _claim(now: datetime) -> list[WebhookDelivery]:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_webhookdelivery SET attempts = attempts + 1, next_attempt_at = %s WHERE id IN ("
            "SELECT id FROM orders_webhookdelivery WHERE status = 'pending' AND next_attempt_at <= %s "
            "ORDER BY next_attempt_at, id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id",
            [now + LEASE, now, BATCH],
        )
        keys = [key for (key,) in cursor.fetchall()]
    taken = list(WebhookDelivery.objects.filter(pk__in=keys).order_by("received_at", "pk"))
    lost = [delivery for delivery in taken if delivery.attempts > MAX_ATTEMPTS]
    for delivery in lost:
        _settle(delivery, Unfinished("Workers died while they processed it.", final=True), now)
    return [delivery for delivery in taken if delivery.attempts <= MAX_ATTEMPTS]


def _process(store: Store, deliveries: Sequence[WebhookDelivery], now: datetime) -> None:
    ready: list[tuple[WebhookDelivery, News]] = []
    for delivery in deliveries:
        if delivery.topic in COMPLIANCE:
            continue
        read = _read(store, delivery)
        if isinstance(read, Unfinished):
            _settle(delivery, read, now)
        else:
            ready.append((delivery, read))
    _write(store, ready, now)
    # Last: what is to be forgotten must not be written again by what came in the same batch.
    for delivery in deliveries:
        if delivery.topic in COMPLIANCE:
            _comply(store, delivery, now)


def _read(store: Store, delivery: WebhookDelivery) -> News | Unfinished:
    """What a delivery says, completed by the Admin API where its document does not hold all."""
    try:
        news = READERS[delivery.topic](delivery.body, delivery.triggered_at or delivery.received_at)
        return complete(store, news)
    except Malformed as error:
        return Unfinished(f"The document cannot be read: {error}.", final=True)
    except TransientFailure as error:
        return Unfinished(str(error), pause=error.retry_after)
    except SoftTimeLimitExceeded:  # the task's time, not the document, is at fault; what was taken is due again later
        raise
    except Exception as error:  # whatever a document provokes must not stop the others; a person looks at it
        logger.exception("webhook_failed", delivery=delivery.pk, topic=delivery.topic)
        return Unfinished(f"{type(error).__name__}: {error}", final=True)


def _write(store: Store, ready: Sequence[tuple[WebhookDelivery, News]], now: datetime) -> None:
    """Write all together; if the database refuses, one by one, to find out which it is."""
    if not ready:
        return
    try:
        done = apply(store, [news for _, news in ready], now=now)
        judge(done, now)
    except DatabaseError as error:
        if len(ready) > 1:
            for one in ready:
                _write(store, [one], now)
            return
        transient = isinstance(error, OperationalError)  # a deadlock, a lost connection
        logger.warning("webhook_not_written", delivery=ready[0][0].pk, error=type(error).__name__)
        _settle(ready[0][0], Unfinished(f"The database refused it: {type(error).__name__}.", final=not transient), now)
        return
    _finish([one for place, (one, _) in enumerate(ready) if place not in done.waiting], now)
    for place in done.waiting:
        _settle(ready[place][0], Unfinished("The order or parcel it belongs to is not known yet."), now)


def judge(done: Applied, now: datetime) -> None:
    """Let the rules judge what was touched."""
    if done.events and done.subjects:
        subjects = Subjects(frozenset(done.subjects))
        run_rules(now=now, trigger=RuleRun.Trigger.EVENT, subjects=subjects, events=frozenset(done.events))


def _comply(store: Store, delivery: WebhookDelivery, now: datetime) -> None:
    try:
        comply(store, delivery, now=now)
    except Malformed as error:
        _settle(delivery, Unfinished(f"The document cannot be read: {error}.", final=True), now)
    except DatabaseError as error:
        _settle(delivery, Unfinished(f"The database refused it: {type(error).__name__}."), now)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # as in reading: a person looks at it, and the others go on
        logger.exception("webhook_failed", delivery=delivery.pk, topic=delivery.topic)
        _settle(delivery, Unfinished(f"{type(error).__name__}: {error}", final=True), now)
    else:
        _finish([delivery], now)


def _finish(deliveries: Iterable[WebhookDelivery], now: datetime) -> None:
    finished = list(deliveries)
    WebhookDelivery.objects.filter(pk__in=[one.pk for one in finished]).update(
        status=Status.DONE, processed_at=now, next_attempt_at=None, last_error=""
    )
    clock = timezone.now()
    for one in finished:
        metrics.deliveries.labels(one.topic, "done").inc()
        metrics.delivery_seconds.observe(max(0.0, (clock - one.received_at).total_seconds()))


def _settle(delivery: WebhookDelivery, why: Unfinished, now: datetime) -> None:
    """Plan the next attempt, or give the delivery up."""
    dead = why.final or delivery.attempts >= MAX_ATTEMPTS
    wait = max(backoff(delivery.attempts), timedelta(seconds=why.pause or 0))
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        status=Status.DEAD if dead else Status.PENDING,
        next_attempt_at=None if dead else now + wait,
        last_error=why.reason[:2_000],
    )
    metrics.deliveries.labels(delivery.topic, "dead" if dead else "retry").inc()
    if dead:
        logger.error("webhook_dead", delivery=delivery.pk, topic=delivery.topic)


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many attempts: 5, 15, 45 seconds and so on, at most an hour."""
    return min(FIRST_WAIT * 3 ** (max(attempts, 1) - 1), LONGEST_WAIT)


def replay(deliveries: Iterable[int], *, now: datetime) -> int:
    """Process deliveries once more, dead or done; those whose body is gone cannot be.

    Returns:
        How many will be.
    """
    chosen = WebhookDelivery.objects.filter(pk__in=list(deliveries)).exclude(body={})
    return chosen.update(status=Status.PENDING, attempts=0, next_attempt_at=now, last_error="", processed_at=None)
