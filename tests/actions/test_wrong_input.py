"""Input that nobody types: it is refused or ignored, and never breaks a page."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from django.test import Client

from apps.core.models import User
from apps.core.roles import Role
from tests.actions.desk import QUEUE
from tests.actions.factories import CardFactory
from tests.core.factories import person

pytestmark = pytest.mark.django_db

LONG = "9" * 5_000
TEXTS = ["²", "9" * 30, LONG, "\0", "a\0b", "-1", "NaN"]


@pytest.fixture
def risk(client: Client) -> Client:
    client.force_login(person(Role.RISK_MANAGER))
    return client


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["status", "kind__exact", "scope", "impact", "age", "q", "p", "o"])
def test_filters_of_the_queue(risk: Client, name: str, text: str) -> None:
    assert risk.get(f"{QUEUE}?{name}={quote(text)}").status_code in (200, 302, 400)


@pytest.mark.parametrize(
    "days", [("0001-01-01", "0001-01-05"), ("9999-12-01", "9999-12-31"), ("0001-01-04", "0001-02-05")]
)
def test_days_at_the_ends_of_the_calendar(risk: Client, days: tuple[str, str]) -> None:
    assert risk.get(f"{QUEUE}dashboard/?since={days[0]}&until={days[1]}").status_code == 400


@pytest.mark.parametrize("text", ["²", LONG])
@pytest.mark.parametrize("page", ["actions/actioncard", "actions/ruleversion", "escalation/riskflag"])
def test_keys_of_pages(risk: Client, admin_user: User, page: str, text: str) -> None:
    risk.force_login(admin_user)
    assert risk.get(f"/admin/{page}/{quote(text)}/change/").status_code == 404


@pytest.mark.parametrize("text", ["", "x", "²", "\0", LONG])
def test_selected_rows(risk: Client, admin_user: User, text: str) -> None:
    risk.force_login(admin_user)
    CardFactory()
    sent = {"action": "dismiss_selected", "_selected_action": text, "index": "0"}
    assert risk.post(QUEUE, sent).status_code == 400


def test_names_of_views(risk: Client) -> None:
    assert risk.post(QUEUE + "views/save/", {"name": "\0", "query": "q=%00"}).status_code == 302
    assert risk.post(QUEUE + "views/save/", {"name": "a\0", "query": "q=%00"}).status_code == 302


def test_sizes_of_pages_of_the_api(risk: Client) -> None:
    assert risk.get(f"/api/cards/?page_size={LONG}").status_code == 400


@pytest.mark.parametrize(
    ("body", "tag"),
    [
        ("[" * 50_000, '"1"'),
        ('{"outcome": "true"}', f'"{LONG}"'),
        ('{"outcome": "true", "seen_version": 1e999}', '"1"'),
    ],
)
def test_bodies_and_versions_of_the_api(risk: Client, admin_user: User, body: str, tag: str) -> None:
    risk.force_login(admin_user)
    url = f"/api/cards/{CardFactory().pk}/dismiss/"
    assert risk.post(url, body, content_type="application/json", headers={"If-Match": tag}).status_code == 400
