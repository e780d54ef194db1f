"""Risk flags as people read them: scoped, grave ones first, with their evidence."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.core.models import Scope
from apps.core.roles import Role
from apps.escalation.admin import source_words
from apps.escalation.models import RiskFlag
from tests.actions.desk import NOW, make_card, url
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db

LIST = "/admin/escalation/riskflag/"


@pytest.fixture
def store() -> Scope:
    return ScopeFactory()


@pytest.fixture
def desk(client: Client, store: Scope) -> Client:
    client.force_login(person(Role.SUPPORT_AGENT, store))
    return client


def make_flag(**fields: Any) -> RiskFlag:
    values = {"title": "Flag", "description": "Why.", "level": 3, "source": f"note:{RiskFlag.objects.count()}"}
    return RiskFlag.objects.create(**{**values, "raised_at": NOW, **fields})


def page_of(flag: RiskFlag) -> str:
    return f"{LIST}{flag.pk}/change/"


def test_the_gravest_stand_first_and_foreign_ones_are_not_there(desk: Client, store: Scope) -> None:
    make_flag(title="mild", level=2, scope=store)
    make_flag(title="grave", level=5)
    foreign = make_flag(title="foreign", scope=ScopeFactory())
    shown = [flag.title for flag in desk.get(LIST).context["cl"].result_list]
    assert shown == ["grave", "mild"]
    assert desk.get(page_of(foreign)).status_code == 404


def test_a_flag_shows_its_evidence_and_the_way_to_its_card(desk: Client, store: Scope) -> None:
    card = make_card(scope=store)
    flag = make_flag(
        scope=store, source=f"action_card:{card.pk}", evidence=card.evidence, description="First.\n\nNext."
    )
    page = desk.get(page_of(flag)).content.decode()
    assert url(card) in page
    assert f"Action card {card.pk}" in page
    assert "Days waiting" in page
    assert "5 days" in page
    assert "<p>First.</p>" in page


def test_without_evidence_it_says_so(desk: Client) -> None:
    assert "No evidence was recorded" in desk.get(page_of(make_flag())).content.decode()


def test_text_from_outside_is_never_markup(desk: Client) -> None:
    flag = make_flag(title="<script>x</script>", description="<b>y</b>", evidence=[{"data": {"<i>": "<u>"}}])
    page = desk.get(page_of(flag)).content.decode()
    for markup in ("<script>x", "<b>y", "<i>", "<u>"):
        assert markup not in page


def test_flags_are_neither_edited_nor_deleted_here(desk: Client) -> None:
    flag = make_flag()
    assert desk.post(page_of(flag), {"level": 1}).status_code == 405
    assert desk.post(f"{LIST}{flag.pk}/delete/", {"post": "yes"}).status_code == 403
    assert desk.get(f"{LIST}add/").status_code == 403


def test_nobody_gets_the_login(client: Client) -> None:
    assert client.get(LIST).status_code == 302
    assert client.get(page_of(make_flag())).status_code == 302


def test_sources_in_words() -> None:
    assert [source_words(source) for source in ("action_card:17", "conversation:4", "note")] == [
        "Action card 17", "Conversation 4", "Note",
    ]  # fmt: skip
