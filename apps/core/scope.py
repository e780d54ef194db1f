"""Object scope: one rule for querysets, admin pages and the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.db.models import Q, QuerySet
from guardian.shortcuts import get_objects_for_user

from apps.core.models import Scope

if TYPE_CHECKING:
    from apps.core.models import User

Q_ = TypeVar("Q_", bound=QuerySet[Any])


def sees_every_scope(user: User) -> bool:
    """Whether a role gives this person all scopes."""
    return user.has_perm("core.work_in_scope")


def scopes_of(user: User) -> QuerySet[Scope]:
    """The scopes granted to a person, directly or by a group."""
    scopes: QuerySet[Scope] = get_objects_for_user(user, "core.work_in_scope", klass=Scope)
    return scopes


def in_scope(queryset: Q_, user: User, path: str = "scope") -> Q_:
    """Narrow a queryset to what a person may see.

    Args:
        queryset: rows whose ``path`` leads to a :class:`Scope`; a row without one belongs to everybody.
        user: who looks.
        path: lookup from a row to its scope.
    """
    if not user.is_active or not user.is_authenticated:
        return queryset.none()
    if sees_every_scope(user):
        return queryset
    return queryset.filter(Q(**{f"{path}__in": scopes_of(user)}) | Q(**{f"{path}__isnull": True}))
