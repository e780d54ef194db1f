"""First order of high value: somebody unknown buys for much money."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Exists, F, OuterRef
from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.orders.findings import money, order_fraud_hit, touched
from apps.orders.models import Order


class Settings(RuleSettings):
    """From what total on, and which first orders."""

    amount: Decimal = Field(
        Decimal(500), gt=0, le=1_000_000, title="Amount",
        description="A first order above it is judged, in units of the currency.",
    )  # fmt: skip
    policy_factor: Decimal = Field(
        Decimal(4), ge=1, le=1000, title="Factor of the highest tier",
        description="Factor: so many times the amount, or more, is of tier policy.",
    )  # fmt: skip
    currency: str = Field(
        "", pattern="^([A-Z]{3})?$", title="Currency",
        description="Three letters; empty: the amount counts in whatever currency an order has.",
    )  # fmt: skip
    guests: bool = Field(
        True, title="Guests", description="Judge orders without a customer account as first orders too."
    )
    window_days: int = Field(
        7, ge=1, le=365, title="Window", description="Days since the order, for which it is judged."
    )


@detector(
    slug="first-order-high-value",
    title="First order of high value",
    kind="fraud-pattern-alert",
    settings=Settings,
    events=frozenset({"order.created", "order.updated", "order.cancelled", "customer.created"}),
    mitigation="Hold the order and verify the buyer: a call back, a matching name on the card, delivery with signature.",
    escalation="Escalate when the buyer cannot be verified, or wants the goods sent faster or elsewhere.",
    rollback="Release the hold and tell the customer that the order goes on.",
    actions=("hold_order", "tag_order", "annotate_order", "open_ticket"),
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Orders above the amount, not sent yet, of customers who have no earlier order that still stands.

    Cancelled and deleted earlier orders make nobody known. The money at risk is the order's total.
    """
    which = touched(subjects)
    earlier = Order.objects.existing().filter(
        customer=OuterRef("customer"), cancelled_at=None, created_at__lt=OuterRef("created_at")
    )
    orders = Order.objects.awaited().filter(
        which.where("order", "pk") | which.where("customer", "customer_id"),
        total__gt=settings.amount,
        created_at__gt=now - timedelta(days=settings.window_days),
        created_at__lte=now,
    )
    if settings.currency:
        orders = orders.filter(currency=settings.currency)
    if not settings.guests:
        orders = orders.filter(customer__isnull=False)
    first = orders.annotate(customer_since=F("customer__created_at")).filter(~Exists(earlier))
    for order in first.select_related("store").order_by().iterator(chunk_size=2000):
        yield _hit(order, settings)


def _hit(order: Order, settings: Settings) -> Hit:
    since: datetime | None = order.customer_since  # type: ignore[attr-defined]  # annotated above
    buyer = "a guest" if order.customer_id is None else "a new customer"
    known = f", whose account is from {since:%Y-%m-%d}" if since else ""
    return order_fraud_hit(
        order,
        pattern=f"first order of {buyer}",
        rationale=f"The first order of {buyer}{known} is worth {money(order.total, order.currency)}, above the "
        f"{settings.amount:,.2f} limit. Stolen cards are tried on new accounts, and for as much as they give.",
        data={
            "customerId": order.customer_id,
            "customerSince": since.isoformat() if since else None,
            "threshold": str(settings.amount),
        },
        confidence="0.50",
        tier="policy" if order.total >= settings.amount * settings.policy_factor else "safety",
    )
