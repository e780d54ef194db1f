"""Incidents: the response procedure, its messages, the review and the changes that it proposes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import ProgrammingError, transaction

from apps.core.models import Decision, Notification, User
from apps.core.roles import Role
from apps.register import incidents, lessons
from apps.register.models import (
    CommunicationTemplate,
    Incident,
    IncidentEvent,
    Mitigation,
    ProposedChange,
    Rating,
    Risk,
)
from apps.register.refusals import RiskChanged
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.register.desk import signed_in
from tests.register.factories import NOON, a_risk, score

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def manager() -> User:
    return person(Role.SUPPORT_MANAGER)


@pytest.fixture
def keeper() -> User:
    return person(Role.RISK_MANAGER)


def opened(actor: User, **changes: Any) -> Incident:
    facts: dict[str, Any] = {
        "title": "Fire", "description": "It burns.", "severity": 4, "started_at": NOON - HOUR, "actor": actor, "now": NOON,
    }  # fmt: skip
    return incidents.open_incident(**(facts | changes))


def resolved(actor: User, **changes: Any) -> Incident:
    incident = opened(actor, **changes)
    for _ in range(3):
        incident.refresh_from_db()
        incidents.advance(
            incident_id=incident.pk, seen_version=incident.version, text="Done.", actor=actor, now=NOON + HOUR
        )
    incident.refresh_from_db()
    return incident


def reviewed(actor: User, **changes: Any) -> Incident:
    incident = resolved(actor, **changes)
    lessons.hold_review(
        incident_id=incident.pk,
        seen_version=incident.version,
        summary="It burned.",
        cause="A spark.",
        actor=actor,
        now=NOON,
    )
    incident.refresh_from_db()
    return incident


def test_stages_follow_each_other_and_are_recorded(manager: User, keeper: User) -> None:
    incident = resolved(manager)
    assert (incident.stage, incident.resolved_at) == ("resolved", NOON + HOUR)
    stages = incident.events.filter(kind="stage").values_list("data__stage", flat=True)
    assert list(stages) == ["assessment", "containment", "resolution", "resolved"]
    assert Decision.objects.filter(subject=f"incident:{incident.pk}").count() == 4
    assert Notification.objects.get(recipient=keeper).urgent
    with pytest.raises(incidents.NotInThisStage):
        incidents.advance(incident_id=incident.pk, seen_version=incident.version, text="x", actor=manager, now=NOON)


def test_a_step_is_bound_to_what_was_seen(manager: User) -> None:
    incident = opened(manager)
    incidents.add_entry(incident_id=incident.pk, kind="finding", text="Smoke.", actor=manager, now=NOON)
    with pytest.raises(incidents.IncidentChanged) as change:
        incidents.advance(incident_id=incident.pk, seen_version=incident.version, text="x", actor=manager, now=NOON)
    assert change.value.version == incident.version + 1


def test_the_timeline_is_never_changed(manager: User) -> None:
    event = opened(manager).events.get()
    for write in (event.delete, lambda: IncidentEvent.objects.update(text="x")):
        with pytest.raises(ProgrammingError), transaction.atomic():
            write()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": " "}, "title"),
        ({"severity": 6}, "severity"),
        ({"description": ""}, "description"),
        ({"started_at": NOON + HOUR}, "started_at"),
        ({"links": ["nonsense"]}, "links"),
    ],
)
def test_what_is_missing_is_told(manager: User, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(incidents.IncompleteIncident) as refusal:
        opened(manager, **changes)
    assert list(refusal.value.fields) == [field]
    assert not Incident.objects.exists()


@pytest.mark.parametrize("role", [Role.SUPPORT_AGENT, Role.TEAM_LEAD, Role.AUDITOR])
def test_who_does_not_handle_incidents_does_nothing_with_them(manager: User, role: Role) -> None:
    incident, other = opened(manager), person(role)
    with pytest.raises(incidents.NotYours):
        opened(other)
    with pytest.raises(incidents.NotYours):
        incidents.advance(incident_id=incident.pk, seen_version=1, text="x", actor=other, now=NOON)


def test_incidents_of_other_scopes_are_not_there(keeper: User, manager: User) -> None:
    incident = opened(keeper, scope=ScopeFactory())
    with pytest.raises(incidents.IncidentNotFound):
        incidents.add_entry(incident_id=incident.pk, kind="action", text="x", actor=manager, now=NOON)


def test_a_message_is_sent_as_its_template_says(manager: User, keeper: User) -> None:
    incident = opened(manager, title="Fire {summary}")
    template = CommunicationTemplate.objects.create(
        slug="u", step="update", subject="{reference}: {title}", body="{stage}: {summary} {unknown} until {next_update}"
    )
    event = incidents.send_message(
        incident_id=incident.pk, template=template, recipients=[keeper, UserFactory(is_active=False)],
        summary="Smoke {stage}", next_update="noon", actor=manager, now=NOON,
    )  # fmt: skip
    # What is filled in is not read again, and places that nobody knows stay as they are.
    assert (
        event.text
        == f"{incident.reference}: Fire {{summary}}\n\nInitial assessment: Smoke {{stage}} {{unknown}} until noon"
    )
    assert event.data["recipients"] == [keeper.username]
    assert Notification.objects.filter(recipient=keeper, title__startswith=incident.reference).count() == 1


def test_an_incident_is_closed_when_what_it_taught_is_decided(manager: User, keeper: User) -> None:
    incident = resolved(manager)

    def close() -> Incident:
        incident.refresh_from_db()
        return incidents.close(incident_id=incident.pk, seen_version=incident.version, actor=manager, now=NOON)

    with pytest.raises(incidents.NotInThisStage, match="review"):
        close()
    lessons.hold_review(
        incident_id=incident.pk, seen_version=incident.version, summary="s", cause="c", actor=manager, now=NOON
    )
    change = lessons.propose(
        incident_id=incident.pk, kind="new_risk", content={"title": "Sparks"}, reason="r", actor=manager, now=NOON
    )
    with pytest.raises(incidents.NotInThisStage, match="waits"):
        close()
    lessons.decide(change_id=change.pk, make=False, reason="Known.", actor=keeper, now=NOON)
    assert close().stage == Incident.Stage.CLOSED


def test_proposed_changes_are_made_by_the_register(manager: User, keeper: User) -> None:
    risk = a_risk()
    incident = reviewed(manager, risks=[risk])
    common: dict[str, Any] = {"incident_id": incident.pk, "reason": "It came true.", "actor": manager, "now": NOON}
    made = [
        lessons.propose(kind="new_risk", content={"title": "Embers", "owner_role": "Risk Manager"}, **common),
        lessons.propose(
            kind="rescore", risk=risk, content={"kind": "current", "probability": 5, "impact": 4}, **common
        ),
        lessons.propose(kind="new_mitigation", risk=risk, content={"title": "Sprinklers"}, **common),
    ]
    with pytest.raises(incidents.NotYours):
        lessons.decide(change_id=made[0].pk, make=True, reason="r", actor=manager, now=NOON)
    for change in made:
        lessons.decide(change_id=change.pk, make=True, reason="Yes.", actor=keeper, now=NOON, seen_risk=risk.version)
    assert Risk.objects.get(title="Embers").incidents.get() == incident
    assert Rating.objects.get(risk=risk).level == "Very high"
    assert Mitigation.objects.get(risk=risk).title == "Sprinklers"
    assert set(ProposedChange.objects.values_list("state", flat=True)) == {"made"}
    with pytest.raises(incidents.NotInThisStage):
        lessons.decide(change_id=made[0].pk, make=True, reason="r", actor=keeper, now=NOON)


def test_a_new_score_is_not_made_of_a_risk_that_changed(manager: User, keeper: User) -> None:
    risk = a_risk()
    incident = reviewed(manager, risks=[risk])
    change = lessons.propose(
        incident_id=incident.pk, kind="rescore", risk=risk, reason="r", actor=manager, now=NOON,
        content={"kind": "current", "probability": 5, "impact": 5},
    )  # fmt: skip
    score(risk, 1, 1)
    with pytest.raises(RiskChanged):
        lessons.decide(change_id=change.pk, make=True, reason="r", actor=keeper, now=NOON, seen_risk=risk.version)
    change.refresh_from_db()
    assert change.state == "proposed"


def test_an_incident_is_worked_on_the_desk(manager: User) -> None:
    browser = signed_in(manager)
    form = {
        "title": "Fire",
        "description": "d",
        "severity": 3,
        "started_at": "2026-01-01T10:00",
        "risks": a_risk().reference,
    }
    answer = browser.post("/admin/register/incident/open/", form)
    incident = Incident.objects.get()
    assert answer.url == f"/admin/register/incident/{incident.pk}/change/"
    assert incident.risks.count() == 1
    assert b"Initial assessment begins" in browser.get(answer.url).content
    step = {"seen": incident.version, "text": "Cause found."}
    assert browser.post(f"/admin/register/incident/{incident.pk}/advance/", step).status_code == 302
    late = browser.post(f"/admin/register/incident/{incident.pk}/advance/", step)
    assert late.status_code == 409
    assert b"incident_changed" in late.content
    assert Incident.objects.get().stage == "containment"
    assert browser.post("/admin/register/incident/open/", {**form, "risks": "R-999999"}).status_code == 400
