"""Named queries over subscriptions and what belongs to them."""

from __future__ import annotations

from typing import Any, Self, TypeVar

from django.db import models

from apps.core.models import User
from apps.core.scope import in_scope

Q_ = TypeVar("Q_", bound=models.QuerySet[Any])


class SubscriptionQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User) -> Self:
        """An owner sees the own subscriptions; staff whose role sees subscriptions, those of their scopes."""
        return _visible(self, user, "")

    def active(self) -> Self:
        return self.filter(status="active")


class OfSubscriptionQuerySet(models.QuerySet[Any]):
    """Of rows that belong to one subscription."""

    def visible_to(self, user: User) -> Self:
        """Rows of the subscriptions that a person may see."""
        return _visible(self, user, "subscription__")


WORST_FIRST = ("HIGH", "MEDIUM", "LOW")
PLACES = 1_000_000
"""Of each level; sums of weights stay below it, so that the places of two levels do not overlap."""


class RiskScoreQuerySet(OfSubscriptionQuerySet):
    """Scores, which know whose they are without a look at their subscription."""

    def visible_to(self, user: User) -> Self:
        return _visible(self, user, "", owner="user")

    def at(self, level: str) -> Self:
        """Those at a level, by the range of places that it has, in the order of which an index is."""
        last = WORST_FIRST.index(level)
        rows = self.filter(place__gt=(last - 1) * PLACES) if last > 0 else self
        return rows.filter(place__lte=last * PLACES) if last < len(WORST_FIRST) - 1 else rows


def _visible(rows: Q_, user: User, path: str, owner: str = "owner") -> Q_:
    if not user.is_active or not user.is_authenticated:
        return rows.none()
    if not user.has_perm("subscriptions.view_subscription"):
        return rows.filter(**{f"{path}{owner}": user})
    return in_scope(rows, user, f"{path}scope") | rows.filter(**{f"{path}{owner}": user})
