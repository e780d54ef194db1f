"""Celery tasks of the orders: they read the clock and call the intake."""

from __future__ import annotations

import time

import structlog
from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from apps.core import valkey
from apps.orders.intake.process import BATCH, process_due
from apps.orders.intake.reconcile import reconcile_store
from apps.orders.intake.retention import forget_old
from apps.orders.models import Store

logger = structlog.get_logger(__name__)

AWAKE = "riskdesk:webhooks:awake"
GATHER_SECONDS = 1.0
"""So long the first webhook waits for others: all rules are run once for a batch, however small it is."""
SHIFT_SECONDS = 60.0
RECONCILE_SECONDS = 600.0


def wake() -> None:
    """Ask for the webhooks to be processed at once.

    At once means after :data:`GATHER_SECONDS`. Only a hint: without it the next sweep finds them. One task is asked for, not one for each webhook: it takes down the
    mark before it looks, so whatever is kept after it looked puts the mark up again.
    """
    try:
        if valkey.client().set(AWAKE, "1", nx=True, px=5_000):
            process_pending_webhooks.apply_async(kwargs={"gather": GATHER_SECONDS}, retry=False)
    except (*valkey.Unavailable, OperationalError):
        logger.warning("webhooks_not_announced")


@shared_task(time_limit=300, soft_time_limit=270, expires=55)
def process_pending_webhooks(gather: float = 0) -> int:
    """Process the webhooks that are due; several workers share them.

    Args:
        gather: seconds to wait first.

    Returns:
        How many were taken.
    """
    time.sleep(gather)
    try:
        valkey.client().delete(AWAKE)
    except valkey.Unavailable:
        logger.warning("webhooks_mark_kept")
    taken, until = 0, time.monotonic() + SHIFT_SECONDS
    while time.monotonic() < until:
        batch = process_due(now=timezone.now())
        taken += batch
        if batch < BATCH:
            break
    return taken


@shared_task(time_limit=300, soft_time_limit=270, expires=55 * 60)
def reconcile_all_stores() -> int:
    """Ask for the reconciliation of each store that can be asked. Returns how many."""
    stores = list(Store.objects.reachable().values_list("pk", flat=True))
    for store in stores:
        reconcile_one.delay(store)
    forget_old(now=timezone.now())
    return len(stores)


@shared_task(time_limit=15 * 60, soft_time_limit=14 * 60, expires=55 * 60)
def reconcile_one(store_id: int) -> str:
    """Reconcile one store for ten minutes at most; the next time goes on from there. Returns the state of the pass."""
    until = time.monotonic() + RECONCILE_SECONDS
    store = Store.objects.get(pk=store_id)
    run = reconcile_store(store, now=timezone.now(), go_on=lambda: time.monotonic() < until)
    return run.status if run else "another process is at it"
