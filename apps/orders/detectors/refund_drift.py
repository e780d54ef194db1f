"""Refund drift: a refund rate that rises slowly and stays up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from pydantic import Field, model_validator

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.core.numbers import plural
from apps.orders.findings import Money, count_of, percent, refund_hit, touched
from apps.orders.models import Store
from apps.orders.refund_days import History, histories, paid_back, refunded
from apps.orders.statistics import cusum, cusum_limit


class Settings(RuleSettings):
    """What is normal, which rise is looked for, and how sure it must be."""

    ratio: float = Field(
        2.0, gt=1, le=10, title="Ratio", description="The rise of the rate that shall be found soonest, as a factor."
    )
    limit_20: float = Field(
        3.54, gt=0, le=50, title="Limit at 20 orders", description="Level of alarm at 20 orders due a day, or fewer."
    )
    limit_50: float = Field(
        3.98, gt=0, le=50, title="Limit at 50 orders", description="Level of alarm at 50 orders due a day."
    )
    limit_200: float = Field(
        4.10, gt=0, le=50, title="Limit at 200 orders", description="Level of alarm at 200 orders due a day, or more."
    )
    watch_days: int = Field(
        60, ge=7, le=365, title="Watched", description="Complete days over which a rise is followed."
    )
    baseline_days: int = Field(
        180, ge=30, le=730, title="Baseline", description="Days before the watched ones that are normal."
    )
    longest_lag: int = Field(
        45, ge=1, le=365, title="Longest lag", description="Days after the order up to which its refunds are compared."
    )
    minimum_orders: int = Field(
        400, ge=1, le=1_000_000, title="Minimum baseline orders",
        description="Orders due in the baseline below which it is thin and nothing is judged.",
    )  # fmt: skip
    minimum_refunds: int = Field(
        10, ge=1, le=100_000, title="Minimum baseline refunds",
        description="Refunds in the baseline below which it is thin and nothing is judged.",
    )  # fmt: skip

    @model_validator(mode="after")
    def rising(self) -> Self:
        if not self.limit_20 <= self.limit_50 <= self.limit_200:
            raise ValueError("More orders need a higher limit: limit at 20 <= at 50 <= at 200.")
        return self

    def limit(self, orders_a_day: float) -> float:
        """The level of alarm at a volume of orders."""
        return cusum_limit(orders_a_day, [(20, self.limit_20), (50, self.limit_50), (200, self.limit_200)])


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one store's refunds have drifted.

    Args:
        since: the place in the history at which the rise began.
        level: of the CUSUM on the last day; None if the baseline is too thin to judge.
    """

    history: History
    since: int
    level: float | None
    limit: float
    refunds: int
    orders: int
    baseline_refunds: int
    baseline_orders: int


@detector(
    slug="refund-drift",
    title="Refund drift",
    kind="refund-anomaly-alert",
    settings=Settings,
    events=frozenset({"refund.created"}),
    once_a_day=True,
    mitigation="Look for what changed when the rise began: a supplier, a product, a description, a carrier, the return policy?",
    escalation="Escalate when the cause is not found within a week, or the rise goes on.",
    rollback="Review refund policy and customer communication. Investigate root cause.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Stores whose refund rate has risen over weeks, by too little on each day to be a spike.

    A binomial log-likelihood CUSUM follows the last complete days, of refunds against orders due at equal age. The limits
    are chosen for one false alarm a year at a normal rate of 3 %. With too thin a baseline nothing is judged, and a low
    card says so. The money at risk is what was paid back since the rise began.
    """
    days = settings.watch_days + settings.baseline_days + settings.longest_lag
    stores = Store.objects.filter(touched(subjects).where("store", "pk"))
    found = [
        drift
        for history in histories(stores, now, days, settings.longest_lag, products=False)
        if (drift := _drift(history, days, settings)) is not None
    ]
    if found:
        longest = max(days - drift.since for drift in found)
        money = paid_back([one.history.store.pk for one in found], [], now - timedelta(days=longest + 2), now)
        for drift in found:
            subject = f"store:{drift.history.store.pk}"
            first = drift.history.day(drift.since)
            paid = [one for (about, day), one in money.items() if about == subject and day >= first]
            seen = max((one.observed_at for one in paid if one.observed_at), default=now)
            yield _hit(drift, total([one.sums for one in paid]), seen, settings)


def total(sums: list[Money]) -> Money:
    """The sum of several sums."""
    return Money((currency, amount) for one in sums for currency, amount in one.sums.items())


def _drift(history: History, days: int, settings: Settings) -> Drift | None:
    """The drift of a store; None if there is none, or nothing was refunded at all in the watched days."""
    watched = range(days - settings.watch_days, days)
    baseline = range(watched.start - settings.baseline_days, watched.start)
    due = history.due(history.shares(baseline, settings.longest_lag))
    known, base = refunded(history.refunds, baseline), sum(due[baseline.start : baseline.stop])
    counts = [(refunded(history.refunds, range(day, day + 1)), due[day]) for day in watched]
    limit = settings.limit(sum(orders for _, orders in counts) / len(counts))
    normal = known / base if base else 0.0
    if base < settings.minimum_orders or known < settings.minimum_refunds or normal * settings.ratio >= 1:
        thin = sum(refunds for refunds, _ in counts) >= settings.minimum_refunds
        return _told(history, watched.start, None, limit, counts, (known, base)) if thin else None
    levels = cusum(counts, normal, settings.ratio)
    if levels[-1] <= limit:
        return None
    rest = max((place for place, level in enumerate(levels) if level == 0), default=-1)
    since = watched.start + rest + 1
    return _told(history, since, levels[-1], limit, counts[rest + 1 :], (known, base))


def _told(
    history: History, since: int, level: float | None, limit: float, counts: list[tuple[int, float]], base: tuple[int, float],
) -> Drift:  # fmt: skip
    refunds, orders = sum(count for count, _ in counts), round(sum(due for _, due in counts))
    return Drift(history, since, level, limit, refunds, max(refunds, orders), base[0], max(base[0], round(base[1])))


def _hit(drift: Drift, paid: Money, observed_at: datetime, settings: Settings) -> Hit:
    store, thin = drift.history.store, drift.level is None
    since, counts = drift.history.day(drift.since), count_of(drift.refunds, drift.orders)
    base = f"{percent(drift.baseline_refunds / max(drift.baseline_orders, 1))} of {drift.baseline_orders:,}"
    pattern = "Baseline thin, not judged" if thin else "Refund drift"
    if thin:
        rationale = (
            f"{plural(drift.refunds, 'refund')} ({counts} orders due) since {since} cannot be judged: the baseline of {base} "
            f"orders due is below the {settings.minimum_orders:,} orders or {settings.minimum_refunds:,} refunds that are "
            "needed."
        )
    else:
        rationale = (
            f"{counts} orders due were refunded since {since}, baseline {base}. Day by day this adds up to a level of "
            f"{drift.level:.1f}, above the limit of {drift.limit:.1f}. Something has changed for the worse and stays so."
        )
    return refund_hit(
        store=store,
        subject=f"store:{store.pk}",
        pattern=f"{pattern} ({store.name})",
        draft=f"Refund anomaly detected: {counts} orders due refunded at {store.name} since {since}, baseline {base}. "
        f"Pattern: {pattern}",
        rationale=rationale,
        data={
            "since": since.isoformat(),
            "refundCount": drift.refunds,
            "ordersDue": drift.orders,
            "baselineRefunds": drift.baseline_refunds,
            "baselineOrders": drift.baseline_orders,
            "baselineDays": settings.baseline_days,
            "judged": not thin,
            "level": None if drift.level is None else round(drift.level, 2),
            "limit": round(drift.limit, 2),
            "paidBack": paid.as_json(),
        },
        observed_at=observed_at,
        impact=paid.main(store.currency),
        confidence="0.30" if thin else "0.85",
        tier="low" if thin else "policy",
    )
