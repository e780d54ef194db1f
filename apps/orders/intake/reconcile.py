"""Reconciliation: asks the Admin API for orders that changed, to find what no webhook told.

A pass asks for everything that changed since shortly before the last complete pass began (the overlap, because the
platform's search lags behind) and goes page by page. Each page is written together with its cursor, so a pass that is
cut off goes on where it was. Cards follow at the next sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction

from apps.core.http import IntegrationError, PermanentFailure
from apps.orders import metrics
from apps.orders.intake import nodes
from apps.orders.intake import values as v
from apps.orders.intake.apply import apply
from apps.orders.intake.topics import News
from apps.orders.models import ReconciliationRun, Store
from apps.orders.shopify import TOO_DEAR, AdminApi

logger = structlog.get_logger(__name__)

OVERLAP = timedelta(hours=1)
FIRST_LOOK = timedelta(days=60)
"""Older orders are not shown to most apps (shopify.dev, access scope read_all_orders)."""
PAGE = 20
_LOCK = 7_246_905  # class of advisory locks, any constant
Status = ReconciliationRun.Status


def reconcile_store(
    store: Store, *, now: datetime, api: AdminApi | None = None, go_on: Callable[[], bool] = lambda: True
) -> ReconciliationRun | None:
    """Go through the orders that changed, or go on with a pass that was cut off.

    Args:
        now: when this begins, and when what is found counts as learnt.
        api: replaced in tests.
        go_on: asked before each page; if it says no, the pass is left to the next time.

    Returns:
        The pass; None if another process is at it.
    """
    with _alone(store) as free:
        if not free:
            return None
        run = _begin(store, now)
        try:
            with api or AdminApi(store) as open_api:
                _pages(store, run, open_api, now, go_on)
        except PermanentFailure as error:
            _end(run, Status.FAILED, now, str(error))
        except IntegrationError as error:
            run.last_error = str(error)  # still running: the next time goes on from its cursor
            run.save(update_fields=["last_error"])
        return run


@contextmanager
def _alone(store: Store) -> Iterator[bool]:
    """Whether nobody else reconciles this store now. The lock goes with the connection of a process that dies."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK, store.pk])
        free = bool(cursor.fetchone()[0])
    try:
        yield free
    finally:
        if free:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK, store.pk])


def _begin(store: Store, now: datetime) -> ReconciliationRun:
    runs = ReconciliationRun.objects.filter(store=store)
    running = runs.filter(status=Status.RUNNING).first()
    if running:
        return running
    last = runs.filter(status=Status.SUCCEEDED).order_by("-started_at").first()
    since = last.started_at - OVERLAP if last else now - FIRST_LOOK
    return ReconciliationRun.objects.create(store=store, updated_from=since, started_at=now)


def _pages(store: Store, run: ReconciliationRun, api: AdminApi, now: datetime, go_on: Callable[[], bool]) -> None:
    size = PAGE
    while go_on():
        try:
            page = api.execute(nodes.MANY_ORDERS, _variables(run, size)).get("orders") or {}
        except PermanentFailure as error:
            if error.code != TOO_DEAR or size == 1:
                raise
            size = max(1, size // 2)
            continue
        info = page.get("pageInfo") or {}
        found = page.get("nodes") or []
        with transaction.atomic():
            unread = _write(store, found, now)
            run.cursor = str(info.get("endCursor") or run.cursor)[:500]
            run.orders_seen += len(found)
            run.last_error = f"{unread} orders could not be read." if unread else run.last_error
            run.save(update_fields=["cursor", "orders_seen", "last_error"])
        metrics.reconciled_orders.labels("written").inc(len(found) - unread)
        metrics.reconciled_orders.labels("unread").inc(unread)
        if not info.get("hasNextPage"):
            _end(run, Status.SUCCEEDED, now, run.last_error if unread else "")
            return


def _variables(run: ReconciliationRun, size: int) -> dict[str, Any]:
    since = run.updated_from.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"filter": f"updated_at:>='{since}'", "after": run.cursor or None, "first": size}


def _write(store: Store, found: list[Any], now: datetime) -> int:
    """Write one page; returns how many orders could not be read."""
    news, unread = [], 0
    for node in found:
        try:
            doc = v.document(node, "order")
            rows, verdict = nodes.order(doc), nodes.risk(doc)
        except v.Malformed as error:
            logger.warning("reconciled_order_unread", store=store.pk, reason=str(error))
            unread += 1
            continue
        refs = {row.external_id for row in rows.orders}
        news.append(News(rows=rows, orders=refs, risks=[verdict] if verdict else []))
    apply(store, news, now=now)
    return unread


def _end(run: ReconciliationRun, status: str, now: datetime, error: str) -> None:
    run.status, run.finished_at, run.last_error = status, now, error
    run.save(update_fields=["status", "finished_at", "last_error"])
