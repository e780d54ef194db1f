"""Platform risk: the store platform itself warns of an order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Q
from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, Tier, detector
from apps.orders.findings import order_fraud_hit, touched
from apps.orders.models import RiskAssessment


class Settings(RuleSettings):
    """Which verdicts count, and for how long."""

    include_investigate: bool = Field(
        True,
        title="Recommended to investigate",
        description="Judge orders of medium risk that should be investigated too.",
    )
    include_sent: bool = Field(
        False,
        title="Sent orders too",
        description="Judge orders that have left already; only the money can be saved then.",
    )
    window_days: int = Field(30, ge=1, le=365, title="Window", description="Days for which a verdict counts.")


@detector(
    slug="platform-risk",
    title="Risk verdict of the platform",
    kind="fraud-pattern-alert",
    settings=Settings,
    events=frozenset({"risk.changed", "order.created", "order.updated", "order.cancelled"}),
    mitigation="Hold the order, read the platform's reasons, and verify the buyer or cancel before anything is sent.",
    escalation="Escalate when the goods have left already, or several orders of one buyer are warned of.",
    rollback="Release the hold and tell the customer that the order goes on.",
    actions=("hold_order", "tag_order", "annotate_order", "open_ticket"),
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Orders that the platform calls a high risk, or recommends to cancel or to investigate, and that are not sent yet.

    The newest verdict counts; a cancelled, closed, deleted or refunded order needs none. The money at risk is the
    order's total.
    """
    bad = Q(level="high") | Q(recommendation="cancel")
    if settings.include_investigate:
        bad |= Q(recommendation="investigate")
    verdicts = RiskAssessment.objects.filter(
        # The first condition is that of the index, whatever the settings leave of it.
        Q(level="high") | Q(recommendation__in=["cancel", "investigate"]),
        bad,
        touched(subjects).where("order", "order_id"),
        assessed_at__gt=now - timedelta(days=settings.window_days),
        assessed_at__lte=now,
        order__cancelled_at=None,
        order__deleted_at=None,
    ).exclude(order__financial_status__in=["refunded", "voided"])
    if not settings.include_sent:
        verdicts = verdicts.filter(
            order__closed_at=None, order__fulfillment_status__in=["unfulfilled", "partial"]
        )  # fmt: skip
    for verdict in verdicts.select_related("order__store").order_by().iterator(chunk_size=2000):
        yield _hit(verdict)


def _hit(verdict: RiskAssessment) -> Hit:
    tier, confidence = _grade(verdict)
    provider = verdict.provider or "The platform"
    advice = "" if verdict.recommendation == "none" else f" and recommends to {verdict.recommendation} it"
    facts = [str(fact) for fact in verdict.facts][:20]
    return order_fraud_hit(
        verdict.order,
        pattern=f"{provider} sees a {verdict.level} risk{advice}",
        rationale=f"{provider} sees a {verdict.level} risk of fraud in this order{advice}. It knows the buyer from many "
        f"other stores.{' Its reasons: ' + '; '.join(facts) + '.' if facts else ''}",
        data={
            "provider": verdict.provider,
            "level": verdict.level,
            "recommendation": verdict.recommendation,
            "facts": facts,
            "assessedAt": verdict.assessed_at.isoformat(),
        },
        confidence=confidence,
        tier=tier,
        observed_at=max(verdict.assessed_at, verdict.order.synced_at),
    )


def _grade(verdict: RiskAssessment) -> tuple[Tier, str]:
    """Tier and confidence of a verdict."""
    if verdict.recommendation == "cancel":
        return "policy", "0.90"
    return ("policy", "0.80") if verdict.level == "high" else ("safety", "0.60")
