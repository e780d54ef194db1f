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


def _visible(rows: Q_, user: User, path: str) -> Q_:
    if not user.is_active or not user.is_authenticated:
        return rows.none()
    if not user.has_perm("subscriptions.view_subscription"):
        return rows.filter(**{f"{path}owner": user})
    return in_scope(rows, user, f"{path}scope") | rows.filter(**{f"{path}owner": user})
