"""Refunds of one product: something that comes back again and again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count
from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.core.numbers import plural
from apps.orders.findings import Touched, group, refund_hit, stores_by_id, touched
from apps.orders.models import OrderLine, Product, Refund, RefundLine


class Settings(RuleSettings):
    """How many refunds in how many days."""

    refunds: int = Field(5, ge=2, le=10_000, title="Refunds", description="So many refunds of one product, or more.")
    window_days: int = Field(30, ge=1, le=730, title="Window", description="Days that are looked back.")


@detector(
    slug="refund-product",
    title="Refunds of one product",
    kind="refund-anomaly-alert",
    settings=Settings,
    events=frozenset({"refund.created"}),
    mitigation="Read the reasons; check the batch, the description and the pictures; stop selling it if it is faulty.",
    escalation="Escalate when the product may hurt somebody, or a whole batch is faulty.",
    rollback="Review refund policy and customer communication. Investigate root cause.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Products that stand in at least so many refunds of the window, where money moved.

    A refund counts once however many of the product's lines are in it. The money at risk is what the lines are worth.
    """
    moved = Refund.objects.money_moved().filter(
        created_at__gt=now - timedelta(days=settings.window_days), created_at__lte=now
    )
    lines = RefundLine.objects.filter(refund__in=moved, product__isnull=False)
    which = touched(subjects)
    if not which.everything:
        lines = lines.filter(product_id__in=_products(which))
    many = lines.order_by().values("product_id").annotate(count=Count("refund_id", distinct=True))
    counts = dict(many.filter(count__gte=settings.refunds).values_list("product_id", "count"))
    rows = lines.filter(product_id__in=list(counts)).order_by("pk").values_list(
        "refund__store_id", "product_id", "refund__order_id", "amount", "refund__currency", "refund__created_at",
        "refund__synced_at",
    )  # fmt: skip
    groups = group(rows.iterator(chunk_size=5000))
    stores = stores_by_id(store for store, _ in groups)
    titles = Product.objects.in_bulk(list(counts))
    for (store_id, product_id), found in groups.items():
        title, count = titles[product_id].title, counts[product_id]
        yield refund_hit(
            store=stores[store_id],
            subject=f"product:{product_id}",
            pattern=f"Product {title}",
            draft=f"Refund anomaly detected: {title} is refunded often. {plural(count, 'refund')} in "
            f"{settings.window_days} days. Pattern: One product",
            rationale=f"{plural(count, 'refund')} with {title} in {settings.window_days} days, worth {found.sums}, at "
            f"or above the limit of {settings.refunds}. This may be a quality issue, or a description that promises too "
            "much.",
            data={
                "productId": product_id,
                "refundCount": count,
                "threshold": settings.refunds,
                "windowDays": settings.window_days,
                **found.as_json(),
            },
            observed_at=found.observed_at or now,
            impact=found.sums.main(stores[store_id].currency),
        )


def _products(which: Touched) -> set[int]:
    """The touched products, and those of the touched orders."""
    of_orders = OrderLine.objects.filter(order_id__in=which.ids["order"], product__isnull=False)
    return which.ids["product"] | set(of_orders.values_list("product_id", flat=True))
