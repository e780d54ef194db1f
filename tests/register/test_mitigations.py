"""Mitigations: added, worked on, finished and dropped; bound to what was seen; by whom; and reminders."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry

from apps.core.models import Decision, Notification, User
from apps.core.roles import Role
from apps.register import mitigations
from apps.register.models import Mitigation
from apps.register.refusals import MissingInformation, MitigationChanged, NotAllowed, NotFound, WrongState
from tests.core.factories import ScopeFactory, person
from tests.register.factories import NOON, a_mitigation, a_risk, an_assessment

pytestmark = pytest.mark.django_db
LEADS = [Role.TEAM_LEAD, Role.SUPPORT_MANAGER, Role.SUPPORT_DIRECTOR]


def add(actor: User, **fields: Any) -> Mitigation:
    return mitigations.add(**{"title": "Sweep the floor", "actor": actor, "now": NOON, **fields})


def update(row: Mitigation, actor: User, reason: str = "", **changes: Any) -> Mitigation:
    return mitigations.update(
        mitigation_id=row.pk, seen_version=row.version, changes=changes, actor=actor, now=NOON, reason=reason
    )


def test_who_keeps_the_register_adds_anywhere_the_last_of_its_kind() -> None:
    manager, risk, assessment = person(Role.RISK_MANAGER), a_risk(), an_assessment()
    assert [add(manager, risk=risk).position for _ in range(2)] == [1, 2]
    action = add(manager, assessment=assessment, horizon="long_term", priority="strategic", due_on=date(2026, 5, 1))
    assert (action.position, action.horizon, action.risk) == (1, "long_term", None)
    with pytest.raises(MissingInformation):
        add(manager)


@pytest.mark.parametrize("role", LEADS)
def test_owners_add_to_their_own_risks_only(role: Role) -> None:
    owner = person(role)
    add(owner, risk=a_risk(owner=owner))
    add(owner, assessment=an_assessment(owner=owner))
    for place in ({"risk": a_risk()}, {"assessment": an_assessment()}):
        with pytest.raises(NotAllowed):
            add(owner, **place)


@pytest.mark.parametrize("role", LEADS)
def test_owners_work_on_their_own(role: Role) -> None:
    owner = person(role)
    update(a_mitigation(a_risk(), owner=owner), owner, progress=10)
    update(a_mitigation(a_risk(owner=owner)), owner, progress=10)
    with pytest.raises(NotAllowed):
        update(a_mitigation(a_risk()), owner, progress=10)


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.SUPPORT_AGENT, Role.OPERATOR, Role.CONTENT_OWNER])
def test_who_only_reads_changes_nothing_even_the_own(role: Role) -> None:
    reader = person(role)
    risk = a_risk(owner=reader)
    with pytest.raises(NotAllowed):
        add(reader, risk=risk)
    with pytest.raises(NotAllowed):
        update(a_mitigation(risk, owner=reader), reader, progress=10)


def test_what_is_out_of_sight_is_not_there() -> None:
    manager, risk = person(Role.SUPPORT_MANAGER), a_risk(scope=ScopeFactory())
    with pytest.raises(NotFound):
        update(a_mitigation(risk), manager, progress=10)
    with pytest.raises(NotFound):
        add(manager, risk=risk)


def test_progress_begins_it_and_done_completes_it() -> None:
    manager, row = person(Role.RISK_MANAGER), a_mitigation(a_risk())
    facts: dict[str, Any] = {"mitigation_id": row.pk, "actor": manager, "now": NOON}
    row = mitigations.progress(seen_version=1, percent=40, **facts)
    assert (row.status, row.progress) == ("in_progress", 40)
    row = mitigations.done(seen_version=2, **facts)
    assert (row.status, row.progress) == ("done", 100)
    with pytest.raises(WrongState):
        mitigations.progress(seen_version=3, percent=50, **facts)
    assert Decision.objects.get(action="mitigation_done").actor_id == manager.pk
    with pytest.raises(MissingInformation):
        update(row, manager, status="planned")
    assert update(row, manager, "It came undone.", status="planned", progress=0).progress == 0


def test_dropping_says_why() -> None:
    manager, row = person(Role.RISK_MANAGER), a_mitigation(a_risk())
    facts: dict[str, Any] = {"mitigation_id": row.pk, "seen_version": 1, "actor": manager, "now": NOON}
    with pytest.raises(MissingInformation):
        mitigations.drop(reason=" ", **facts)
    mitigations.drop(reason="Too dear.", **facts)
    assert Decision.objects.get(action="mitigation_dropped").text.rationale == "Too dear."


@pytest.mark.parametrize(
    "changes", [{"progress": 101}, {"progress": -1}, {"status": "lost"}, {"title": ""}, {"risk": 3}]
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MissingInformation) as refused:
        update(a_mitigation(a_risk()), person(Role.RISK_MANAGER), **changes)
    assert set(refused.value.fields) == set(changes)


def test_a_changed_one_is_refused_and_tells_what_differs() -> None:
    manager, row = person(Role.RISK_MANAGER), a_mitigation(a_risk())
    stale = Mitigation.objects.get(pk=row.pk)
    update(row, manager, "Agreed.", due_on=date(2026, 5, 1), effect="Impact High to Medium")
    with pytest.raises(MitigationChanged) as refused:
        update(stale, manager, progress=10)
    assert {(one.field, one.before, one.now) for one in refused.value.differences} == {
        ("Due on", "", "1 May 2026"),
        ("Effect", "", "Impact High to Medium"),
    }
    entry = LogEntry.objects.get_for_object(row).filter(action=LogEntry.Action.UPDATE).get()
    assert (entry.actor, entry.additional_data) == (manager, {"reason": "Agreed."})


def test_nothing_different_is_nothing_done() -> None:
    row = update(a_mitigation(a_risk()), person(Role.RISK_MANAGER), title="Sweep the floor ")
    assert row.version == 1


def test_a_new_owner_is_told() -> None:
    owner = person(Role.TEAM_LEAD)
    update(a_mitigation(a_risk()), person(Role.RISK_MANAGER), owner=owner)
    assert Notification.objects.get(recipient=owner).title == "Yours to do: Sweep the floor"


def test_owners_are_reminded_once_before_and_each_week_after() -> None:
    owner = person(Role.TEAM_LEAD)
    a_mitigation(a_risk(owner=owner), due_on=NOON.date() + timedelta(days=5))
    a_mitigation(a_risk(owner=owner), due_on=NOON.date(), status="done")
    days = [day for day in range(30) if mitigations.remind(now=NOON + timedelta(days=day))]
    assert days == [2, 6, 13, 20, 27]
    assert len(mitigations.overdue(NOON.date() + timedelta(days=6))) == 1
