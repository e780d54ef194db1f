"""High false-positive rate: a rule that operators mostly find wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Q
from pydantic import Field

from apps.actions.models import ActionCard
from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.actions.rules import rules as registry


class Settings(RuleSettings):
    """When a rule is wrong too often."""

    rate: float = Field(0.3, gt=0, lt=1, title="Rate", description="Share of decided cards (0 to 1) that were false.")
    days: int = Field(7, ge=1, le=90, title="Days", description="Days of decisions that are looked at.")
    minimum: int = Field(20, ge=1, le=10_000, title="Minimum", description="Decisions below which no rate is judged.")


@detector(
    slug="false-positives",
    title="High false-positive rate",
    kind="monitoring-alert",
    settings=Settings,
    watch=True,
    mitigation="Look at what was dismissed as false and why, and adjust the rule's thresholds; the next version holds at once.",
    escalation="Escalate when the rate stays high after the thresholds were adjusted.",
    rollback="Make a version of the rule with the former thresholds.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Rules of whose decided cards too large a share was dismissed as false in the last days."""
    since = now - timedelta(days=settings.days)
    decided = ActionCard.objects.filter(
        closed_at__gt=since, closed_at__lte=now, status__in=["executed", "escalated", "dismissed"]
    )
    counted = (
        decided.order_by()
        .values_list("rule")
        .annotate(all=Count("id"), wrong=Count("id", filter=Q(outcome=ActionCard.Outcome.FALSE)))
    )
    for slug, count, wrong in counted:
        if count >= settings.minimum and wrong / count > settings.rate:
            yield _hit(slug, count, wrong, now, settings)


def _hit(slug: str, count: int, wrong: int, now: datetime, settings: Settings) -> Hit:
    title = registry[slug].title if slug in registry else slug
    share = f"{wrong} of {count} ({wrong / count:.0%})"
    return Hit(
        subject=f"rule:{slug}",
        scope_id=None,
        target=f"Rule: {title}",
        draft=f"{share} decided cards of “{title}” were false alarms in {settings.days} days.",
        rationale=f"{share} is above the {settings.rate:.0%} limit. Alarms that are mostly wrong cost time, and make people "
        "overlook the right ones.",
        data={"rule": slug, "decided": count, "false": wrong, "threshold": settings.rate, "days": settings.days},
        source="riskdesk",
        operation="card-query",
        query="cards.decided",
        observed_at=now,
        expected_impact=Decimal(0),
        currency="USD",
        confidence=Decimal("0.9"),
        ease=3,
        tier="low",
        can_execute=False,
        expected_loss=Decimal(100),
    )
