"""The writes of risk scores, and reading them, under one name."""

from datetime import datetime
from uuid import UUID

from apps.core.models import User
from apps.subscriptions.factors import InvalidFactors, factor_set, new_factor_version
from apps.subscriptions.models import RiskScore
from apps.subscriptions.querysets import OfSubscriptionQuerySet
from apps.subscriptions.recalculation import AlreadyRunning, request_run, unfinished, work
from apps.subscriptions.records import record_renewal_attempt
from apps.subscriptions.refusals import SubscriptionMissing
from apps.subscriptions.scores import Batch, Transition, recalculate, recalculate_after_commit

__all__ = [
    "AlreadyRunning",
    "Batch",
    "InvalidFactors",
    "Transition",
    "compute_risk_level",
    "factor_set",
    "get_user_risk_scores",
    "new_factor_version",
    "recalculate",
    "recalculate_after_commit",
    "record_renewal_attempt",
    "request_run",
    "unfinished",
    "work",
]


def compute_risk_level(*, subscription_id: UUID, now: datetime) -> RiskScore:
    """Calculate and store the score of one subscription.

    Raises:
        SubscriptionMissing: there is none such.
    """
    recalculate([subscription_id], now=now, occasion="request")
    score: RiskScore | None = RiskScore.objects.filter(subscription=subscription_id).first()
    if score is None:
        raise SubscriptionMissing
    return score


def get_user_risk_scores(*, user: User) -> OfSubscriptionQuerySet:
    """The scores of the subscriptions that a person owns, the greatest sum first."""
    return RiskScore.objects.filter(user=user).order_by("-total_weight", "id")
