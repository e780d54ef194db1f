"""Object scope: one rule for querysets, admin pages and the API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Model, Q, QuerySet
from guardian.shortcuts import assign_perm, get_objects_for_user, remove_perm

from apps.core.models import Scope
from apps.core.prepared import prepared

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


_GRANTED = """
    WITH work AS (
        SELECT p.id FROM auth_permission p JOIN django_content_type t ON t.id = p.content_type_id
        WHERE t.app_label = 'core' AND t.model = 'scope' AND p.codename = 'work_in_scope'
    )
    SELECT o.object_pk::bigint FROM guardian_userobjectpermission o
    WHERE o.user_id = %(user)s AND o.permission_id = (SELECT id FROM work)
    UNION
    SELECT o.object_pk::bigint FROM guardian_groupobjectpermission o JOIN core_user_groups m ON m.group_id = o.group_id
    WHERE m.user_id = %(user)s AND o.permission_id = (SELECT id FROM work)
    ORDER BY 1
"""


def scope_ids_of(user: User) -> list[int]:
    """The ids of :func:`scopes_of`, in a tenth of its time: for lists that many people ask for often."""
    return [pk for (pk,) in prepared(_GRANTED, {"user": user.pk})]


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


def may_work_in(user: User, scope: Scope | None) -> bool:
    """Whether a person sees the rows of a scope; what belongs to none belongs to everybody."""
    return user.is_active and (scope is None or sees_every_scope(user) or user.has_perm("core.work_in_scope", scope))


def people_in(scope: Scope | None) -> QuerySet[User]:
    """All for whom :func:`may_work_in` holds, in one statement."""
    from guardian.models import GroupObjectPermission, UserObjectPermission  # needs the app registry

    from apps.core.models import User

    people = User.objects.filter(is_active=True)
    if scope is None:
        return people
    permission = Permission.objects.filter(content_type__app_label="core", codename="work_in_scope")
    roles = Group.objects.filter(
        Q(permissions__in=permission) | Q(pk__in=_grants(GroupObjectPermission, scope).values("group"))
    )
    by_name = Q(user_permissions__in=permission) | Q(pk__in=_grants(UserObjectPermission, scope).values("user"))
    may = User.objects.filter(Q(is_superuser=True) | Q(groups__in=roles) | by_name)
    return people.filter(pk__in=may.values("pk"))


def people_granted(scope: Scope) -> QuerySet[User]:
    """People to whom a scope was granted by name."""
    from guardian.models import UserObjectPermission  # needs the app registry

    from apps.core.models import User

    return User.objects.filter(userobjectpermission__in=_grants(UserObjectPermission, scope)).order_by("username")


def groups_granted(scope: Scope) -> QuerySet[Group]:
    """Roles to which a scope was granted."""
    from guardian.models import GroupObjectPermission  # needs the app registry

    return Group.objects.filter(groupobjectpermission__in=_grants(GroupObjectPermission, scope)).order_by("name")


def _grants(model: type[Model], scope: Scope) -> QuerySet[Any]:
    return model._default_manager.filter(
        permission__codename="work_in_scope", permission__content_type__app_label="core", object_pk=str(scope.pk)
    )


@dataclass(frozen=True, slots=True)
class GrantChanges:
    """To whom a scope is to be granted, and from whom it is to be taken."""

    granted: tuple[User | Group, ...]
    revoked: tuple[User | Group, ...]


def grant_changes(scope: Scope, people: Iterable[User], groups: Iterable[Group]) -> GrantChanges:
    """What must change so that exactly these people and roles hold the scope."""
    wanted: set[User | Group] = {*people, *groups}
    held: set[User | Group] = {*people_granted(scope), *groups_granted(scope)}
    return GrantChanges(tuple(sorted(wanted - held, key=str)), tuple(sorted(held - wanted, key=str)))


@transaction.atomic
def set_grants(scope: Scope, changes: GrantChanges, *, actor: User | str) -> None:
    """Grant and revoke a scope; each change is in the decision log."""
    from apps.core.decisions import Entry, record_many

    for holder in changes.granted:
        assign_perm("core.work_in_scope", holder, scope)
    for holder in changes.revoked:
        remove_perm("core.work_in_scope", holder, scope)
    done = [("scope_granted", holder) for holder in changes.granted]
    done += [("scope_revoked", holder) for holder in changes.revoked]
    record_many(
        Entry(
            scope="access",
            actor=actor,
            action=action,
            subject=f"scope:{scope.pk}",
            payload={"holder": f"{type(holder).__name__.lower()}:{holder.pk}"},
        )
        for action, holder in done
    )
