"""Scopes: who sees and touches which rows, in querysets and on admin pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse
from guardian.shortcuts import assign_perm

from apps.core.admin import ScopedAdmin
from apps.core.decisions import system
from apps.core.models import Decision, Scope, User
from apps.core.roles import Role
from apps.core.scope import grant_changes, groups_granted, may_work_in, people_granted, people_in, set_grants
from apps.escalation.models import RiskFlag
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def flag(scope: Scope | None, source: str) -> RiskFlag:
    return RiskFlag.objects.create(scope=scope, level=3, title=source, description="d", source=source, raised_at=NOON)


@pytest.fixture
def north() -> Scope:
    return ScopeFactory(name="North", slug="north")


@pytest.fixture
def flags(north: Scope) -> dict[str, RiskFlag]:
    return {"north": flag(north, "north"), "south": flag(ScopeFactory(), "south"), "company": flag(None, "company")}


def seen(user: User) -> set[str]:
    return set(RiskFlag.objects.all().visible_to(user).values_list("source", flat=True))


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SUPPORT_AGENT, Role.TEAM_LEAD, Role.SUPPORT_MANAGER])
def test_most_people_see_their_scopes_and_the_company(role: Role, north: Scope, flags: dict[str, RiskFlag]) -> None:
    assert seen(person(role, north)) == {"north", "company"}
    assert seen(person(role)) == {"company"}


@pytest.mark.parametrize("role", [Role.SUPPORT_DIRECTOR, Role.RISK_MANAGER, Role.AUDITOR, Role.ADMINISTRATOR])
def test_some_roles_see_every_scope(role: Role, flags: dict[str, RiskFlag]) -> None:
    assert seen(person(role)) == set(flags)


def test_people_who_left_see_nothing(north: Scope, flags: dict[str, RiskFlag]) -> None:
    assert seen(person(Role.OPERATOR, north, is_active=False)) == set()
    assert not may_work_in(person(Role.ADMINISTRATOR, is_active=False), None)


def test_a_scope_can_be_granted_to_a_role(north: Scope, flags: dict[str, RiskFlag]) -> None:
    operator = person(Role.OPERATOR)
    operators = Group.objects.get(name=Role.OPERATOR)
    set_grants(north, grant_changes(north, [], [operators]), actor=system("tests"))
    assert seen(User.objects.get(pk=operator.pk)) == {"north", "company"}
    assert may_work_in(User.objects.get(pk=operator.pk), north)


def test_all_who_may_work_in_a_scope_are_found_at_once(north: Scope) -> None:
    south = ScopeFactory()
    for role in Role:
        person(role, north)
        person(role, south)
        person(role, north, is_active=False)
    person(Role.SUPPORT_AGENT, is_superuser=True)
    assign_perm("core.work_in_scope", Group.objects.get(name=Role.CONTENT_OWNER), south)
    assign_perm("core.work_in_scope", person(Role.OPERATOR))
    for scope in (north, south, None):
        expected = {one.pk for one in User.objects.all() if may_work_in(one, scope)}
        assert set(people_in(scope).values_list("pk", flat=True)) == expected


def test_grants_are_set_exactly_and_recorded(north: Scope) -> None:
    old, new, boss = person(Role.OPERATOR, north), person(Role.OPERATOR), person(Role.ADMINISTRATOR)
    set_grants(north, grant_changes(north, [new], []), actor=boss)
    assert list(people_granted(north)) == [new]
    assert not groups_granted(north).exists()
    recorded = {(decision.action, decision.payload["holder"]) for decision in Decision.objects.all()}
    assert recorded == {("scope_granted", f"user:{new.pk}"), ("scope_revoked", f"user:{old.pk}")}


# Admin


class FlagAdmin(ScopedAdmin):
    pass


@pytest.fixture
def asked_by(rf: RequestFactory) -> Callable[[User], HttpRequest]:
    def request(user: User) -> HttpRequest:
        made = rf.get("/")
        made.user = user
        return made

    return request


def test_a_scoped_admin_checks_the_object_too(
    north: Scope, flags: dict[str, RiskFlag], asked_by: Callable[[User], HttpRequest]
) -> None:
    lead = person(Role.TEAM_LEAD, north)
    page = FlagAdmin(RiskFlag, admin.site)
    request = asked_by(lead)
    assert set(page.get_queryset(request)) == {flags["north"], flags["company"]}
    for may in (page.has_view_permission, page.has_change_permission):
        assert may(request, flags["north"])
        assert not may(request, flags["south"])
        assert may(request)
    assert not page.has_delete_permission(request, flags["north"]), "the role does not include it"


def test_a_role_without_the_permission_is_denied_in_its_own_scope(
    north: Scope, flags: dict[str, RiskFlag], asked_by: Callable[[User], HttpRequest]
) -> None:
    page = FlagAdmin(RiskFlag, admin.site)
    auditor = asked_by(person(Role.AUDITOR, north))
    assert page.has_view_permission(auditor, flags["south"])
    assert not page.has_change_permission(auditor, flags["north"])


def test_rows_cannot_be_moved_out_of_sight(
    north: Scope, flags: dict[str, RiskFlag], asked_by: Callable[[User], HttpRequest]
) -> None:
    page = FlagAdmin(RiskFlag, admin.site)
    field = RiskFlag._meta.get_field("scope")
    choices = page.formfield_for_foreignkey(field, asked_by(person(Role.TEAM_LEAD, north)))  # type: ignore[arg-type]
    assert list(choices.queryset) == [north]
    everything = page.formfield_for_foreignkey(field, asked_by(person(Role.RISK_MANAGER)))  # type: ignore[arg-type]
    assert everything.queryset.count() == 2


def test_a_scoped_admin_without_visible_to_is_refused_at_start() -> None:
    class Careless(ScopedAdmin):
        pass

    assert "core.E002" in {message.id for message in Careless(Group, admin.site).check()}
    assert "core.E002" not in {message.id for message in FlagAdmin(RiskFlag, admin.site).check()}


def test_an_administrator_grants_a_scope_on_its_page(client: Client, north: Scope) -> None:
    boss, olga = person(Role.ADMINISTRATOR), person(Role.OPERATOR, username="olga")
    client.force_login(boss)
    address = reverse("admin:core_scope_change", args=[north.pk])
    assert "olga" in client.get(address).content.decode()
    answer = client.post(address, {"name": "North", "slug": "north", "people": [olga.pk], "groups": []})
    assert answer.status_code == 302
    assert list(people_granted(north)) == [olga]
    assert Decision.objects.get().actor == boss


def test_an_administrator_adds_a_scope_with_its_people(client: Client) -> None:
    olga = person(Role.OPERATOR)
    client.force_login(person(Role.ADMINISTRATOR))
    client.post(reverse("admin:core_scope_add"), {"name": "West", "slug": "west", "people": [olga.pk]})
    assert may_work_in(User.objects.get(pk=olga.pk), Scope.objects.get(slug="west"))


def test_an_auditor_sees_grants_and_changes_none(client: Client, north: Scope) -> None:
    olga = person(Role.OPERATOR, north, username="olga")
    client.force_login(person(Role.AUDITOR))
    address = reverse("admin:core_scope_change", args=[north.pk])
    assert "olga" in client.get(address).content.decode()
    assert client.post(address, {"name": "North", "slug": "north", "people": []}).status_code == 403
    assert list(people_granted(north)) == [olga]


def test_an_operator_may_not_open_scopes(client: Client, north: Scope) -> None:
    client.force_login(person(Role.OPERATOR, north))
    assert client.get(reverse("admin:core_scope_changelist")).status_code == 403
    assert client.get(reverse("admin:core_scope_change", args=[north.pk])).status_code == 403
