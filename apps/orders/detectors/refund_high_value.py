"""High-value refund: single refunds of much money."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.orders.findings import money, refund_hit, touched
from apps.orders.models import Refund


class Settings(RuleSettings):
    """The limit, in the given currency."""

    amount: Decimal = Field(
        Decimal(500),
        gt=0,
        le=1_000_000,
        title="Amount",
        description="A refund above it is judged, in units of the currency.",
    )
    currency: str = Field(
        "",
        pattern="^([A-Z]{3})?$",
        title="Currency",
        description="Three letters; empty: the amount counts in whatever currency a refund has.",
    )
    window_days: int = Field(
        14, ge=1, le=365, title="Window", description="Days for which a refund stays on the queue."
    )


@detector(
    slug="refund-high-value",
    title="High-value refund",
    kind="refund-anomaly-alert",
    settings=Settings,
    events=frozenset({"refund.created"}),
    mitigation="Check who granted the refund and why, and that goods came back where they had to.",
    escalation="Escalate when the refund was not agreed with the customer, or its grantor is not known.",
    rollback="Review refund policy and customer communication. Investigate root cause.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Refunds of more than the amount, where money moved.

    No rate of exchange is used: with a currency set, refunds in other currencies are not judged by this rule.
    """
    which = touched(subjects)
    refunds = Refund.objects.money_moved().filter(
        which.where("refund", "pk") | which.where("order", "order_id"),
        amount__gt=settings.amount,
        created_at__gt=now - timedelta(days=settings.window_days),
        created_at__lte=now,
    )
    if settings.currency:
        refunds = refunds.filter(currency=settings.currency)
    for refund in refunds.select_related("store", "order").order_by().iterator(chunk_size=2000):
        order, amount = refund.order, money(refund.amount, refund.currency)
        yield refund_hit(
            store=refund.store,
            subject=f"refund:{refund.pk}",
            pattern=f"High-value refund of order #{order.number.lstrip('#')}",
            draft=f"Refund anomaly detected: {amount} paid back for order #{order.number.lstrip('#')}. "
            "1 refund. Pattern: High-value refund",
            rationale=f"A single refund of {amount} is above the {settings.amount:,.2f} limit; the order's total is "
            f"{money(order.total, order.currency)}. Large refunds deserve a second pair of eyes.",
            data={
                "refundId": refund.pk,
                "orderId": order.pk,
                "amount": str(refund.amount),
                "currency": refund.currency,
                "threshold": str(settings.amount),
                "createdAt": refund.created_at.isoformat(),
                "refundCount": 1,
                "affectedOrders": [order.pk],
            },
            observed_at=refund.synced_at,
            impact=(refund.amount, refund.currency),
        )
