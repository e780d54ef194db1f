"""The API of the register: scope, roles, versions, keys."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.core.models import Decision, User
from apps.core.roles import Role
from apps.register.models import Acceptance, Rating, Risk
from tests.core.factories import ScopeFactory, person
from tests.register.desk import an_acceptance, an_owned_risk
from tests.register.factories import a_control, a_mitigation, a_risk, an_assessment

pytestmark = pytest.mark.django_db
RISKS = "/api/risks"


def client(user: User) -> APIClient:
    found = APIClient()
    found.force_authenticate(user)
    return found


def code(answer: Any) -> str:
    return str(answer.json()["error"]["code"])


def send(
    api: APIClient, method: str, path: str, body: dict[str, Any], version: int | None = None, **headers: str
) -> Any:
    if version is not None:
        headers["If-Match"] = f'"{version}"'
    return getattr(api, method)(path, body, format="json", headers=headers)


def test_a_risk_is_recorded_scored_and_read() -> None:
    assessment, api = an_assessment(slug="pay"), client(person(Role.RISK_MANAGER))
    body = {"title": "Fire", "source": "audit:1", "assessment": "pay", "owner_role": "Risk Manager"}
    made = send(api, "post", RISKS, body)
    assert (made.status_code, made["ETag"]) == (201, '"1"')
    assert send(api, "post", RISKS, body).json()["id"] == made.json()["id"]  # the same source is the same risk
    address = f"{RISKS}/{made.json()['id']}"
    score = {"kind": "current", "probability": 2, "impact": 3, "reason": "Seen."}
    answer = send(api, "post", f"{address}/ratings", score, 1)
    assert answer.status_code == 201, answer.json()
    found = api.get(address).json()
    assert (found["severity"], found["assessment"], found["version"]) == (83, assessment.slug, 2)
    assert [(one["level"], one["matrix"], one["matrix_version"]) for one in found["ratings"]] == [
        ("High", "low-medium-high", 1)
    ]
    assert Decision.objects.filter(action="risk_scored").count() == 1


def test_a_write_is_bound_to_the_version_that_was_seen() -> None:
    risk, owner = an_owned_risk()
    api, address = client(owner), f"{RISKS}/{risk.pk}"
    assert code(send(api, "patch", address, {"title": "New"})) == "version_required"
    seen = risk.version
    assert send(api, "patch", address, {"title": "New", "reason": "Clearer."}, seen).status_code == 200
    late = send(api, "patch", address, {"title": "Newer"}, seen)
    assert (late.status_code, code(late), late["ETag"]) == (412, "precondition_failed", f'"{seen + 1}"')
    assert "New" in late.json()["error"]["message"]  # it tells what differs
    assert Risk.objects.get().title == "New"
    assert send(api, "patch", address, {"title": "x"}, 0).status_code == 400


def test_a_key_makes_a_repeated_request_harmless() -> None:
    risk, owner = an_owned_risk()
    score = {"kind": "residual", "probability": 1, "impact": 1, "reason": "Later."}
    answers = [
        send(client(owner), "post", f"{RISKS}/{risk.pk}/ratings", score, risk.version, **{"Idempotency-Key": "k1"})
        for _ in range(2)
    ]
    assert [one.status_code for one in answers] == [201, 201]
    assert Rating.objects.filter(kind="residual").count() == 1


def test_what_is_not_in_sight_is_not_there() -> None:
    risk = a_risk(scope=ScopeFactory())
    for api in (client(person(Role.SUPPORT_MANAGER)), client(person(Role.TEAM_LEAD))):
        assert api.get(f"{RISKS}/{risk.pk}").status_code == 404
        assert api.get(RISKS).json()["results"] == []
        assert send(api, "patch", f"{RISKS}/{risk.pk}", {"title": "x"}, 1).status_code == 404


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.SUPPORT_MANAGER])
def test_who_reads_and_does_not_own_changes_nothing(role: Role) -> None:
    risk, mitigation = a_risk(), a_mitigation(a_risk())
    api = client(person(role))
    assert api.get(f"{RISKS}/{risk.pk}").status_code == 200
    for method, path, body in (
        ("patch", f"{RISKS}/{risk.pk}", {"title": "x"}),
        ("post", f"{RISKS}/{risk.pk}/ratings", {"kind": "current", "level": "High", "reason": "r"}),
        ("post", f"{RISKS}/{risk.pk}/status", {"to": "closed", "reason": "r"}),
        ("post", f"{RISKS}/{risk.pk}/acceptances", {"expires_on": "2099-01-01", "reason": "r"}),
        ("patch", f"/api/mitigations/{mitigation.pk}", {"progress": 5}),
        ("post", f"{RISKS}/{risk.pk}/mitigations", {"title": "x"}),
    ):
        assert send(api, method, path, body, 1).status_code == 403, path
    assert Rating.objects.count() == 0


@pytest.mark.parametrize("role", [Role.SUPPORT_AGENT, Role.OPERATOR, Role.CONTENT_OWNER])
def test_other_roles_do_not_see_the_register(role: Role) -> None:
    for path in (RISKS, f"{RISKS}/{a_risk().pk}", "/api/controls", "/api/assessments"):
        assert client(person(role)).get(path).status_code == 403, path


def test_an_acceptance_is_decided_by_another_on_what_was_asked_for() -> None:
    risk, owner = an_owned_risk(Role.RISK_MANAGER)
    asked = an_acceptance(risk)
    path, body = f"/api/acceptances/{asked.pk}/decide", {"accept": True, "reason": "Small."}
    assert code(send(client(owner), "post", path, body)) == "own_request"
    other = client(person(Role.RISK_MANAGER))
    assert code(send(other, "post", path, {**body, "digest": "f" * 64})) == "acceptance_outdated"
    assert send(other, "post", path, {**body, "digest": asked.digest}).json()["state"] == "approved"
    assert Risk.objects.get().status == Risk.Status.ACCEPTED
    assert Acceptance.objects.get().decided_by != owner


def test_owners_work_on_their_mitigations() -> None:
    owner = person(Role.TEAM_LEAD)
    row = a_mitigation(a_risk(), owner=owner)
    path = f"/api/mitigations/{row.pk}"
    assert send(client(owner), "patch", path, {"progress": 40, "status": "in_progress"}, 1).json()["version"] == 2
    assert send(client(owner), "patch", path, {"progress": 50}, 1).status_code == 412


def test_controls_say_what_they_say_now() -> None:
    control, api = a_control(), client(person(Role.RISK_MANAGER))
    assert api.get("/api/controls").json()["results"][0]["outcome"] == ""
    body = {"outcome": "pass", "statement": "Looked.", "link": "https://example.com/notes"}
    assert send(api, "post", f"/api/controls/{control.pk}/attestations", body).status_code == 201
    assert api.get("/api/controls").json()["results"][0]["outcome"] == "pass"


def test_pages_and_filters() -> None:
    api = client(person(Role.AUDITOR))
    made = [a_risk().pk for _ in range(3)]
    first = api.get(RISKS, {"page_size": 2}).json()
    assert [one["id"] for one in first["results"]] == made[:0:-1]
    assert [one["id"] for one in api.get(first["next"]).json()["results"]] == made[:1]
    assert api.get(RISKS, {"severity_min": 1}).json()["results"] == []
    assert api.get(RISKS, {"severity_min": "x"}).status_code == 400
    assert api.get(RISKS, {"status": "gone"}).status_code == 400
