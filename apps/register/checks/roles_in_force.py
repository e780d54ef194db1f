"""Roles: each has the rights that the table says, and nobody has others."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import Group, Permission
from pydantic import Field

from apps.core.models import User
from apps.core.roles import ROLE_PERMISSIONS, Role, resolve
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


class Settings(CheckSettings):
    """What is bearable."""

    superusers: int = Field(3, ge=1, le=50, title="Superusers", description="People whom no role limits, at most.")


@check(
    slug="roles-in-force",
    title="Rights are those of the roles",
    every=timedelta(hours=6),
    settings=Settings,
    mitigation="Run manage.py sync_roles; take away rights given to single people, and superuser where a role is enough.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Compares the rights of every group in the database with the table of roles, and counts rights given beside it."""
    known = {
        f"{app}.{codename}": pk
        for app, codename, pk in Permission.objects.values_list("content_type__app_label", "codename", "pk")
    }
    failures, warnings = [], []
    given: dict[str, int] = {}
    for role in Role:
        wanted = resolve(ROLE_PERMISSIONS[role], known)
        held = set(Group.objects.filter(name=role.value).values_list("permissions", flat=True)) - {None}
        given[role.value] = len(held)
        if held != wanted:
            failures.append(f"{role.value} has {len(held - wanted)} rights too many and {len(wanted - held)} too few.")
    strange = (
        Group.objects.exclude(name__in=[role.value for role in Role])
        .filter(permissions__isnull=False)
        .distinct()
        .count()
    )
    single = User.objects.filter(is_active=True, user_permissions__isnull=False).distinct().count()
    supers = User.objects.filter(is_active=True, is_superuser=True).count()
    if strange:
        failures.append(f"{strange} groups have rights and are no role.")
    if single:
        warnings.append(f"{single} people have rights of their own, beside their roles.")
    if supers > settings.superusers:
        warnings.append(f"{supers} people are superusers, whom no role limits; {settings.superusers} are bearable.")
    return concluded(
        f"The groups of all {len(Role)} roles have exactly the rights of the table.",
        failures=failures,
        warnings=warnings,
        facts={"rights": given, "superusers": supers, "peopleWithOwnRights": single, "strangeGroups": strange},
        query="groups and permissions against the table of roles",
    )
