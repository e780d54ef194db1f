"""Thresholds of the indicators: versions that nobody changes, and which one a proposal was found with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from apps.core.models import Decision, User
from apps.core.roles import Role
from apps.escalation import reports, thresholds
from apps.escalation.binding import NotAllowed
from apps.escalation.models import IndicatorVersion, Phrase, Proposal, Report
from apps.escalation.signs import indicators
from tests.core.factories import person
from tests.escalation.factories import NOON

pytestmark = pytest.mark.django_db
LIST = "/admin/escalation/indicatorversion/"
PAGE = LIST + "rule/security/"


@pytest.fixture(autouse=True)
def _phrase() -> None:
    Phrase.objects.all().delete()
    Phrase.objects.create(indicator="security", text="frobnicator", weight=3, reason="Ours")


@pytest.fixture
def manager() -> User:
    return person(Role.RISK_MANAGER, username="rita")


def said(number: int, text: str = "The frobnicator is open") -> Report:
    source = f"ticket_message:{number}"
    at = NOON + timedelta(minutes=number)
    report = reports.observe(
        source=source, text=text, customer=f"c{number}", category="", scope=None, at=at, subject=f"ticket:{number}"
    )
    reports.judge(report.pk, now=at)
    return report


def changed(actor: User, **options: Any) -> IndicatorVersion:
    values = {"slug": "security", "settings": {"propose_from": 5}, "enabled": True, "reason": " Too many. "}
    return thresholds.new_version(actor=actor, **(values | options))  # type: ignore[arg-type]


def test_a_proposal_stores_the_version_that_found_it_and_the_next_message_is_judged_by_the_next(manager: User) -> None:
    said(1)
    first = Proposal.objects.get()
    assert first.thresholds == thresholds.current_version(indicators["security"])
    assert first.thresholds is not None
    assert first.thresholds.number == 1

    second = changed(manager)
    said(2)
    assert Proposal.objects.get() == first  # a score of 3 is not enough any more
    changed(manager, settings={"propose_from": 1, "medium_from": 3}, reason="Too few.")
    said(3)
    newest = Proposal.objects.get(subject="ticket:3")
    assert newest.thresholds is not None
    assert (newest.thresholds.number, newest.level) == (3, 3)
    first.refresh_from_db()
    assert first.thresholds is not None
    assert first.thresholds.number == 1
    assert (second.number, second.reason, second.created_by) == (2, "Too many.", manager)


def test_an_indicator_that_is_switched_off_proposes_nothing(manager: User) -> None:
    changed(manager, settings={}, enabled=False)
    said(1)
    assert not Proposal.objects.exists()


def test_each_change_is_on_record(manager: User) -> None:
    changed(manager)
    entry = Decision.objects.get(action="indicator_version_made")
    assert (entry.actor, entry.subject, entry.payload["number"]) == (manager, "indicator:security", 2)
    assert entry.payload["former"]["propose_from"] == 2.0
    assert entry.payload["settings"]["propose_from"] == 5.0


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.RISK_MANAGER, Role.ADMINISTRATOR)])
def test_others_change_no_thresholds(role: Role) -> None:
    with pytest.raises(NotAllowed):
        changed(person(role))
    assert not IndicatorVersion.objects.filter(number=2).exists()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"settings": {"propose_from": 0}}, "propose_from"),
        ({"settings": {"propose_from": "x"}}, "propose_from"),
        ({"settings": {"unknown": 1}}, "unknown"),
        ({"reason": " "}, "reason"),
    ],
)
def test_wrong_thresholds_are_refused_by_name(manager: User, options: dict[str, Any], field: str) -> None:
    with pytest.raises(thresholds.InvalidSettings) as refused:
        changed(manager, **options)
    assert field in refused.value.fields


@pytest.mark.parametrize("verb", ["UPDATE escalation_indicatorversion SET reason = 'x'", "DELETE FROM escalation_indicatorversion"])  # fmt: skip
def test_the_database_refuses_to_change_a_version(verb: str) -> None:
    thresholds.current_version(indicators["security"])
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(verb)


def test_a_version_that_fits_no_schema_silences_its_indicator_alone() -> None:
    IndicatorVersion.objects.create(rule="security", number=1, settings={"gone": 1}, reason="Old", created_at=NOON)
    Phrase.objects.create(indicator="data", text="frobnicator", weight=3, reason="Ours")
    said(1)
    assert Proposal.objects.get().indicator == "data"


def filled(client: Client, **changes: Any) -> dict[str, Any]:
    initial = dict(client.get(PAGE).context["form"].initial)
    return {name: value for name, value in {**initial, "reason": "Busy", **changes}.items() if value is not None}


def test_the_form_makes_the_next_version(client: Client, manager: User) -> None:
    client.force_login(manager)
    assert "Indicators" in client.get(LIST).content.decode()
    assert client.post(PAGE, filled(client, propose_from="2.5")).status_code == 302
    made = IndicatorVersion.objects.latest("pk")
    assert (made.number, made.settings["propose_from"], made.created_by, made.reason) == (2, 2.5, manager, "Busy")
    page = client.get(PAGE).content.decode()
    assert "<del>2.0</del> <ins>2.5</ins>" in page
    assert client.get(f"{LIST}{made.pk}/change/").url == f"{PAGE}#v2"  # type: ignore[attr-defined]


def test_what_was_not_seen_is_not_changed(client: Client, manager: User) -> None:
    client.force_login(manager)
    stale = filled(client, propose_from="4")
    changed(manager)
    answer = client.post(PAGE, stale)
    assert answer.status_code == 400
    assert "version_changed" in answer.content.decode()
    assert IndicatorVersion.objects.latest("pk").number == 2


@pytest.mark.parametrize(("role", "sees"), [(Role.TEAM_LEAD, 200), (Role.AUDITOR, 200), (Role.SUPPORT_AGENT, 403)])
def test_who_may_look_does_not_edit(client: Client, role: Role, sees: int) -> None:
    client.force_login(person(role))
    answer = client.get(PAGE)
    assert answer.status_code == sees
    assert b"Make a new version" not in answer.content
    assert client.post(PAGE, {"seen": 1, "propose_from": 9, "reason": "x"}).status_code == 403


def test_a_proposal_shows_its_version(client: Client, manager: User) -> None:
    said(1)
    client.force_login(manager)
    page = client.get(f"/admin/escalation/proposal/{Proposal.objects.get().pk}/change/").content.decode()
    assert f"{PAGE}#v1" in page
