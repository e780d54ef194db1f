"""People, scopes, the decision log and notifications."""

from apps.core.models.api import ApiToken, StoredAnswer
from apps.core.models.decisions import Decision, DecisionHead, DecisionText
from apps.core.models.notifications import Delivery, Notification, NotificationSetting
from apps.core.models.people import Scope, User

__all__ = [
    "ApiToken",
    "Decision",
    "DecisionHead",
    "DecisionText",
    "Delivery",
    "Notification",
    "NotificationSetting",
    "Scope",
    "StoredAnswer",
    "User",
]
