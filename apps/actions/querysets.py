"""Named queries over action cards."""

from __future__ import annotations

from typing import Self

from django.db import models

from apps.core.models import User
from apps.core.scope import in_scope, scopes_of, sees_every_scope


class ActionCardQuerySet(models.QuerySet["ActionCard"]):  # type: ignore[name-defined]  # forward reference, no cycle
    def visible_to(self, user: User) -> Self:
        """Cards that a person may see: of their scopes, and those that belong to no scope.

        The scopes are asked for first, one query: knowing them, the planner takes the index by scope for people who see
        little. With a subquery it read the queue from its top, 156 ms instead of 0.2 for the last of 100,000 cards.
        """
        if not user.is_active or not user.is_authenticated or sees_every_scope(user):
            return in_scope(self, user)
        granted = list(scopes_of(user).values_list("pk", flat=True))
        return self.filter(models.Q(scope__in=granted) | models.Q(scope__isnull=True))

    def live(self) -> Self:
        """Cards that a sweep reconciles: open, executing or failed."""
        return self.filter(status__in=["open", "executing", "failed"])

    def queue(self) -> Self:
        """What waits for an operator, most urgent first."""
        return self.filter(status__in=["open", "failed"]).order_by("-priority", "id")
