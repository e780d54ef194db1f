"""Order ageing: orders that wait too long to be sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self

from django.db.models import Q
from pydantic import Field, model_validator

from apps.actions.rules import Hit, RuleSettings, Subjects, Tier, detector
from apps.orders.findings import Epoch, moment, money, source_of, touched
from apps.orders.models import Order


class Settings(RuleSettings):
    """Days since the order was placed; a card opens when more than the first has passed."""

    warning_days: int = Field(3, ge=1, le=90, title="Warning", description="Days after which a card opens, tier low.")
    critical_days: int = Field(5, ge=1, le=90, title="Critical", description="Days after which the tier is safety.")
    urgent_days: int = Field(7, ge=1, le=90, title="Urgent", description="Days after which the tier is policy.")
    include_partial: bool = Field(False, title="Partly sent too", description="Judge partly fulfilled orders as well.")

    @model_validator(mode="after")
    def rising(self) -> Self:
        if not self.warning_days < self.critical_days < self.urgent_days:
            raise ValueError("Warning, critical and urgent must rise: warning < critical < urgent.")
        return self


def tier_of(age: timedelta, settings: Settings) -> Tier:
    """The tier of an order of this age."""
    if age > timedelta(days=settings.urgent_days):
        return "policy"
    return "safety" if age > timedelta(days=settings.critical_days) else "low"


@detector(
    slug="order-ageing",
    title="Order ageing",
    kind="order-aging-alert",
    settings=Settings,
    events=frozenset({"order.created", "order.updated", "order.cancelled", "fulfillment.updated"}),
    mitigation="Contact the customer with an explanation and an estimated fulfillment date, and send the order.",
    escalation="Escalate when the order has waited longer than the urgent limit, or the stock is missing.",
    rollback="Contact customer with explanation and estimated fulfillment date",
    actions=("message_customer", "tag_order", "annotate_order", "open_ticket"),
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Unfulfilled orders older than the fulfillment promise, with no fulfillment scheduled.

    A schedule whose time has passed no longer excuses an order; cancelled, closed, deleted, refunded and voided orders
    are not waited for. The money at risk is the order's total.
    """
    orders = Order.objects.awaited().filter(
        Q(fulfillment_scheduled_at=None) | Q(fulfillment_scheduled_at__lte=now),
        touched(subjects).where("order", "pk"),
        created_at__lt=now - timedelta(days=settings.warning_days),
    )
    if not settings.include_partial:
        orders = orders.filter(fulfillment_status="unfulfilled")
    rows = orders.order_by().values_list(
        "pk", "number", "total", "currency", Epoch("created_at"), Epoch("synced_at"), "fulfillment_status", "financial_status",
        "customer__name", "store__scope_id", "store__platform", "store__name",
    )  # fmt: skip
    for row in rows.iterator(chunk_size=5000):
        yield _hit(row, now, settings)


def _hit(row: tuple, now: datetime, settings: Settings) -> Hit:
    pk, number, total, currency, created, synced, status, paid, customer, scope, platform, store = row
    created, synced, amount = moment(created), moment(synced), money(total, currency)
    age = now - created
    days = age.days
    # A platform's numbers carry their own sign; written once either way.
    name = f"Order #{number.lstrip('#')}"
    return Hit(
        subject=f"order:{pk}",
        scope_id=scope,
        target=name,
        draft=f"{name} has been unfulfilled for {days} days. Customer: {customer or 'guest'}. Total: {amount}",
        message=f"Hello {customer or 'there'},\n\nyour order {number} from {store} has not left us yet, and we are "
        "sorry for the wait. We are looking into it now and will write to you with the date on which it will be sent. If you "
        f"would rather cancel it, simply answer this message.\n\nKind regards\n{store}",
        rationale=f"Order has been unfulfilled for {days} days, exceeding our {settings.warning_days}-day fulfillment "
        f"SLA. Customer may request cancellation or refund, impacting revenue ({amount}) and satisfaction.",
        data={
            "orderId": pk,
            "status": status,
            "financialStatus": paid,
            "createdAt": created.isoformat(),
            "days": days,
            "total": str(total),
            "currency": currency,
            "thresholdDays": settings.warning_days,
        },
        source=source_of(platform),
        operation="order-query",
        query="orders.list",
        observed_at=synced,
        expected_impact=total,
        currency=currency,
        confidence=Decimal("0.95"),
        ease=4,
        tier=tier_of(age, settings),
        can_execute=True,
    )
