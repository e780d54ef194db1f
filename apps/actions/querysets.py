"""Named queries over action cards."""

from __future__ import annotations

from typing import Self

from django.db import models

from apps.core.models import User
from apps.core.scope import in_scope


class ActionCardQuerySet(models.QuerySet["ActionCard"]):  # type: ignore[name-defined]  # forward reference, no cycle
    def visible_to(self, user: User) -> Self:
        """Cards that a person may see: of their scopes, and those that belong to no scope."""
        return in_scope(self, user)

    def live(self) -> Self:
        """Cards that a sweep reconciles: open, executing or failed."""
        return self.filter(status__in=["open", "executing", "failed"])

    def queue(self) -> Self:
        """What waits for an operator, most urgent first."""
        return self.filter(status__in=["open", "failed"]).order_by("-priority", "id")
