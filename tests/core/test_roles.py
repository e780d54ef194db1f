"""Each role may do what the table says, and nothing else."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from apps.core.models import User
from apps.core.roles import ROLE_PERMISSIONS, Role, people_with, resolve, sync_roles
from tests.core.factories import UserFactory, person

pytestmark = pytest.mark.django_db

EVERYBODY = set(Role)
DECIDERS = {
    Role.OPERATOR,
    Role.SUPPORT_MANAGER,
    Role.SUPPORT_DIRECTOR,
    Role.RISK_MANAGER,
    Role.ADMINISTRATOR,
}
WATCHERS = DECIDERS | {Role.SUPPORT_AGENT, Role.TEAM_LEAD, Role.AUDITOR}

# What people do, and who may; everybody else may not.
MAY = {
    "actions.view_actioncard": WATCHERS,
    "actions.decide_actioncard": DECIDERS,
    "actions.rollback_actioncard": DECIDERS,
    "actions.add_ruleversion": {Role.RISK_MANAGER, Role.ADMINISTRATOR},
    "actions.view_rulerun": DECIDERS | {Role.AUDITOR},
    "orders.view_order": WATCHERS,
    "orders.change_store": {Role.ADMINISTRATOR},
    "orders.delete_order": {Role.ADMINISTRATOR},
    "escalation.view_riskflag": EVERYBODY,
    "escalation.add_riskflag": EVERYBODY - {Role.AUDITOR},
    "escalation.change_riskflag": {
        Role.TEAM_LEAD,
        Role.SUPPORT_MANAGER,
        Role.SUPPORT_DIRECTOR,
        Role.RISK_MANAGER,
        Role.ADMINISTRATOR,
    },
    "core.view_decision": {Role.SUPPORT_DIRECTOR, Role.RISK_MANAGER, Role.AUDITOR, Role.ADMINISTRATOR},
    "auditlog.view_logentry": {Role.AUDITOR, Role.ADMINISTRATOR},
    "core.change_user": {Role.ADMINISTRATOR},
    "core.work_in_scope": {Role.SUPPORT_DIRECTOR, Role.RISK_MANAGER, Role.AUDITOR, Role.ADMINISTRATOR},
}


@pytest.mark.parametrize("permission", MAY)
@pytest.mark.parametrize("role", Role)
def test_who_may_do_what(role: Role, permission: str) -> None:
    assert person(role).has_perm(permission) is (role in MAY[permission])


def test_auditors_see_everything_and_change_nothing() -> None:
    granted = Permission.objects.filter(group__name=Role.AUDITOR)
    every_view = Permission.objects.filter(codename__startswith="view_")
    assert set(granted) == {*every_view, Permission.objects.get(codename="work_in_scope")}


def test_administrators_may_do_everything_without_being_superusers() -> None:
    admin = person(Role.ADMINISTRATOR)
    assert not admin.is_superuser
    assert Permission.objects.filter(group__name=Role.ADMINISTRATOR).count() == Permission.objects.count()


@pytest.mark.parametrize("name", ["orders.view_ordre", "nothing.*", "orders.publish_*"])
def test_a_misspelt_permission_stops_the_synchronisation(name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="there is no such permission"):
        sync_roles({Role.OPERATOR: frozenset({name})})


def test_a_pattern_stands_for_what_it_matches_only() -> None:
    known = {"orders.view_order": 1, "orders.change_order": 2, "core.view_user": 3}
    assert resolve(["orders.view_*"], known) == {1}
    assert resolve(["*.view_*", "orders.change_order"], known) == {1, 2, 3}


def test_changes_made_by_hand_do_not_last() -> None:
    group = Group.objects.get(name=Role.CONTENT_OWNER)
    group.permissions.add(Permission.objects.get(codename="delete_order"))
    Group.objects.get(name=Role.OPERATOR).delete()
    out = StringIO()
    call_command("sync_roles", stdout=out)
    assert not group.permissions.filter(codename="delete_order").exists()
    assert Group.objects.get(name=Role.OPERATOR).permissions.exists()
    assert "Content Owner" in out.getvalue()


def test_every_role_has_a_line_in_the_table() -> None:
    assert set(ROLE_PERMISSIONS) == set(Role)


def test_inactive_people_may_nothing() -> None:
    leaver = person(Role.ADMINISTRATOR, is_active=False)
    assert not leaver.has_perm("orders.view_order")


def test_people_with_a_role() -> None:
    olga, rick = person(Role.OPERATOR), person(Role.RISK_MANAGER)
    rick.groups.add(Group.objects.get(name=Role.OPERATOR))
    person(Role.OPERATOR, is_active=False)
    UserFactory()
    both: set[User] = set(people_with(Role.OPERATOR, Role.RISK_MANAGER))
    assert both == {olga, rick}
    assert people_with(Role.OPERATOR, Role.RISK_MANAGER).count() == 2
    assert list(people_with(Role.RISK_MANAGER)) == [rick]


@pytest.mark.django_db(transaction=True)
def test_roles_are_there_after_a_migration() -> None:
    Group.objects.all().delete()
    call_command("migrate", verbosity=0)
    assert set(Group.objects.values_list("name", flat=True)) == set(Role)
