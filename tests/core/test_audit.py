"""The audit trail: all that people edit is in it, without secrets, and it cannot be rewritten."""

from __future__ import annotations

import pytest
from auditlog.models import LogEntry
from auditlog.registry import auditlog
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection, models, transaction
from django.test import Client, RequestFactory
from django.urls import reverse

from apps.core.checks import admin_actions_declare_permissions
from apps.core.models import Scope
from apps.core.roles import Role
from tests.core.factories import ScopeFactory, UserFactory, person

pytestmark = pytest.mark.django_db

# Models that people can change in the admin and that are not audited, each with the reason.
NOT_AUDITED: dict[str, str] = {}


def test_what_people_edit_is_audited(rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = UserFactory(is_superuser=True, is_staff=True)
    edited = {
        model._meta.label
        for model, page in admin.site._registry.items()
        if page.has_change_permission(request)
        or page.has_add_permission(request)
        or page.has_delete_permission(request)
    }
    audited = {model._meta.label for model in auditlog.get_models()}
    assert edited - audited == set(NOT_AUDITED)


def test_secrets_are_masked_in_every_audited_model() -> None:
    secret = ("password", "secret", "token")
    for model in auditlog.get_models():
        kept = auditlog.get_model_fields(model)
        for field in model._meta.get_fields():
            hides = isinstance(field, models.Field) and (
                type(field).__name__.startswith("Encrypted") or any(word in field.name for word in secret)
            )
            if hides:
                assert field.name in kept["mask_fields"], f"{model._meta.label}.{field.name}"


def test_every_admin_action_declares_its_permission() -> None:
    assert admin_actions_declare_permissions(None) == []


def test_an_action_without_permissions_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    @admin.action(description="Careless")
    def careless(page: object, request: object, queryset: object) -> None:
        """Needs nothing."""

    monkeypatch.setattr(type(admin.site._registry[Scope]), "actions", [careless])
    assert [message.id for message in admin_actions_declare_permissions(None)] == ["core.E001"]


def test_a_changed_password_is_noted_and_not_shown() -> None:
    user = UserFactory()
    user.set_password("another long password")
    user.save()
    changes = LogEntry.objects.get_for_object(user).latest("id").changes
    assert changes["password"] == ["***", "***"]


def test_logging_in_is_not_an_edit(client: Client) -> None:
    user = UserFactory()
    before = LogEntry.objects.count()
    client.force_login(user)
    assert LogEntry.objects.count() == before


def test_changed_roles_are_noted() -> None:
    user = UserFactory()
    user.groups.add(Group.objects.get(name=Role.OPERATOR))
    changes = LogEntry.objects.get_for_object(user).latest("id").changes
    assert changes["groups"]["objects"] == ["Operator"]


def test_an_edit_in_the_admin_names_its_author(client: Client) -> None:
    boss, scope = person(Role.ADMINISTRATOR), ScopeFactory(name="North")
    client.force_login(boss)
    client.post(reverse("admin:core_scope_change", args=[scope.pk]), {"name": "Nord", "slug": scope.slug})
    noted = LogEntry.objects.get_for_object(scope).latest("id")
    assert (noted.actor, noted.changes) == (boss, {"name": ["North", "Nord"]})


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE auditlog_logentry SET object_repr = 'other'",
        "DELETE FROM auditlog_logentry",
        "SET LOCAL riskdesk.protect = 'on'; TRUNCATE auditlog_logentry CASCADE",
    ],
)
def test_the_trail_cannot_be_rewritten(statement: str) -> None:
    ScopeFactory()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(statement)
    assert LogEntry.objects.filter(content_type__model="scope").exists()


@pytest.mark.parametrize(("role", "status"), [(Role.AUDITOR, 200), (Role.ADMINISTRATOR, 200), (Role.OPERATOR, 403)])
def test_who_reads_the_trail(client: Client, role: Role, status: int) -> None:
    client.force_login(person(role))
    assert client.get(reverse("admin:auditlog_logentry_changelist")).status_code == status
    entry = LogEntry.objects.latest("id")
    assert client.get(reverse("admin:auditlog_logentry_change", args=[entry.pk])).status_code == status
    assert client.post(reverse("admin:auditlog_logentry_delete", args=[entry.pk]), {"post": "yes"}).status_code == 403


def test_an_entry_leads_to_the_logs_of_its_request(client: Client) -> None:
    client.force_login(person(Role.ADMINISTRATOR))
    answer = client.post(reverse("admin:core_scope_add"), {"name": "West", "slug": "west"})
    made = Scope.objects.get(slug="west")
    assert LogEntry.objects.get_for_object(made).latest("id").cid == answer["X-Request-ID"]
