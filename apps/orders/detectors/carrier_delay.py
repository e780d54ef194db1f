"""Carrier delay: parcels that are on their way for too long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self

from django.db.models import Q
from pydantic import Field, model_validator

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.orders.findings import Epoch, moment, source_of, touched
from apps.orders.models import Fulfillment

CENT = Decimal("0.01")


class Settings(RuleSettings):
    """Days since the parcel was handed over, by shipping method."""

    standard_days: int = Field(5, ge=1, le=90, title="Standard", description="Days a standard parcel may take.")
    express_days: int = Field(3, ge=1, le=90, title="Express", description="Days an express parcel may take.")
    overnight_days: int = Field(1, ge=1, le=90, title="Overnight", description="Days an overnight parcel may take.")
    loss_share: Decimal = Field(
        Decimal("0.10"), ge=0, le=1, title="Loss share",
        description="Share of the order's total (0 to 1) that a delay costs on average; it sorts the queue only.",
    )  # fmt: skip

    @model_validator(mode="after")
    def faster_is_shorter(self) -> Self:
        if not self.overnight_days <= self.express_days <= self.standard_days:
            raise ValueError("A faster method cannot be given more days: overnight <= express <= standard.")
        return self

    def days(self, method: str) -> int:
        """Days that a method may take; an unknown one counts as standard."""
        return {"express": self.express_days, "overnight": self.overnight_days}.get(method, self.standard_days)


@detector(
    slug="carrier-delay",
    title="Carrier delay",
    kind="carrier-delay-alert",
    settings=Settings,
    events=frozenset({"fulfillment.updated"}),
    mitigation="Ask the carrier where the parcel is, and tell the customer before the customer asks.",
    escalation="Escalate when the carrier has no trace of the parcel, or many parcels of one carrier are late.",
    rollback="Proactively contact customer with tracking update and apology",
    actions=("message_customer", "tag_order", "annotate_order", "open_ticket"),
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Parcels in transit, not delivered, longer on their way than their shipping method allows.

    No revenue is at risk directly, so the expected impact is 0; the expected loss is a share of the order's total.
    """
    fast = {"express": settings.express_days, "overnight": settings.overnight_days}
    late = ~Q(method__in=list(fast)) & Q(created_at__lt=now - timedelta(days=settings.standard_days))
    for method, days in fast.items():
        late |= Q(method=method, created_at__lt=now - timedelta(days=days))
    parcels = Fulfillment.objects.moving().filter(
        late,
        _touched(subjects),
        # The widest of the limits once more: the partial index over created_at can serve it.
        created_at__lt=now - timedelta(days=settings.overnight_days),
        order__deleted_at=None,
    )
    rows = parcels.order_by().values_list(
        "pk", "external_id", "tracking_number", "carrier", "method", "status", Epoch("created_at"), Epoch("estimated_delivery_at"),
        Epoch("synced_at"), "order_id", "order__number", "order__total", "order__currency", "order__customer__name",
        "order__store__scope_id", "order__store__platform", "order__store__name",
    )  # fmt: skip
    for row in rows.iterator(chunk_size=5000):
        yield _hit(row, now, settings)


def _touched(subjects: Subjects | None) -> Q:
    """The parcels an event touched, or all parcels of the orders it touched."""
    if subjects is None:
        return Q()
    return touched(subjects).where("order", "order_id") | Q(pk__in=subjects.ids("fulfillment"))


def _hit(row: tuple, now: datetime, settings: Settings) -> Hit:
    (pk, external, tracking, carrier, method, status, created, expected, synced) = row[:9]
    (order, number, total, currency, customer, scope, platform, store) = row[9:]
    created, allowed = moment(created), settings.days(method)
    days = (now - created).days
    expected = created + timedelta(days=allowed) if expected is None else moment(expected)
    carrier = carrier or "unknown"
    return Hit(
        subject=f"fulfillment:{pk}",
        scope_id=scope,
        target=f"Tracking #{tracking}" if tracking else f"Parcel {external} of order #{number.lstrip('#')}",
        draft=f"Shipment for Order #{number.lstrip('#')} is delayed. Expected delivery: {expected:%Y-%m-%d}, "
        f"Current status: In transit for {days} days. Carrier: {carrier}",
        message=f"Hello {customer or 'there'},\n\nyour parcel for order {number} from {store} is taking longer than we "
        f"promised, and we are sorry.{f' Its tracking number is {tracking}.' if tracking else ''} We are asking the "
        f"carrier where it is and will write to you again as soon as we know.\n\nKind regards\n{store}",
        rationale=f"Shipment has been in transit for {days} days, exceeding the {allowed}-day {method} shipping "
        "window. Customer may file a claim or request refund.",
        data={
            "fulfillmentId": pk,
            "orderId": order,
            "trackingNumber": tracking,
            "carrier": carrier,
            "method": method,
            "status": status,
            "createdAt": created.isoformat(),
            "expectedDelivery": expected.isoformat(),
            "days": days,
            "thresholdDays": allowed,
            "total": str(total),
            "currency": currency,
        },
        source=source_of(platform),
        operation="fulfillment-query",
        query="fulfillments.list",
        observed_at=moment(synced),
        expected_impact=Decimal(0),
        expected_loss=(total * settings.loss_share).quantize(CENT),
        currency=currency,
        confidence=Decimal("0.85"),
        ease=3,
        tier="safety",
        can_execute=True,
    )
