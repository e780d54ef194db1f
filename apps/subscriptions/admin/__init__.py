"""Admin pages of subscriptions, their facts, scores, runs and factors, of payments and predictions."""

from apps.subscriptions.admin import (
    factor_versions,
    facts,
    payments,
    prediction,
    runs,
    scores,
    subscriptions,
    trends,
)

__all__ = ["factor_versions", "facts", "payments", "prediction", "runs", "scores", "subscriptions", "trends"]
