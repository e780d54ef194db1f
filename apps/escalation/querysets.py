"""Named queries over flags, tickets and what belongs to them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef, Subquery

from apps.core.models import User
from apps.core.scope import in_scope


class InScopeQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """Rows that a person may see: of their scopes, and those that belong to no scope."""
        return in_scope(self, user)


class RiskFlagQuerySet(InScopeQuerySet):
    def open(self) -> Self:
        return self.filter(status="open")

    def with_due(self) -> Self:
        """With ``due``, the deadline of the step that each flag is on, and ``waiting``: nobody has it in hand yet."""
        running = _clocks("flag").filter(status="running")
        step = running.filter(target="step").values("due_at")[:1]
        return self.annotate(due=Subquery(step), waiting=Exists(running.filter(target="acknowledge")))

    def late(self, now: datetime) -> Self:
        """Whose step has passed its deadline."""
        return self.filter(Exists(_clocks("flag").filter(status="running", target="step", due_at__lte=now)))


class TicketQuerySet(InScopeQuerySet):
    def open(self) -> Self:
        return self.filter(status__in=["new", "open", "waiting"])

    def with_due(self) -> Self:
        """With ``due``: the first deadline that runs for each ticket."""
        running = _clocks("ticket").filter(status="running", due_at__isnull=False).order_by("due_at")
        return self.annotate(due=Subquery(running.values("due_at")[:1]))


def _clocks(of: str) -> models.QuerySet[Any]:
    """The clocks of the outer query's row."""
    clocks: models.QuerySet[Any] = apps.get_model("escalation", "Clock").objects.order_by()
    return clocks.filter(**{of: OuterRef("pk")})


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
