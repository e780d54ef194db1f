"""How well the queue works: the order monitoring specification's five figures, computed by the database.

A card is decided when a person dismissed, escalated or executed it; what resolved itself counts as an alert only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Aggregate, Count, DurationField, ExpressionWrapper, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from apps.actions.models import ActionCard
from apps.core.models import User

DECIDED = ("dismissed", "escalated", "executed", "rolled_back")


class Percentile(Aggregate):
    """A continuous percentile; ``fraction`` is 0 to 1."""

    function = "percentile_cont"
    template = "percentile_cont(%(fraction)s) WITHIN GROUP (ORDER BY %(expressions)s)"

    def __init__(self, expression: object, *, fraction: float) -> None:
        super().__init__(expression, fraction=float(fraction), output_field=DurationField())


@dataclass(frozen=True, slots=True)
class Day:
    """What one day (UTC) brought."""

    day: date
    opened: int
    decided: int
    false: int
    escalated: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a range of time. Rates are shares from 0 to 1, None if nothing was decided.

    Attributes:
        alerts: cards opened.
        resolved: cards that resolved themselves.
        per_day: cards opened per day of the range.
        time_to_decision: median and 90th percentile from opening to a person's decision.
        revenue_protected: impact of executed cards and of those dismissed as true and handled, by currency.
    """

    alerts: int
    per_day: float
    decided: int
    resolved: int
    false: int
    false_positive_rate: float | None
    escalated: int
    escalation_rate: float | None
    median_time: timedelta | None
    p90_time: timedelta | None
    revenue_protected: dict[str, Decimal]


def for_user(*, user: User, start: datetime, end: datetime) -> Summary:
    """The figures of the cards that a person may see."""
    return summary(cards=ActionCard.objects.visible_to(user), start=start, end=end)


def summary(*, cards: QuerySet[ActionCard], start: datetime, end: datetime) -> Summary:
    """The figures of some cards, opened or closed from ``start`` (included) to ``end`` (excluded). Four queries."""
    alerts = cards.filter(opened_at__gte=start, opened_at__lt=end).count()
    closed = cards.filter(closed_at__gte=start, closed_at__lt=end).order_by()
    by_person = Q(status__in=DECIDED)
    took = ExpressionWrapper(F("closed_at") - F("opened_at"), output_field=DurationField())
    figures = closed.annotate(took=took).aggregate(
        decided=Count("id", filter=by_person),
        resolved=Count("id", filter=Q(status="resolved")),
        false=Count("id", filter=Q(outcome="false")),
        escalated=Count("id", filter=Q(status="escalated")),
    )
    times = (
        closed.filter(by_person)
        .annotate(took=took)
        .aggregate(median=Percentile("took", fraction=0.5), p90=Percentile("took", fraction=0.9))
    )
    handled = Q(status="executed") | Q(status="dismissed", outcome="true")
    protected = closed.filter(handled).values_list("currency").annotate(Sum("expected_impact"))
    decided, days = figures["decided"], max((end - start) / timedelta(days=1), 1e-9)
    return Summary(
        alerts=alerts,
        per_day=alerts / days,
        decided=decided,
        resolved=figures["resolved"],
        false=figures["false"],
        false_positive_rate=figures["false"] / decided if decided else None,
        escalated=figures["escalated"],
        escalation_rate=figures["escalated"] / decided if decided else None,
        median_time=times["median"],
        p90_time=times["p90"],
        revenue_protected={currency: amount for currency, amount in protected if amount},
    )


def by_day(*, user: User, start: datetime, end: datetime) -> list[Day]:
    """One row for each day (UTC) of the range, those without a card too. Two queries."""
    cards = ActionCard.objects.visible_to(user).order_by()
    opened = dict(
        cards.filter(opened_at__gte=start, opened_at__lt=end)
        .annotate(day=TruncDate("opened_at"))
        .values_list("day")
        .annotate(Count("id"))
    )
    closed = {
        day: counts
        for day, *counts in cards.filter(closed_at__gte=start, closed_at__lt=end)
        .annotate(day=TruncDate("closed_at"))
        .values_list("day")
        .annotate(
            decided=Count("id", filter=Q(status__in=DECIDED)),
            false=Count("id", filter=Q(outcome="false")),
            escalated=Count("id", filter=Q(status="escalated")),
        )
    }
    first, last = start.date(), (end - timedelta(microseconds=1)).date()
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [Day(day, opened.get(day, 0), *closed.get(day, (0, 0, 0))) for day in days]


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """How one rule's cards did in a range of time."""

    rule: str
    alerts: int
    decided: int
    false: int
    escalated: int

    @property
    def false_positive_rate(self) -> float | None:
        """Share of the decided cards that were wrong, from 0 to 1."""
        return self.false / self.decided if self.decided else None


def by_rule(*, user: User, start: datetime, end: datetime) -> list[RuleFigures]:
    """Rules that opened or closed a card in the range, the busiest first. Two queries."""
    cards = ActionCard.objects.visible_to(user).order_by()
    opened = dict(cards.filter(opened_at__gte=start, opened_at__lt=end).values_list("rule").annotate(Count("id")))
    closed = {
        rule: counts
        for rule, *counts in cards.filter(closed_at__gte=start, closed_at__lt=end)
        .values_list("rule")
        .annotate(
            decided=Count("id", filter=Q(status__in=DECIDED)),
            false=Count("id", filter=Q(outcome="false")),
            escalated=Count("id", filter=Q(status="escalated")),
        )
    }
    found = [RuleFigures(rule, opened.get(rule, 0), *closed.get(rule, (0, 0, 0))) for rule in {*opened, *closed}]
    return sorted(found, key=lambda one: (-one.alerts, one.rule))
