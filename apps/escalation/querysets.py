"""Named queries over flags, tickets and what belongs to them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from django.db import models

from apps.core.models import User
from apps.core.scope import in_scope


class InScopeQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """Rows that a person may see: of their scopes, and those that belong to no scope."""
        return in_scope(self, user)


class RiskFlagQuerySet(InScopeQuerySet):
    def open(self) -> Self:
        return self.filter(status="open")


class TicketQuerySet(InScopeQuerySet):
    def open(self) -> Self:
        return self.filter(status__in=["new", "open", "waiting"])


class OfFlagQuerySet(models.QuerySet[Any]):
    """Of rows that belong to one flag."""

    def visible_to(self, user: User) -> Self:
        return in_scope(self, user, "flag__scope")


class ClockQuerySet(models.QuerySet[Any]):
    def due(self, now: datetime) -> Self:
        """Clocks that the sweep has to look at, the most overdue first (index ``clock_due``)."""
        return self.filter(next_deadline_at__lte=now).order_by("next_deadline_at", "id")


class ReviewQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """Reviews are the whole company's; the flags in them are narrowed to a person's scopes where they are shown."""
        return self if user.is_active and user.is_authenticated else self.none()
