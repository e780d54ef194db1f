"""Country mismatch: bill, parcel and browser are in different countries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import F, Q
from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.orders.findings import order_fraud_hit, touched
from apps.orders.models import Order

PLACES = {"billing": "billing_country", "shipping": "shipping_country", "browser": "ip_country"}


class Settings(RuleSettings):
    """Which differences count, and from what total on."""

    compare_shipping: bool = Field(
        True,
        title="Billing and shipping",
        description="Judge orders that are sent to another country than they are billed to.",
    )
    compare_browser: bool = Field(
        True,
        title="Browser",
        description="Judge orders whose browser is in neither the billing nor the shipping country.",
    )
    accepted_pairs: str = Field(
        "", pattern=r"^([A-Z]{2}-[A-Z]{2}(, ?[A-Z]{2}-[A-Z]{2})*)?$", title="Accepted pairs",
        description="Countries that do not count as different, such as DE-AT, US-CA.",
    )  # fmt: skip
    minimum_total: Decimal = Field(
        Decimal(50), ge=0, le=1_000_000, title="Minimum total",
        description="Orders below it are not judged, in units of the order's currency.",
    )  # fmt: skip
    window_days: int = Field(
        14, ge=1, le=365, title="Window", description="Days since the order, for which it is judged."
    )

    def accepted(self) -> frozenset[frozenset[str]]:
        """The accepted pairs, in either direction."""
        return frozenset(frozenset(pair.strip().split("-")) for pair in self.accepted_pairs.split(",") if pair.strip())


@detector(
    slug="country-mismatch",
    title="Country mismatch",
    kind="fraud-pattern-alert",
    settings=Settings,
    events=frozenset({"order.created", "order.updated", "order.cancelled"}),
    mitigation="Hold the order and ask the customer to confirm the address; a gift or a journey is explained in a sentence.",
    escalation="Escalate when the customer cannot be reached, or all three countries differ.",
    rollback="Release the hold and thank the customer for the confirmation.",
    actions=("hold_order", "tag_order", "annotate_order", "open_ticket"),
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Orders not sent yet whose countries of billing, shipping and browser do not fit each other.

    What is not known is not compared. A browser fits if it is in either of the other two countries. The money at risk is
    the order's total.
    """
    differ = ~Q(shipping_country=F("billing_country")) | ~Q(ip_country=F("shipping_country"))
    orders = Order.objects.awaited().filter(
        differ,
        touched(subjects).where("order", "pk"),
        total__gte=settings.minimum_total,
        created_at__gt=now - timedelta(days=settings.window_days),
        created_at__lte=now,
    )
    for order in orders.select_related("store").order_by().iterator(chunk_size=2000):
        wrong = mismatches(order, settings)
        if wrong:
            yield _hit(order, wrong)


def mismatches(order: Order, settings: Settings) -> list[str]:
    """What does not fit: ``shipping``, ``browser`` or both."""
    accepted = settings.accepted()

    def fits(first: str, second: str) -> bool:
        return first == second or frozenset({first, second}) in accepted

    billing, shipping, browser = order.billing_country, order.shipping_country, order.ip_country
    wrong = []
    if settings.compare_shipping and billing and shipping and not fits(billing, shipping):
        wrong.append("shipping")
    others = [country for country in (billing, shipping) if country]
    if settings.compare_browser and browser and others and not any(fits(browser, other) for other in others):
        wrong.append("browser")
    return wrong


def _hit(order: Order, wrong: list[str]) -> Hit:
    known = {place: getattr(order, column) for place, column in PLACES.items() if getattr(order, column)}
    places = ", ".join(f"{place} {country}" for place, country in known.items())
    return order_fraud_hit(
        order,
        pattern=f"countries do not fit ({places})",
        rationale=f"Countries do not fit: {places}. Stolen cards are often used from abroad, and the goods sent elsewhere "
        "than the bill; gifts and journeys look the same.",
        data={"countries": known, "mismatch": wrong},
        confidence="0.70" if len(wrong) > 1 else "0.45",
        tier="safety" if len(wrong) > 1 else "low",
    )
