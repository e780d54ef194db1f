"""The API of tickets and flags: scope, roles, versions, keys, pages, limits."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.core import tokens
from apps.core.models import User
from apps.core.roles import Role
from apps.escalation import outgoing
from apps.escalation.models import Category, Endpoint, OutgoingNews, RiskFlag, Team, Ticket
from tests.core.factories import ScopeFactory, person
from tests.escalation.desk import desk, made
from tests.escalation.factories import NOON, TO_RISK, raised

pytestmark = pytest.mark.django_db


def client(user: User) -> APIClient:
    found = APIClient()
    found.force_authenticate(user)
    return found


@pytest.fixture
def office() -> tuple[Team, Category, User]:
    own, about, (agent,) = desk()
    return own, about, agent


def code(answer: Any) -> str:
    return str(answer.json()["error"]["code"])


def test_a_ticket_is_made_routed_and_read(office: tuple[Team, Category, User]) -> None:
    own, about, agent = office
    api = client(agent)
    body = {"subject": "Late", "category": about.slug, "message": "My password is hunter2", "scope": own.scope.slug}
    answer = api.post("/api/tickets", body, format="json")
    assert answer.status_code == 201
    found = answer.json()
    assert (found["team"], found["scope"], found["channel"]) == (own.name, own.scope.slug, "api")
    assert found["messages"][0]["body"] == "My password is [password]"
    assert {clock["target"] for clock in found["clocks"]} == {"first_response", "resolution"}
    again = api.get(f"/api/tickets/{found['id']}")
    assert again.status_code == 200
    assert again["ETag"] == f'"{again.json()["version"]}"'
    assert again.json()["events"][-1]["reason"].startswith(f"{own} answers {about}.")


def test_what_a_category_needs_is_said_by_field(office: tuple[Team, Category, User]) -> None:
    _, about, agent = office
    about.required_fields = ["order_reference"]
    about.save()
    answer = client(agent).post("/api/tickets", {"subject": "Late", "category": about.slug}, format="json")
    assert (answer.status_code, code(answer)) == (422, "missing_information")
    assert list(answer.json()["error"]["fields"]) == ["order_reference"]


@pytest.mark.parametrize("body", [
    {"subject": "x", "colour": "red"}, {"subject": 1}, {"subject": "x", "priority": "2"}, {"subject": "x", "channel": "a"},
    {},
])  # fmt: skip
def test_a_body_that_is_not_as_described_is_refused(office: tuple[Team, Category, User], body: dict[str, Any]) -> None:
    assert client(office[2]).post("/api/tickets", body, format="json").status_code == 400
    assert not Ticket.objects.exists()


def test_a_foreign_scope_cannot_be_named(office: tuple[Team, Category, User]) -> None:
    body = {"subject": "x", "scope": ScopeFactory().slug}
    answer = client(office[2]).post("/api/tickets", body, format="json")
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (422, ["scope"])


PATHS = ("", "/edit", "/reply", "/receive", "/note", "/assign", "/transition", "/merge")


@pytest.mark.parametrize("path", PATHS)
def test_a_foreign_ticket_is_not_there(office: tuple[Team, Category, User], path: str) -> None:
    ticket = made(category=office[1])
    stranger = client(person(Role.TEAM_LEAD, ScopeFactory()))
    bodies = {
        "/edit": {"seen_version": 1}, "/reply": {"text": "x"}, "/receive": {"text": "x"}, "/note": {"text": "x"},
        "/assign": {"seen_version": 1, "assignee": None}, "/transition": {"seen_version": 1, "transition": "close"},
        "/merge": {"seen_version": 1, "into": 2},
    }  # fmt: skip
    url = f"/api/tickets/{ticket.pk}{path}"
    answer = stranger.post(url, bodies[path], format="json") if path else stranger.get(url)
    assert (answer.status_code, code(answer)) == (404, "not_found")
    assert stranger.get("/api/tickets").json()["results"] == []


def test_who_only_reads_changes_nothing(office: tuple[Team, Category, User]) -> None:
    ticket = made(category=office[1])
    auditor = client(person(Role.AUDITOR))
    assert auditor.get(f"/api/tickets/{ticket.pk}").status_code == 200
    assert auditor.post(f"/api/tickets/{ticket.pk}/note", {"text": "x"}, format="json").status_code == 403
    assert auditor.post("/api/tickets", {"subject": "x"}, format="json").status_code == 403
    assert auditor.post("/api/flags", {"title": "x", "description": "x", "level": 1}, format="json").status_code == 403


def test_who_has_no_part_in_tickets_sees_none() -> None:
    assert client(person(Role.CONTENT_OWNER)).get("/api/tickets").status_code == 403
    assert APIClient().get("/api/tickets").status_code == 401
    assert APIClient().get("/api/flags").status_code == 401


def test_a_transition_is_bound_to_the_version_that_was_seen(office: tuple[Team, Category, User]) -> None:
    ticket, api = made(category=office[1]), client(office[2])
    body = {"seen_version": ticket.version - 1, "transition": "resolve", "reason": "Sent"}
    answer = api.post(f"/api/tickets/{ticket.pk}/transition", body, format="json")
    assert (answer.status_code, code(answer)) == (409, "ticket_changed")
    assert answer.json()["error"]["version"] == ticket.version
    answer = api.post(f"/api/tickets/{ticket.pk}/transition", body | {"seen_version": ticket.version}, format="json")
    assert (answer.status_code, answer.json()["status"]) == (200, "resolved")
    assert answer["ETag"] == f'"{ticket.version + 1}"'
    body = {"seen_version": ticket.version + 1, "transition": "wait", "reason": "x"}
    answer = api.post(f"/api/tickets/{ticket.pk}/transition", body, format="json")
    assert (answer.status_code, code(answer)) == (409, "wrong_state")


def test_a_repeated_request_gets_the_first_answer(office: tuple[Team, Category, User]) -> None:
    api = client(office[2])
    first, second = (
        api.post("/api/tickets", {"subject": "Late"}, format="json", headers={"Idempotency-Key": "k-1"})
        for _ in range(2)
    )
    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"
    assert Ticket.objects.count() == 1
    other = api.post("/api/tickets", {"subject": "Other"}, format="json", headers={"Idempotency-Key": "k-1"})
    assert (other.status_code, code(other)) == (409, "idempotency_key_reused")


def test_reply_assign_edit_and_merge(office: tuple[Team, Category, User]) -> None:
    _, about, agent = office
    ticket, other, api = made(category=about), made(category=about), client(agent)
    url = f"/api/tickets/{ticket.pk}"
    found = api.post(f"{url}/reply", {"text": "We look.", "then_wait": True}, format="json").json()
    assert (found["status"], found["messages"][0]["kind"]) == ("waiting", "agent")
    found = api.post(f"{url}/receive", {"text": "Here"}, format="json").json()
    assert found["status"] == "open"
    body = {"seen_version": found["version"], "order_reference": "#1001", "tags": ["vip"]}
    found = api.post(f"{url}/edit", body, format="json").json()
    assert (found["order_reference"], found["tags"]) == ("#1001", ["vip"])
    body = {"seen_version": found["version"], "assignee": None}
    found = api.post(f"{url}/assign", body, format="json").json()
    assert found["assignee"] is None
    nobody = api.post(f"{url}/assign", {"seen_version": found["version"], "assignee": "nobody"}, format="json")
    assert nobody.status_code == 422
    merged = api.post(f"{url}/merge", {"seen_version": found["version"], "into": other.pk}, format="json").json()
    assert (merged["status"], merged["merged_into"]) == ("merged", other.number)


def test_pages_go_on_where_the_one_before_ended(office: tuple[Team, Category, User]) -> None:
    tickets, api = [made(category=office[1]) for _ in range(5)], client(office[2])
    seen, url = [], "/api/tickets?page_size=2"
    while url:
        page = api.get(url).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
    assert seen == [ticket.pk for ticket in reversed(tickets)]
    assert api.get("/api/tickets?page_size=0").status_code == 400
    assert api.get("/api/tickets?cursor=x").status_code == 400
    assert api.get("/api/tickets?status=nonsense").status_code == 400
    assert api.get("/api/tickets?status=closed").json()["results"] == []


def test_a_list_costs_the_same_however_long_it_is(
    office: tuple[Team, Category, User], django_assert_max_num_queries: Any
) -> None:
    for _ in range(6):
        made(category=office[1])
    with django_assert_max_num_queries(8):
        client(office[2]).get("/api/tickets")


def test_requests_are_limited(office: tuple[Team, Category, User], settings: Any) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"api_user": "2/minute"}
    api = client(office[2])
    answers = [api.get(path) for path in ("/api/tickets", "/api/flags", "/api/tickets")]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2]["Retry-After"]) > 0


def test_a_token_is_enough(office: tuple[Team, Category, User]) -> None:
    token = tokens.issue(user=office[2], name="t", days=1, now=NOON.now(NOON.tzinfo))[1]
    assert APIClient().get("/api/tickets", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_flag_is_raised_from_a_ticket_once_and_in_its_scope(office: tuple[Team, Category, User]) -> None:
    own, about, agent = office
    ticket, api = made(category=about), client(agent)
    body = {"title": "Leak", "description": "Names shown", "level": 4, "indicator": "data", "ticket": ticket.pk}
    first, second = (api.post("/api/flags", body, format="json") for _ in range(2))
    assert (first.status_code, first.json()["id"]) == (201, second.json()["id"])
    flag = RiskFlag.objects.get()
    assert (flag.scope, flag.source, flag.references) == (own.scope, f"ticket:{ticket.pk}", [f"ticket:{ticket.pk}"])
    assert flag.raised_by == agent
    foreign = made(scope=ScopeFactory())
    assert api.post("/api/flags", body | {"ticket": foreign.pk}, format="json").status_code == 422


def test_a_foreign_flag_is_not_there() -> None:
    flag = raised(scope=ScopeFactory())
    api = client(person(Role.TEAM_LEAD, ScopeFactory()))
    assert api.get(f"/api/flags/{flag.pk}").status_code == 404
    assert api.post(f"/api/flags/{flag.pk}/acknowledge").status_code == 404
    assert api.post(f"/api/flags/{flag.pk}/note", {"text": "x"}, format="json").status_code == 404
    assert api.get("/api/flags").json()["results"] == []


def test_the_ladder_by_the_api() -> None:
    scope = ScopeFactory()
    flag = raised(scope=scope, level=3)
    lead, manager = client(person(Role.TEAM_LEAD, scope)), client(person(Role.SUPPORT_MANAGER, scope))
    url = f"/api/flags/{flag.pk}"
    found = lead.get(url).json()
    assert [one["name"] for one in found["transitions"]] == ["to_manager", "reject"]
    assert lead.post(f"{url}/acknowledge").json()["assignee"]
    body = {"seen_version": found["version"], "transition": "to_manager", "reason": "Looks real"}
    found = lead.post(f"{url}/transition", body, format="json").json()
    assert found["step"] == "manager_review"
    body = {"seen_version": found["version"], "transition": "confirm"}
    denied = lead.post(f"{url}/transition", body, format="json")
    assert (denied.status_code, code(denied)) == (403, "not_allowed")
    incomplete = manager.post(f"{url}/transition", body, format="json")
    assert (incomplete.status_code, code(incomplete)) == (422, "missing_information")
    stale = manager.post(f"{url}/transition", body | {"seen_version": 1, "information": TO_RISK}, format="json")
    assert (stale.status_code, code(stale)) == (409, "flag_changed")
    found = manager.post(f"{url}/transition", body | {"information": TO_RISK}, format="json").json()
    assert found["step"] == "risk_management"
    assert any(reference.startswith("risk:") for reference in found["references"])


def test_a_level_is_changed_with_a_reason() -> None:
    flag = raised(level=3)
    api = client(person(Role.SUPPORT_MANAGER))
    body = {"seen_version": flag.version, "level": 5, "reason": "It spreads"}
    assert api.post(f"/api/flags/{flag.pk}/level", body | {"reason": " "}, format="json").status_code == 422
    found = api.post(f"/api/flags/{flag.pk}/level", body, format="json").json()
    assert (found["level"], found["step"]) == (5, "escalated")


def test_news_leads_to_what_the_api_shows(office: tuple[Team, Category, User], settings: Any) -> None:
    Endpoint.objects.create(name="Partner", url="https://example.com/hook", secret="x")
    ticket, flag = made(category=office[1]), raised(scope=office[0].scope)
    api = client(office[2])
    for row in OutgoingNews.objects.all():
        path = row.body["url"].removeprefix(settings.SITE_URL)
        assert api.get(path).json()["id"] in (ticket.pk, flag.pk)
    assert outgoing.dead_letters().count() == 0
