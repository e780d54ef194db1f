"""Refunds of one customer: somebody who gets money back again and again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count
from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.core.numbers import plural
from apps.orders.findings import group, refund_hit, stores_by_id, touched
from apps.orders.models import Customer, Refund


class Settings(RuleSettings):
    """How many refunds in how many days."""

    refunds: int = Field(3, ge=2, le=1000, title="Refunds", description="So many refunds of one customer, or more.")
    window_days: int = Field(90, ge=1, le=730, title="Window", description="Days that are looked back.")


@detector(
    slug="refund-customer",
    title="Refunds of one customer",
    kind="refund-anomaly-alert",
    settings=Settings,
    events=frozenset({"refund.created"}),
    mitigation="Read the reasons of the refunds, and agree with the customer how to go on.",
    escalation="Escalate when goods did not come back, or the reasons contradict each other.",
    rollback="Review refund policy and customer communication. Investigate root cause.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Customers with at least so many refunds in the window, where money moved."""
    refunds = Refund.objects.money_moved().filter(
        touched(subjects).where("customer", "customer_id"),
        customer__isnull=False,
        created_at__gt=now - timedelta(days=settings.window_days),
        created_at__lte=now,
    )
    many = refunds.order_by().values("customer_id").annotate(count=Count("pk")).filter(count__gte=settings.refunds)
    customers = list(many.values_list("customer_id", flat=True))
    rows = refunds.filter(customer_id__in=customers).order_by("pk").values_list(
        "store_id", "customer_id", "order_id", "amount", "currency", "created_at", "synced_at"
    )  # fmt: skip
    groups = group(rows.iterator(chunk_size=5000))
    stores = stores_by_id(store for store, _ in groups)
    names = Customer.objects.in_bulk(customers)
    for (store_id, customer_id), found in groups.items():
        name = str(names[customer_id])
        yield refund_hit(
            store=stores[store_id],
            subject=f"customer:{customer_id}",
            pattern=f"Customer {name}",
            draft=f"Refund anomaly detected: {name} was refunded {found.count} times. "
            f"{plural(found.count, 'refund')} in {settings.window_days} days. Pattern: One customer",
            rationale=f"{plural(found.count, 'refund')} of {found.sums} to one customer in {settings.window_days} "
            f"days, at or above the limit of {settings.refunds}. This may be abuse of the refund policy, or a customer we "
            "keep disappointing.",
            data={
                "customerId": customer_id,
                "refundCount": found.count,
                "threshold": settings.refunds,
                "windowDays": settings.window_days,
                **found.as_json(),
            },
            observed_at=found.observed_at or now,
            impact=found.sums.main(stores[store_id].currency),
        )
