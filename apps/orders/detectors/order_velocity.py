"""Order velocity: many orders of one buyer in a short time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.core.numbers import plural
from apps.orders.findings import fraud_hit
from apps.orders.identities import Cluster, span, suspicious
from apps.orders.models import Store

# Those with too many orders in the look-back at all are few; only theirs are counted window by window.
_DENSEST = """
    WITH recent AS (
        SELECT o.store_id, {key} AS key, o.id, o.total, o.currency, o.created_at, o.synced_at
        FROM orders_order o
        WHERE {chosen} AND o.created_at > %(since)s AND o.created_at <= %(now)s AND o.deleted_at IS NULL
    ), busy AS (
        SELECT store_id, key FROM recent GROUP BY store_id, key HAVING count(*) >= %(limit)s
    ), counted AS (
        SELECT r.store_id, r.key, r.created_at, count(*) OVER (
            PARTITION BY r.store_id, r.key ORDER BY r.created_at RANGE BETWEEN %(window)s PRECEDING AND CURRENT ROW
        ) AS count
        FROM recent r JOIN busy USING (store_id, key)
    ), densest AS (
        SELECT DISTINCT ON (store_id, key) store_id, key, created_at AS until
        FROM counted WHERE count >= %(limit)s
        ORDER BY store_id, key, count DESC, created_at DESC
    )
    SELECT r.store_id, r.key, r.id, r.total, r.currency, r.created_at, r.synced_at
    FROM recent r JOIN densest d USING (store_id, key)
    WHERE r.created_at BETWEEN d.until - %(window)s AND d.until
    ORDER BY r.id
"""


class Settings(RuleSettings):
    """How many orders in how short a time, by what the buyer is recognised by."""

    customer_orders: int = Field(
        5, ge=2, le=1000, title="Per customer", description="Orders of one customer within the window, or more."
    )
    payment_orders: int = Field(
        4,
        ge=2,
        le=1000,
        title="Per payment card",
        description="Orders with one payment card within the window, or more.",
    )
    address_orders: int = Field(
        5, ge=2, le=1000, title="Per address", description="Orders to one shipping address within the window, or more."
    )
    ip_orders: int = Field(
        8, ge=2, le=1000, title="Per IP address",
        description="Orders from one IP address within the window, or more; offices and mobile networks share one.",
    )  # fmt: skip
    window_hours: int = Field(24, ge=1, le=168, title="Window", description="Hours within which orders are counted.")
    lookback_days: int = Field(
        7, ge=1, le=90, title="Look-back", description="Days in which the densest window is looked for."
    )

    def limit(self, kind: str) -> int:
        """Orders that are too many for one kind of identity."""
        return int(getattr(self, f"{kind}_orders"))


@detector(
    slug="order-velocity",
    title="Order velocity",
    kind="fraud-pattern-alert",
    settings=Settings,
    events=frozenset({"order.created", "order.updated", "order.cancelled"}),
    mitigation="Compare the orders: same goods, resellable goods, new accounts? Hold what has not been sent until it is clear.",
    escalation="Escalate when cards or names differ between the orders, or goods have already been sent.",
    rollback="Release the held orders and apologise to the customer for the check.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Customers, cards, addresses and IP addresses with too many orders in the densest window of the look-back.

    Cancelled orders count, deleted ones do not. Orders that are too many by several identities are told once, by the
    surest of them. The money at risk is the orders' total.
    """
    values = {
        "now": now,
        "since": now - timedelta(days=settings.lookback_days),
        "window": timedelta(hours=settings.window_hours),
    }
    for cluster, store, name in suspicious(subjects, _DENSEST, values, settings.limit):
        yield _hit(cluster, store, name, settings, now)


def _hit(cluster: Cluster, store: Store, name: str, settings: Settings, now: datetime) -> Hit:
    found, limit = cluster.found, settings.limit(cluster.kind)
    return fraud_hit(
        store=store,
        subject=cluster.subject,
        target=name,
        draft=f"{plural(found.count, 'order')} by {cluster.words} within {span(found)}. {name}. Total: {found.sums}",
        rationale=f"{plural(found.count, 'order')} of {found.sums} by {cluster.words} within {settings.window_hours} "
        f"hours, at or above the limit of {limit}. Fraudsters empty a stolen card before it is blocked; resellers buy out "
        "an offer the same way.",
        data={
            "identity": cluster.kind,
            "orderCount": found.count,
            "threshold": limit,
            "windowHours": settings.window_hours,
            **found.as_json(),
        },
        observed_at=found.observed_at or now,
        impact=found.sums.main(store.currency),
        confidence="0.70" if found.count < 2 * limit else "0.85",
        tier="safety" if found.count < 2 * limit else "policy",
    )
