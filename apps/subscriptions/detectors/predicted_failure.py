"""Renewals that are likely to fail by what was learned, although the rules see nothing yet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.subscriptions.models import RenewalPrediction
from apps.subscriptions.prediction.predict import active_model, in_words, silent
from apps.subscriptions.reasons import money

CHUNK = 5_000


class Settings(RuleSettings):
    """Which predictions are worth a card."""

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
    slug="predicted-failure",
    title="Renewals predicted to fail",
    kind="subscription-risk-alert",
    settings=Settings,
    events=frozenset({"subscription.risk_changed"}),
    mitigation="Look at the reasons, and ask the owner to check the payment method before the renewal is due.",
    escalation="Escalate when many renewals of one organisation are predicted to fail: its provider may be the cause.",
    rollback="Nothing is changed by this card. What was agreed with the owner is undone where it was entered.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Active subscriptions whose score is LOW and whose predicted chance of failing is at the model's threshold or above.

    The prediction never changes the score; when the rules see the risk themselves, this card resolves. The likely loss is
    the price times the chance.
    """
    version = active_model()
    if version is None:
        return
    found = silent(version).filter(subscription__price__gte=settings.minimum_price).select_related("subscription")
    if subjects is not None:
        found = found.filter(subscription__in=subjects.uuids("subscription"))
    for prediction in found.order_by("pk").iterator(chunk_size=CHUNK):
        yield _hit(prediction, version.version)


def _hit(prediction: RenewalPrediction, version: int) -> Hit:
    subscription = prediction.subscription
    amount = money(subscription.price, subscription.currency)
    # To five hundredths, so that a card does not change with every small move.
    chance = Decimal(round(prediction.chance * 20)) / 20
    why = in_words(prediction.reasons) or "no single reason stands out"
    return Hit(
        subject=f"subscription:{subscription.pk}",
        scope_id=subscription.scope_id,
        target=f"Subscription {subscription.name}"[:200],
        draft=f"The renewal of {subscription.name} ({amount}) on {prediction.renewal_on} may fail; the rules say LOW. {why}.",
        rationale=f"The renewal of {amount} on {prediction.renewal_on} fails with a chance of about {chance:.0%}, as learned "
        f"from past renewals (model version {version}). Main reasons: {why}.",
        data=_facts(prediction, chance, version),
        source="riskdesk",
        operation="renewal-prediction",
        query="subscriptions.renewal_prediction",
        observed_at=prediction.predicted_at,
        expected_impact=subscription.price,
        expected_loss=(subscription.price * chance).quantize(Decimal("0.01")),
        currency=subscription.currency,
        confidence=chance,
        ease=4,
        tier="low",
        can_execute=False,
    )


def _facts(prediction: RenewalPrediction, chance: Decimal, version: int) -> dict[str, Any]:
    """What the card shows as evidence."""
    return {
        "subscriptionId": str(prediction.subscription_id),
        "name": prediction.subscription.name,
        "renewalDate": prediction.renewal_on.isoformat(),
        "chance": str(chance),
        "reasons": [{"reason": one["title"], "value": one["value"]} for one in prediction.reasons],
        "modelVersion": version,
    }
