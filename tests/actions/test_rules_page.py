"""The rules' pages: how rules do, and thresholds that are edited by making an immutable version."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.actions.models import RuleRun, RuleVersion
from apps.actions.rules import rules
from apps.actions.versions import current_version
from apps.core.models import Decision, User
from apps.core.roles import Role
from tests.actions.desk import make_card, url
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db

LIST = "/admin/actions/ruleversion/"
PAGE = LIST + "rule/order-ageing/"


@pytest.fixture
def manager() -> User:
    return person(Role.RISK_MANAGER, username="rita")


@pytest.fixture
def desk(client: Client, manager: User) -> Client:
    client.force_login(manager)
    return client


def filled(client: Client, **changes: Any) -> dict[str, Any]:
    """The form as the page gave it, with some fields changed; ``None`` leaves one out."""
    initial = dict(client.get(PAGE).context["form"].initial)
    values = {
        name: "\n".join(map(str, v)) if isinstance(v, list) else v for name, v in initial.items() if v is not False
    }
    values |= {"reason": "Busy season", **changes}
    return {name: value for name, value in values.items() if value is not None}


def test_every_rule_is_listed_with_its_state(desk: Client) -> None:
    version, now = current_version(rules["order-ageing"]), timezone.now()
    ran = {"rule": "order-ageing", "version": version, "trigger": "schedule", "as_of": now}
    RuleRun.objects.create(status="succeeded", started_at=now, finished_at=now, hits=7, **ran)
    page = desk.get(LIST)
    shown = {one.rule.slug: one for one in page.context["standings"]}
    assert set(shown) == {rule.slug for rule in rules}
    assert shown["order-ageing"].state == ("ok", "Runs")
    assert shown["carrier-delay"].state == ("warn", "Never ran")
    assert rules["order-ageing"].title in page.content.decode()
    RuleRun.objects.create(status="failed", started_at=now + timedelta(minutes=1), error="no", **ran)
    assert {one.rule.slug: one.state for one in desk.get(LIST).context["standings"]}["order-ageing"][0] == "bad"


def test_the_list_takes_few_queries(desk: Client) -> None:
    desk.get(LIST)
    with CaptureQueriesContext(connection) as queries:
        desk.get(LIST)
    assert len(queries) < 20


def test_the_form_is_made_from_the_rules_schema(desk: Client) -> None:
    page = desk.get(PAGE)
    for name, field in rules["order-ageing"].settings.model_fields.items():
        assert name in page.context["form"].fields
        assert (field.title or name) in page.content.decode()


def test_saving_makes_the_next_version_and_keeps_the_old(desk: Client, manager: User) -> None:
    before = current_version(rules["order-ageing"])
    response = desk.post(PAGE, filled(desk, warning_days=4))
    assert response.status_code == 302
    made = current_version(rules["order-ageing"])
    assert (made.number, made.settings["warning_days"], made.reason, made.created_by) == (
        before.number + 1,
        4,
        "Busy season",
        manager,
    )
    before.refresh_from_db()
    assert before.settings.get("warning_days", 3) == 3
    assert Decision.objects.filter(actor=manager).exists()


def test_the_history_shows_what_each_version_changed(desk: Client) -> None:
    desk.post(PAGE, filled(desk, warning_days=4))
    page = desk.get(PAGE).content.decode()
    assert "<del>3</del> <ins>4</ins>" in page
    assert "Busy season" in page
    assert 'id="v1"' in page


def test_a_rule_can_be_switched_off(desk: Client) -> None:
    desk.post(PAGE, filled(desk, enabled=None))
    assert not current_version(rules["order-ageing"]).enabled
    assert "Off" in desk.get(PAGE).content.decode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"warning_days": 0}, "greater than or equal to 1"),
        ({"warning_days": "many"}, "Enter a whole number"),
        ({"warning_days": 6}, "must rise"),
        ({"reason": ""}, "This field is required"),
    ],
)
def test_wrong_thresholds_are_refused_with_words(desk: Client, changes: dict[str, Any], words: str) -> None:
    count = RuleVersion.objects.filter(rule="order-ageing").count()
    response = desk.post(PAGE, filled(desk, **changes))
    assert response.status_code == 400
    assert words in response.content.decode()
    assert "No version was made" in response.content.decode()
    assert RuleVersion.objects.filter(rule="order-ageing").count() in (count, 1)


def test_nothing_changed_makes_no_version(desk: Client) -> None:
    desk.post(PAGE, filled(desk))
    assert RuleVersion.objects.filter(rule="order-ageing").count() == 1


def test_a_version_made_meanwhile_is_shown_before_anything_is_saved(desk: Client) -> None:
    stale = filled(desk, warning_days=4)
    desk.post(PAGE, filled(desk, warning_days=2, reason="Quicker"))
    response = desk.post(PAGE, stale)
    assert response.status_code == 400
    assert "version_changed" in response.content.decode()
    assert current_version(rules["order-ageing"]).settings["warning_days"] == 2


def test_a_version_is_immutable(desk: Client) -> None:
    version = current_version(rules["order-ageing"])
    with pytest.raises(DatabaseError), transaction.atomic():
        RuleVersion.objects.filter(pk=version.pk).update(reason="Other")
    assert desk.post(f"{LIST}{version.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_card_links_to_the_version_that_found_it(client: Client) -> None:
    store = ScopeFactory()
    client.force_login(person(Role.OPERATOR, store))
    page = client.get(url(make_card())).content.decode()
    assert f"{PAGE}#v1" in page
    assert client.get(PAGE).status_code == 200


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.AUDITOR])
def test_others_look_and_do_not_edit(client: Client, role: Role) -> None:
    client.force_login(person(role))
    page = client.get(PAGE).content.decode()
    assert "Make a new version" not in page
    assert client.post(PAGE, {"seen": 1, "warning_days": 4, "reason": "x"}).status_code == 403
    assert RuleVersion.objects.filter(rule="order-ageing").count() == 1


def test_without_the_role_there_are_no_rules(client: Client) -> None:
    client.force_login(person(Role.CONTENT_OWNER))
    assert client.get(LIST).status_code == 403
    assert client.get(PAGE).status_code == 403


def test_an_unknown_rule_is_not_there(desk: Client) -> None:
    assert desk.get(LIST + "rule/no-such-rule/").status_code == 404
    assert desk.put(PAGE).status_code == 405
