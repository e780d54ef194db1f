"""Subscriptions at HIGH risk: the next renewal is likely to fail unless somebody acts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet
from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, Tier, detector
from apps.subscriptions.factors import advice
from apps.subscriptions.models import RiskLevel, RiskScore
from apps.subscriptions.reasons import contributing, money, reasons

CHUNK = 5_000
TOUCHED = 10_000
"""So many subjects of an event are asked for at once."""


class Settings(RuleSettings):
    """How near a renewal must be for a card to come before others."""

    soon_days: int = Field(
        7, ge=0, le=90, title="Soon", description="Days before the renewal from which the tier is policy, not safety."
    )
    minimum_price: Decimal = Field(
        Decimal(0),
        ge=0,
        le=1_000_000,
        max_digits=14,
        decimal_places=2,
        title="Minimum price",
        description="Renewals below this amount, in the subscription's own currency, open no card.",
    )


@detector(
    slug="high-risk",
    title="Subscriptions at high risk",
    kind="subscription-risk-alert",
    settings=Settings,
    events=frozenset({"subscription.risk_changed"}),
    mitigation="Look at the factors, and remove the heaviest with the owner before the renewal is due.",
    escalation="Escalate when the owner cannot be reached before the renewal, or several subscriptions of one owner fail.",
    rollback="Nothing is changed by this card. What was agreed with the owner (a new approval, a top-up, another payment "
    "method, another retry) is undone where it was entered; revoke an approval that was given by mistake.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Active subscriptions whose score is HIGH.

    A level that is lower only because part of the calculation failed keeps the card of a subscription that was told to
    be at HIGH risk, for nothing shows that the risk is gone. The money at risk is one renewal.
    """
    scores = RiskScore.objects.filter(
        Q(risk_level=RiskLevel.HIGH) | Q(degraded=True, last_notified_risk_level=RiskLevel.HIGH),
        subscription__status="active",
        subscription__price__gte=settings.minimum_price,
    )
    if subjects is None:
        yield from _hits(scores, now, settings)
        return
    ids = subjects.uuids("subscription")
    for start in range(0, len(ids), TOUCHED):
        yield from _hits(scores.filter(subscription__in=ids[start : start + TOUCHED]), now, settings)


class _Row(NamedTuple):
    """A score and its subscription, as the query gives them."""

    pk: UUID
    level: str
    factors: list[dict[str, Any]]
    weight: Decimal
    degraded: bool
    problem: str
    calculated_at: datetime
    name: str
    price: Decimal
    currency: str
    renews_on: date
    interval: str
    scope_id: int | None
    next_attempt_at: datetime | None
    version: str


def _hits(scores: QuerySet[RiskScore], now: datetime, settings: Settings) -> Iterator[Hit]:
    rows = scores.order_by().values_list(
        "subscription_id", "risk_level", "risk_factors", "total_weight", "degraded", "degraded_reason",
        "last_calculated_at", "subscription__name", "subscription__price", "subscription__currency",
        "subscription__renews_on", "subscription__interval", "subscription__scope_id", "subscription__next_attempt_at",
        "rule_version",
    )  # fmt: skip
    for row in rows.iterator(chunk_size=CHUNK):
        yield _hit(_Row(*row), now, settings)


def _hit(row: _Row, now: datetime, settings: Settings) -> Hit:
    amount = money(row.price, row.currency)
    found = contributing(row.factors)
    why = "; ".join(f"{one.title}: {one.text}" for one in found) or "Its factors could not be judged"
    doubt = f" Part of it could not be judged: {row.problem}." if row.degraded else ""
    return Hit(
        subject=f"subscription:{row.pk}",
        scope_id=row.scope_id,
        target=f"Subscription {row.name}"[:200],
        draft=f"{row.name} ({amount} {row.interval}) is at HIGH risk; the renewal is due on {row.renews_on}. {why}.",
        rationale=f"The renewal of {amount} on {row.renews_on} is likely to fail. {len(found)} of {len(row.factors)} "
        f"factors count, with a weight of {row.weight.normalize():f} in all. {why}.{doubt}",
        data=_facts(row),
        source="riskdesk",
        operation="subscription-risk",
        query="subscriptions.risk_score",
        observed_at=row.calculated_at,
        expected_impact=row.price,
        currency=row.currency,
        confidence=Decimal("0.60") if row.degraded else Decimal("0.90"),
        ease=4,
        tier=tier_of(row.renews_on, now, settings),
        can_execute=False,
        mitigation=_steps(row.factors),
    )


def _steps(factors: list[dict[str, Any]]) -> str:
    """What to do, from the factors; empty where none of them says anything."""
    steps = advice(factors)
    return steps[0] if len(steps) == 1 else "\n".join(f"{n}. {step}" for n, step in enumerate(steps, 1))


def tier_of(renews_on: date, now: datetime, settings: Settings) -> Tier:
    """Policy from so many days before the renewal on, and while it is overdue; else safety."""
    return "policy" if renews_on <= now.date() + timedelta(days=settings.soon_days) else "safety"


def _facts(row: _Row) -> dict[str, Any]:
    """What the card shows as evidence."""
    return {
        "subscriptionId": str(row.pk),
        "name": row.name,
        "riskLevel": row.level,
        "renewalDate": row.renews_on.isoformat(),
        "price": str(row.price),
        "currency": row.currency,
        "factors": [
            {"factor": one.title, "weight": one.weight, "weighs": str(one.value), "found": one.text}
            for one in reasons(row.factors)
        ],
        "totalWeight": str(row.weight),
        "nextAttemptAt": row.next_attempt_at.isoformat() if row.next_attempt_at else None,
        "ruleVersion": row.version,
        "degraded": row.degraded,
    }
