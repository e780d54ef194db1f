"""People, scopes, the decision log and notifications."""

from apps.core.models.people import Scope, User

__all__ = ["Scope", "User"]
