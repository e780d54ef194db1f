"""Failed payments: somebody tries cards until one works."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.core.numbers import plural
from apps.orders.findings import fraud_hit
from apps.orders.identities import Cluster, span, suspicious
from apps.orders.models import Store

# Failures of the window are few (index transaction_failed); the orders they belong to are found by key.
_FAILED = """
    WITH failed AS (
        SELECT o.store_id, {key} AS key, t.order_id, t.amount, t.currency, t.created_at, o.synced_at,
            count(*) OVER (PARTITION BY o.store_id, {key}) AS count
        FROM orders_transaction t JOIN orders_order o ON o.id = t.order_id
        WHERE {chosen} AND t.status IN ('failure', 'error') AND t.kind IN ('authorization', 'sale', 'capture')
            AND t.created_at > %(since)s AND t.created_at <= %(now)s AND o.deleted_at IS NULL
    )
    SELECT store_id, key, order_id, amount, currency, created_at, synced_at
    FROM failed WHERE count >= %(limit)s ORDER BY created_at, order_id
"""


class Settings(RuleSettings):
    """How many failures in how short a time, by what the buyer is recognised by."""

    customer_failures: int = Field(
        4,
        ge=2,
        le=1000,
        title="Per customer",
        description="Failed payments of one customer within the window, or more.",
    )
    payment_failures: int = Field(
        5,
        ge=2,
        le=1000,
        title="Per payment card",
        description="Failed payments with one card within the window, or more.",
    )
    address_failures: int = Field(
        5, ge=2, le=1000, title="Per address", description="Failed payments for one shipping address, or more."
    )
    ip_failures: int = Field(
        6,
        ge=2,
        le=1000,
        title="Per IP address",
        description="Failed payments from one IP address within the window, or more.",
    )
    window_hours: int = Field(24, ge=1, le=720, title="Window", description="Hours that are looked back.")

    def limit(self, kind: str) -> int:
        """Failures that are too many for one kind of identity."""
        return int(getattr(self, f"{kind}_failures"))


@detector(
    slug="failed-payments",
    title="Failed payments",
    kind="fraud-pattern-alert",
    settings=Settings,
    events=frozenset({"transaction.created", "order.created", "order.updated"}),
    mitigation="See whether a payment went through in the end and with which card; hold that order until the buyer is verified.",
    escalation="Escalate when many cards were tried, or the failures go on: somebody is testing stolen cards.",
    rollback="Release the held orders and help the customer to pay.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Customers, cards, addresses and IP addresses with too many failed payments in the window.

    Authorizations, captures and sales count that failed or ended in an error. Failures that are too many by several
    identities are told once, by the surest. The money at risk is the largest amount that was tried, for it is tried over
    and over.
    """
    values = {"now": now, "since": now - timedelta(hours=settings.window_hours)}
    for cluster, store, name in suspicious(subjects, _FAILED, values, settings.limit):
        yield _hit(cluster, store, name, settings, now)


def _hit(cluster: Cluster, store: Store, name: str, settings: Settings, now: datetime) -> Hit:
    found, limit = cluster.found, settings.limit(cluster.kind)
    failures, orders = plural(found.count, "failed payment"), plural(len(cluster.orders), "order")
    return fraud_hit(
        store=store,
        subject=cluster.subject,
        target=name,
        draft=f"{failures} by {cluster.words} within {span(found)}. {name}. {orders}",
        rationale=f"{failures} for {orders} by {cluster.words} in {settings.window_hours} hours, at or above the limit of "
        f"{limit}. Stolen card numbers are tried one after the other until one works; honest buyers give up sooner.",
        data={
            "identity": cluster.kind,
            "failureCount": found.count,
            "orderCount": len(cluster.orders),
            "threshold": limit,
            "windowHours": settings.window_hours,
            **found.as_json(),
        },
        observed_at=found.observed_at or now,
        impact=found.largest.main(store.currency),
        confidence="0.75" if found.count < 2 * limit else "0.90",
        tier="safety" if found.count < 2 * limit else "policy",
        operation="transaction-query",
        query="transactions.list",
    )
