"""Rows of the subscriptions."""

from apps.subscriptions.models.payments import (
    PaymentProvider,
    PaymentRetry,
    RenewalModel,
    RenewalPrediction,
    RetryPolicyVersion,
)
from apps.subscriptions.models.scores import (
    FactorVersion,
    LevelCount,
    RecalculationRun,
    RiskLevel,
    RiskScore,
    RiskScoreHistory,
)
from apps.subscriptions.models.subscriptions import AccountBalance, Approval, RenewalAttempt, Subscription

__all__ = [
    "AccountBalance",
    "Approval",
    "FactorVersion",
    "LevelCount",
    "PaymentProvider",
    "PaymentRetry",
    "RecalculationRun",
    "RenewalAttempt",
    "RenewalModel",
    "RenewalPrediction",
    "RetryPolicyVersion",
    "RiskLevel",
    "RiskScore",
    "RiskScoreHistory",
    "Subscription",
]
