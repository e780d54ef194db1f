"""The core's admin pages: people, roles, the decision log and deliveries."""

from __future__ import annotations

import csv
import json
from io import StringIO

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from apps.core import exports
from apps.core.decisions import Entry, record, record_many, system
from apps.core.models import Decision, Delivery, User
from apps.core.notifications import notify
from apps.core.roles import Role
from tests.core.factories import UserFactory, person

pytestmark = pytest.mark.django_db
DECISIONS = "admin:core_decision_changelist"


def signed_in(client: Client, role: Role) -> User:
    user = person(role)
    client.force_login(user)
    return user


@pytest.fixture
def three_decisions() -> None:
    record_many(
        Entry(
            scope="risk-monitoring",
            actor=system("tests"),
            action="order_aging_detected",
            subject=f"order:{number}",
            rationale=f"Order {number} waits",
            evidence_url=f"/admin/orders/order/{number}/",
            payload={"days": number},
        )
        for number in (1, 2, 3)
    )


def test_an_auditor_reads_and_searches_decisions(client: Client, three_decisions: None) -> None:
    signed_in(client, Role.AUDITOR)
    page = client.get(reverse(DECISIONS), {"q": "order:2"})
    assert [decision.subject for decision in page.context["cl"].result_list] == ["order:2"]
    detail = client.get(reverse("admin:core_decision_change", args=[2]))
    assert detail.status_code == 200
    assert "Order 2 waits" in detail.content.decode()
    assert 'href="/admin/orders/order/2/change/"' in detail.content.decode()


def test_nobody_edits_decisions(client: Client, three_decisions: None) -> None:
    signed_in(client, Role.ADMINISTRATOR)
    assert client.get(reverse("admin:core_decision_add")).status_code == 403
    for page in ("change", "delete"):
        address = reverse(f"admin:core_decision_{page}", args=[1])
        assert client.post(address, {"post": "yes", "action": "x"}).status_code == 403
    assert Decision.objects.count() == 3


def test_an_operator_may_not_read_the_log(client: Client, three_decisions: None) -> None:
    signed_in(client, Role.OPERATOR)
    assert client.get(reverse(DECISIONS)).status_code == 403
    for action in ("export_json", "export_csv"):
        assert client.post(reverse(DECISIONS), {"action": action, "_selected_action": [1]}).status_code == 403


def downloaded(client: Client, action: str, *chosen: int) -> tuple[str, str]:
    """The type and text of an export."""
    form = {"action": action, "_selected_action": chosen, "index": 0}
    answer = client.post(reverse(DECISIONS), form)
    assert "attachment" in answer["Content-Disposition"]

    async def collect() -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    return answer["Content-Type"], async_to_sync(collect)().decode()


def test_decisions_are_exported_as_specified(
    client: Client, three_decisions: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "BATCH", 1)
    signed_in(client, Role.AUDITOR)
    kind, text = downloaded(client, "export_json", 3, 1)
    assert kind == "application/x-ndjson"
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["seq"] for line in lines] == [1, 3]
    wanted = {
        "scope": "risk-monitoring",
        "actor": "system:tests",
        "action": "order_aging_detected",
        "rationale": "Order 1 waits",
        "evidenceUrl": "/admin/orders/order/1/",
        "payload": {"days": 1},
    }
    assert lines[0].items() >= wanted.items()


def test_decisions_are_exported_for_spreadsheets_without_formulas(client: Client) -> None:
    record(Entry(scope="s", actor=system("tests"), action="noted", subject="x:1", rationale="=HYPERLINK(1)"))
    record(Entry(scope="s", actor=system("tests"), action="noted", subject="x:2", rationale='"a", b'))
    signed_in(client, Role.AUDITOR)
    kind, text = downloaded(client, "export_csv", 1, 2)
    assert kind.startswith("text/csv")
    rows = list(csv.DictReader(StringIO(text)))
    assert [row["rationale"] for row in rows] == ["'=HYPERLINK(1)", '"a", b']
    assert [row["hash"] for row in rows] == [decision.hash for decision in Decision.objects.order_by("seq")]


def test_decisions_are_filtered_by_the_scopes_that_the_log_knows(client: Client, three_decisions: None) -> None:
    for scope in ("privacy", "access", "privacy"):
        record(Entry(scope=scope, actor=system("tests"), action="looked_at", subject="order:9"))
    signed_in(client, Role.AUDITOR)
    page = client.get(reverse(DECISIONS), {"scope": "privacy"})
    assert [row.seq for row in page.context["cl"].result_list] == [6, 4]
    offered = page.context["cl"].filter_specs[0].lookup_choices
    assert [value for value, _ in offered] == ["access", "privacy", "risk-monitoring"]
    assert client.get(reverse(DECISIONS), {"scope": "nowhere"}).context["cl"].result_count == 0


def test_the_list_of_decisions_takes_few_queries(client: Client, django_assert_max_num_queries: object) -> None:
    people = [UserFactory() for _ in range(20)]
    record_many(Entry(scope="s", actor=user, action="a", subject="x:1") for user in people)
    signed_in(client, Role.AUDITOR)
    with django_assert_max_num_queries(20):  # type: ignore[operator]
        assert client.get(reverse(DECISIONS)).status_code == 200


def test_an_administrator_makes_a_person_and_gives_a_role(client: Client) -> None:
    signed_in(client, Role.ADMINISTRATOR)
    new = {"username": "nina", "email": "nina@example.com", "usable_password": "true"}
    new |= {"password1": "plenty of letters", "password2": "plenty of letters"}
    assert client.post(reverse("admin:core_user_add"), new).status_code == 302
    nina = User.objects.get(username="nina")
    operators = Group.objects.get(name=Role.OPERATOR)
    edit = {
        "username": "nina",
        "email": "nina@example.com",
        "is_active": "on",
        "is_staff": "on",
        "groups": [operators.pk],
    }
    assert client.post(reverse("admin:core_user_change", args=[nina.pk]), edit).status_code == 302
    assert User.objects.get(pk=nina.pk).has_perm("actions.decide_actioncard")


def test_nobody_makes_themselves_a_superuser(client: Client) -> None:
    boss = signed_in(client, Role.ADMINISTRATOR)
    edit = {"username": boss.username, "email": boss.email, "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    client.post(reverse("admin:core_user_change", args=[boss.pk]), edit)
    assert not User.objects.get(pk=boss.pk).is_superuser


def test_only_a_superuser_touches_a_superuser(client: Client) -> None:
    root = UserFactory(is_superuser=True, is_staff=True)
    signed_in(client, Role.ADMINISTRATOR)
    assert client.post(reverse("admin:core_user_change", args=[root.pk]), {"username": "x"}).status_code == 403
    assert client.post(reverse("admin:auth_user_password_change", args=[root.pk]), {}).status_code == 403
    assert client.post(reverse("admin:core_user_delete", args=[root.pk]), {"post": "yes"}).status_code == 403


def test_people_in_the_trail_are_not_deleted(client: Client) -> None:
    decider, editor, newcomer = UserFactory(), person(Role.ADMINISTRATOR), UserFactory()
    record(Entry(scope="s", actor=decider, action="a", subject="x:1"))
    client.force_login(editor)
    client.post(reverse("admin:core_scope_add"), {"name": "West", "slug": "west"})
    signed_in(client, Role.ADMINISTRATOR)
    for user, status in [(decider, 403), (editor, 403), (newcomer, 302)]:
        assert client.post(reverse("admin:core_user_delete", args=[user.pk]), {"post": "yes"}).status_code == status
    chosen = {"action": "delete_selected", "_selected_action": [decider.pk, editor.pk], "post": "yes"}
    client.post(reverse("admin:core_user_changelist"), chosen)
    assert User.objects.filter(pk__in=[decider.pk, editor.pk, newcomer.pk]).count() == 2


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.TEAM_LEAD, Role.RISK_MANAGER])
def test_other_roles_do_not_manage_people(client: Client, role: Role) -> None:
    signed_in(client, role)
    assert client.get(reverse("admin:core_user_changelist")).status_code == 403


def test_roles_are_looked_at_and_not_edited(client: Client) -> None:
    signed_in(client, Role.ADMINISTRATOR)
    operators = Group.objects.get(name=Role.OPERATOR)
    address = reverse("admin:auth_group_change", args=[operators.pk])
    assert client.get(address).status_code == 200
    assert client.post(address, {"name": "Mine", "permissions": []}).status_code == 403


def test_evidence_elsewhere_is_told_and_not_linked(client: Client) -> None:
    record(Entry(scope="s", actor=system("tests"), action="a", subject="x:1", evidence_url="javascript:alert(1)"))
    signed_in(client, Role.AUDITOR)
    page = client.get(reverse("admin:core_decision_change", args=[1])).content.decode()
    assert "javascript:alert(1)" in page
    assert 'href="javascript:' not in page


def test_deliveries_tell_what_happened_in_few_queries(client: Client, django_assert_max_num_queries: object) -> None:
    notify(kind="monitoring", recipients=[UserFactory() for _ in range(20)], title="Down <b>", body="b", dedupe_key="k")
    Delivery.objects.filter(channel="email").update(status="failed", attempts=6, last_error="550 <no such user>")
    signed_in(client, Role.AUDITOR)
    with django_assert_max_num_queries(20):  # type: ignore[operator]
        page = client.get(reverse("admin:core_delivery_changelist")).content.decode()
    assert page.count("6 attempts") == 20
    assert "550 &lt;no such user&gt;" in page
    assert "Down &lt;b&gt;" in page


@pytest.mark.parametrize(("role", "status"), [(Role.ADMINISTRATOR, "pending"), (Role.AUDITOR, "failed")])
def test_who_tries_failed_mails_again(client: Client, role: Role, status: str) -> None:
    notify(kind="monitoring", recipients=[UserFactory()], title="t", body="b", dedupe_key="k")
    mail = Delivery.objects.get(channel="email")
    Delivery.objects.filter(pk=mail.pk).update(status="failed", attempts=6)
    signed_in(client, role)
    client.post(
        reverse("admin:core_delivery_changelist"), {"action": "try_again", "_selected_action": [mail.pk], "index": 0}
    )
    mail.refresh_from_db()
    assert mail.status == status
