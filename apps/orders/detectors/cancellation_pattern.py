"""Cancellation pattern: somebody who orders and cancels, again and again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.core.numbers import plural
from apps.orders.findings import fraud_hit, percent
from apps.orders.identities import Cluster, suspicious
from apps.orders.models import Store

# Cancelled orders are few (index order_cancelled); only for those with too many the standing orders are counted.
_CANCELLED = """
    WITH cancelled AS (
        SELECT o.store_id, {key} AS key, o.id, o.total, o.currency, o.cancelled_at, o.synced_at
        FROM orders_order o
        WHERE {chosen} AND o.cancelled_at > %(since)s AND o.cancelled_at <= %(now)s AND o.deleted_at IS NULL
            AND NOT o.cancel_reason = ANY(%(ours)s)
    ), many AS (
        SELECT store_id, key, count(*) AS count FROM cancelled GROUP BY store_id, key HAVING count(*) >= %(limit)s
    ), mostly AS (
        SELECT m.store_id, m.key FROM many m
        WHERE m.count >= %(share)s * (m.count + (
            SELECT count(*) FROM orders_order o
            WHERE {known} AND {key} = m.key AND o.store_id = m.store_id AND o.cancelled_at IS NULL AND o.deleted_at IS NULL
                AND o.created_at > %(since)s AND o.created_at <= %(now)s
        ))
    )
    SELECT c.store_id, c.key, c.id, c.total, c.currency, c.cancelled_at, c.synced_at
    FROM cancelled c JOIN mostly USING (store_id, key) ORDER BY c.id
"""
OURS = ("inventory", "staff")
"""Reasons that are the store's own; such cancellations say nothing about the buyer."""


class Settings(RuleSettings):
    """How many cancellations in how many days, and how large a share of all orders."""

    cancellations: int = Field(
        3, ge=2, le=1000, title="Cancellations", description="Cancelled orders of one identity in the window, or more."
    )
    ip_cancellations: int = Field(
        6, ge=2, le=1000, title="Per IP address",
        description="The same for an IP address, which offices and mobile networks share.",
    )  # fmt: skip
    share: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Share",
        description="Cancelled orders must be at least this share (0 to 1) of all its orders.",
    )
    window_days: int = Field(30, ge=1, le=365, title="Window", description="Days that are looked back.")

    def limit(self, kind: str) -> int:
        """Cancellations that are too many for one kind of identity."""
        return self.ip_cancellations if kind == "ip" else self.cancellations


@detector(
    slug="cancellation-pattern",
    title="Cancellation pattern",
    kind="fraud-pattern-alert",
    settings=Settings,
    events=frozenset({"order.cancelled", "order.updated"}),
    mitigation="Read the reasons; ask the customer what went wrong, or ask for payment in advance from now on.",
    escalation="Escalate when stock, vouchers or bonus points were blocked or gained by it.",
    rollback="Take back the limit that was set for the customer, and say sorry.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Customers, cards, addresses and IP addresses that cancelled many orders, and most of theirs.

    Cancellations for want of stock or by mistake of the staff do not count. The money at risk is the cancelled orders'
    total.
    """
    values = {
        "now": now, "since": now - timedelta(days=settings.window_days), "share": settings.share, "ours": list(OURS),
    }  # fmt: skip
    for cluster, store, name in suspicious(subjects, _CANCELLED, values, settings.limit):
        yield _hit(cluster, store, name, settings, now)


def _hit(cluster: Cluster, store: Store, name: str, settings: Settings, now: datetime) -> Hit:
    found, limit = cluster.found, settings.limit(cluster.kind)
    count = plural(found.count, "cancelled order")
    return fraud_hit(
        store=store,
        subject=cluster.subject,
        target=name,
        draft=f"{count} by {cluster.words} in {settings.window_days} days. {name}. Total: {found.sums}",
        rationale=f"{count} of {found.sums} by {cluster.words} in {settings.window_days} days, at or above the limit of "
        f"{limit} and at least {percent(settings.share)} of all its orders. It blocks stock, and may collect vouchers or "
        "try out stolen cards.",
        data={
            "identity": cluster.kind,
            "cancellationCount": found.count,
            "threshold": limit,
            "share": settings.share,
            "windowDays": settings.window_days,
            **found.as_json(),
        },
        observed_at=found.observed_at or now,
        impact=found.sums.main(store.currency),
        confidence="0.60",
        tier="low" if found.count < 2 * limit else "safety",
    )
