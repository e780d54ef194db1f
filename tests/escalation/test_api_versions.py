"""Writes to tickets and flags by the API are bound to the version that was looked at: If-Match, or seen_version."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from apps.core.models import User
from apps.core.roles import Role
from apps.escalation.models import RiskFlag, Ticket
from tests.core.factories import ScopeFactory, person
from tests.escalation.desk import made
from tests.escalation.factories import raised

pytestmark = pytest.mark.django_db

MOVE = {"transition": "to_manager", "reason": "Looks real"}
# What each address of a flag and of a ticket is sent; True: it cannot do without a version.
FLAG = {"transition": (MOVE, True), "level": ({"level": 4, "reason": "It spreads"}, True), "note": ({"text": "x"}, False),
        "acknowledge": ({}, False)}  # fmt: skip
TICKET = {
    "edit": ({"summary": "x"}, True), "assign": ({"assignee": None}, True), "note": ({"text": "x"}, False),
    "transition": ({"transition": "resolve", "reason": "Sent"}, True), "reply": ({"text": "x"}, False),
    "receive": ({"text": "x"}, False), "merge": ({"into": 0}, True),
}  # fmt: skip
ALL = [("flags", path, *rest) for path, rest in FLAG.items()] + [
    ("tickets", path, *rest) for path, rest in TICKET.items()
]


@pytest.fixture
def lead() -> User:
    return person(Role.TEAM_LEAD, ScopeFactory())


@pytest.fixture
def api(lead: User) -> APIClient:
    found = APIClient()
    found.force_authenticate(lead)
    return found


def prepared(kind: str, body: dict[str, Any]) -> tuple[RiskFlag | Ticket, str, dict[str, Any]]:
    """A flag or a ticket that changed once or more, its address, and the body."""
    if kind == "flags":
        flag = raised(title="It leaks")
        RiskFlag.objects.filter(pk=flag.pk).update(version=3)
        flag.refresh_from_db()
        return flag, f"/api/flags/{flag.pk}", body
    ticket = made()
    Ticket.objects.filter(pk=ticket.pk).update(version=3, status="open")
    ticket.refresh_from_db()
    if "into" in body:
        body = body | {"into": made(requester_contact="joe@example.com").pk}
    return ticket, f"/api/tickets/{ticket.pk}", body


def error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(("kind", "path", "body", "needed"), ALL)
def test_an_old_version_is_refused_and_the_one_now_is_told(
    api: APIClient, kind: str, path: str, body: dict[str, Any], needed: bool
) -> None:
    row, url, body = prepared(kind, body)
    answer = api.post(f"{url}/{path}", body, format="json", headers={"If-Match": '"2"'})
    assert error(answer) == (412, "precondition_failed")
    assert (answer.json()["error"]["version"], answer["ETag"]) == (3, '"3"')
    before = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    row.refresh_from_db()
    assert {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields} == before


@pytest.mark.parametrize(("kind", "path", "body", "needed"), ALL)
@pytest.mark.parametrize("header", ['"3"', 'W/"3"', '"1", "3"', "*"])
def test_the_version_now_goes_through(
    api: APIClient, kind: str, path: str, body: dict[str, Any], needed: bool, header: str
) -> None:
    _, url, body = prepared(kind, body)
    answer = api.post(f"{url}/{path}", body, format="json", headers={"If-Match": header})
    assert answer.status_code == 200, answer.content
    assert answer["ETag"] == f'"{answer.json()["version"]}"'


@pytest.mark.parametrize(("kind", "path", "body", "needed"), ALL)
def test_who_says_no_version_is_asked_for_it_where_it_matters(
    api: APIClient, kind: str, path: str, body: dict[str, Any], needed: bool
) -> None:
    _, url, body = prepared(kind, body)
    answer = api.post(f"{url}/{path}", body, format="json")
    if needed:
        assert error(answer) == (428, "version_required")
    else:
        assert answer.status_code == 200


@pytest.mark.parametrize("header", ["3", '"x"', '"3', '"-3"', '"3";', "", '"12345678901"'])
def test_what_is_no_version_is_malformed(api: APIClient, header: str) -> None:
    _, url, body = prepared("flags", MOVE)
    answer = api.post(f"{url}/transition", body, format="json", headers={"If-Match": header})
    assert error(answer) == (400, "invalid")
    assert list(answer.json()["error"]["fields"]) == ["If-Match"]


def test_header_and_body_must_agree(api: APIClient) -> None:
    _, url, body = prepared("flags", MOVE)
    answer = api.post(f"{url}/transition", body | {"seen_version": 2}, format="json", headers={"If-Match": '"3"'})
    assert error(answer) == (400, "invalid")
    both = api.post(f"{url}/transition", body | {"seen_version": 3}, format="json", headers={"If-Match": '"3"'})
    assert both.status_code == 200


def test_the_body_alone_is_refused_with_409(api: APIClient) -> None:
    _, url, body = prepared("flags", MOVE)
    answer = api.post(f"{url}/transition", body | {"seen_version": 2}, format="json")
    assert error(answer) == (409, "flag_changed")
    assert answer["ETag"] == '"3"'


def test_a_request_sent_again_with_its_key_gets_its_first_answer(api: APIClient) -> None:
    _, url, body = prepared("flags", MOVE)
    headers = {"If-Match": '"3"', "Idempotency-Key": "one"}
    first = api.post(f"{url}/transition", body, format="json", headers=headers)
    again = api.post(f"{url}/transition", body, format="json", headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert (first.json(), again["Idempotency-Replayed"]) == (again.json(), "true")
    other = api.post(f"{url}/level", {"level": 5, "reason": "x"}, format="json", headers={"If-Match": '"3"'})
    assert error(other) == (412, "precondition_failed")


def test_who_may_not_is_told_so_and_not_the_version(lead: User) -> None:
    flag, url, _ = prepared("flags", {})
    agent = APIClient()
    agent.force_authenticate(person(Role.SUPPORT_AGENT, ScopeFactory()))
    answer = agent.post(f"{url}/transition", MOVE, format="json", headers={"If-Match": '"3"'})
    assert error(answer) == (403, "not_allowed")
    RiskFlag.objects.filter(pk=flag.pk).update(scope=ScopeFactory())
    answer = agent.post(f"{url}/transition", MOVE, format="json", headers={"If-Match": '"2"'})
    assert error(answer) == (404, "not_found")
    assert "version" not in answer.json()["error"]


def test_the_description_says_so(client: Client) -> None:
    client.force_login(person(Role.ADMINISTRATOR))
    paths = client.get("/api/schema/", headers={"Accept": "application/json"}).json()["paths"]
    for kind, path, _, needed in ALL:
        name = "flag_id" if kind == "flags" else "ticket_id"
        operation = paths[f"/api/{kind}/{{{name}}}/{path}"]["post"]
        assert "If-Match" in {one["name"] for one in operation["parameters"]}, path
        assert "412" in operation["responses"], path
        assert ("428" in operation["responses"]) is needed, path
        assert "ETag" in operation["responses"]["200"]["headers"], path
