"""People of the demonstration: one for each role, all with the same password, which is printed at each start."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from guardian.shortcuts import assign_perm

from apps.core.models import Scope, User
from apps.core.roles import Role

PASSWORD = "riskdesk-demo"  # noqa: S105 - of invented people; the command refuses to make them in production


@dataclass(frozen=True, slots=True)
class Person:
    """Who they are, and whether they work in both stores, in the first, or in those that their role gives."""

    username: str
    name: str
    role: Role
    stores: int = 0


PEOPLE = (
    Person("operator", "Olga Operator", Role.OPERATOR, stores=2),
    Person("agent", "Abel Agent", Role.SUPPORT_AGENT, stores=1),
    Person("lead", "Lea Lead", Role.TEAM_LEAD, stores=1),
    Person("manager", "Mara Manager", Role.SUPPORT_MANAGER, stores=2),
    Person("director", "Dora Director", Role.SUPPORT_DIRECTOR),
    Person("risk", "Rita Risk", Role.RISK_MANAGER),
    Person("content", "Conny Content", Role.CONTENT_OWNER),
    Person("auditor", "Aron Auditor", Role.AUDITOR),
    Person("admin", "Adam Admin", Role.ADMINISTRATOR),
)


def make_people(scopes: list[Scope]) -> dict[str, User]:
    """Make the people who are not there yet; those who are keep what was changed about them."""
    hashed = make_password(PASSWORD)
    made = {}
    for one in PEOPLE:
        first, _, last = one.name.partition(" ")
        user, new = User.objects.get_or_create(
            username=one.username,
            defaults={
                "email": f"{one.username}@riskdesk.example.com", "first_name": first, "last_name": last,
                "is_staff": True, "password": hashed,
            },
        )  # fmt: skip
        made[one.username] = user
        if not new:
            continue
        user.groups.add(Group.objects.get(name=one.role.value))
        for scope in scopes[: one.stores]:
            assign_perm("core.work_in_scope", user, scope)
    return made


def logins() -> str:
    """The people and their password, for the one who shows the demonstration."""
    lines = [f"Demo logins, all with the password {PASSWORD}:"]
    width = max(len(one.username) for one in PEOPLE)
    lines += [f"  {one.username:<{width}}  {one.role.value}" for one in PEOPLE]
    return "\n".join(lines)
