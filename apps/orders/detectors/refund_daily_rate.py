"""Daily refund rate: a fixed limit on the share of day's orders that are refunded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.orders.findings import fixed_rate_hit, refund_rates


class Settings(RuleSettings):
    """The limit, as a share of orders."""

    rate: float = Field(
        0.05, gt=0, lt=1, title="Rate", description="Share of the day's orders (0 to 1) that is too much."
    )
    minimum_orders: int = Field(
        1, ge=1, le=100_000, title="Minimum orders",
        description="Orders below which no rate is judged; raise it in small shops, where one refund is a high rate.",
    )  # fmt: skip


@detector(
    slug="refund-daily-rate",
    title="Daily refund rate",
    kind="refund-anomaly-alert",
    settings=Settings,
    events=frozenset({"refund.created"}),
    mitigation="Look at what was refunded: one product, one reason, one customer, or one member of staff?",
    escalation="Escalate when the rate stays above the limit the next day, or fraud or a faulty product is likely.",
    rollback="Review refund policy and customer communication. Investigate root cause.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Stores that refunded a larger share of today's orders than the limit.

    Days are the store's own. Refunds count on the day they are made and only if money moved. The money at risk is
    what was paid back.
    """
    for rate in refund_rates(now, days=1, subjects=subjects):
        if rate.orders >= settings.minimum_orders and rate.share > settings.rate:
            yield fixed_rate_hit(
                rate, now=now, pattern="Daily refund rate", when="today's", timeframe="the day", limit=settings.rate
            )
