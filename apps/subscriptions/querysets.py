"""Named queries over subscriptions and what belongs to them."""

from __future__ import annotations

from typing import Any, Self, TypeVar

from django.db import models

from apps.core.models import User
from apps.core.scope import in_scope, scope_ids_of, sees_every_scope

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
_MERGED = 12
"""Organisations whose lists are merged; with more of them it is cheaper to pass by the scores of the others."""


class RiskScoreQuerySet(OfSubscriptionQuerySet):
    """Scores, which know whose they are without a look at their subscription."""

    def visible_to(self, user: User) -> Self:
        return _visible(self, user, "", owner="user")

    def parts_visible_to(self, user: User) -> list[Self]:
        """What a person may see, as parts without overlap that an index has in the order of the list."""
        if not user.is_active or not user.is_authenticated:
            return [self.none()]
        if not user.has_perm("subscriptions.view_subscription"):
            return [self.filter(user=user)]
        if sees_every_scope(user):
            return [self]
        scopes = scope_ids_of(user)
        if len(scopes) > _MERGED:
            return [self.visible_to(user)]
        own_elsewhere = self.filter(user=user, scope__isnull=False).exclude(scope__in=scopes)
        return [*(self.filter(scope=one) for one in scopes), self.filter(scope=None), own_elsewhere]

    def at(self, *levels: str) -> Self:
        """Those at some levels, by the range of places that these have."""
        chosen = sorted(WORST_FIRST.index(level) for level in levels)
        rows = self if len(chosen) == chosen[-1] - chosen[0] + 1 else self.filter(risk_level__in=levels)
        if chosen[0] > 0:
            rows = rows.filter(place__gt=(chosen[0] - 1) * PLACES)
        return rows if chosen[-1] == len(WORST_FIRST) - 1 else rows.filter(place__lte=chosen[-1] * PLACES)


def _visible(rows: Q_, user: User, path: str, owner: str = "owner") -> Q_:
    if not user.is_active or not user.is_authenticated:
        return rows.none()
    if not user.has_perm("subscriptions.view_subscription"):
        return rows.filter(**{f"{path}{owner}": user})
    return in_scope(rows, user, f"{path}scope") | rows.filter(**{f"{path}{owner}": user})
