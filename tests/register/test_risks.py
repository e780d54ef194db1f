"""Risks: recorded, edited, scored, closed and linked; bound to what was seen; by whom it may be done; and the trail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry

from apps.core.models import Decision, Notification, User
from apps.core.roles import Role
from apps.register import matrices, risks
from apps.register.models import Rating, Risk
from apps.register.refusals import (
    InvalidScore,
    MissingInformation,
    NotAllowed,
    NotFound,
    RiskChanged,
    WrongState,
)
from apps.register.services import record_risk
from tests.core.factories import ScopeFactory, person
from tests.register.factories import NOON, a_category, a_risk, a_scored_risk, an_assessment, score, three

pytestmark = pytest.mark.django_db
Write = Callable[[Risk, User], object]
WRITES: dict[str, Write] = {
    "edit": lambda risk, actor: edit(risk, actor, cause="Loose wires"),
    "rate": lambda risk, actor: score(risk, 3, 3, actor=actor),
    "close": lambda risk, actor: risks.close(**seen(risk, actor), reason="Gone."),
    "treat": lambda risk, actor: risks.treat(**seen(risk, actor), reason="Begun."),
    "link": lambda risk, actor: risks.link(risk_id=risk.pk, target="risk_flag:4", actor=actor, now=NOON),
    "unlink": lambda risk, actor: risks.unlink(risk_id=risk.pk, target="risk_flag:4", actor=actor),
}


def seen(risk: Risk, actor: User) -> dict[str, Any]:
    return {"risk_id": risk.pk, "seen_version": risk.version, "actor": actor, "now": NOON}


def edit(risk: Risk, actor: User, reason: str = "", **changes: Any) -> Risk:
    return risks.edit_risk(**seen(risk, actor), changes=changes, reason=reason)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_risk_manager_changes_any_risk(write: Write) -> None:
    write(a_risk(), person(Role.RISK_MANAGER))


@pytest.mark.parametrize("role", [Role.TEAM_LEAD, Role.SUPPORT_MANAGER, Role.SUPPORT_DIRECTOR])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_owners_change_their_own_and_see_the_others(write: Write, role: Role) -> None:
    owner = person(role)
    write(a_risk(owner=owner), owner)
    others = a_risk(owner=person(role))
    assert others in Risk.objects.visible_to(owner)
    with pytest.raises(NotAllowed):
        write(others, owner)
    assert Risk.objects.get(pk=others.pk).version == 1


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.SUPPORT_AGENT, Role.OPERATOR, Role.CONTENT_OWNER])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_who_only_reads_changes_nothing_even_the_own(write: Write, role: Role) -> None:
    reader = person(role)
    with pytest.raises(NotAllowed):
        write(a_risk(owner=reader), reader)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_risk_out_of_sight_is_not_there(write: Write) -> None:
    with pytest.raises(NotFound):
        write(a_risk(scope=ScopeFactory()), person(Role.SUPPORT_MANAGER))


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_who_left_changes_nothing(write: Write) -> None:
    with pytest.raises(NotAllowed):
        write(a_risk(), person(Role.RISK_MANAGER, is_active=False))


def test_only_who_keeps_the_register_adds_risks() -> None:
    assert a_risk(actor=person(Role.RISK_MANAGER)).reference.startswith("R-")
    for role in (Role.SUPPORT_MANAGER, Role.AUDITOR, Role.SUPPORT_AGENT):
        with pytest.raises(NotAllowed):
            a_risk(actor=person(role))


def test_a_source_is_recorded_once_and_the_assessment_gives_the_scope() -> None:
    scope = ScopeFactory()
    first = a_risk(source="doc:1", assessment=an_assessment(scope=scope))
    assert a_risk(source="doc:1", title="Other") == first
    assert (first.scope, first.title) == (scope, "Sparks")


@pytest.mark.parametrize("fields", [{"title": "  "}, {"source": ""}, {"treatment": "pray"}, {"title": "x" * 201}])
def test_a_risk_that_does_not_fit_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(MissingInformation) as refused:
        a_risk(**fields)
    assert set(refused.value.fields) == set(fields)


def test_the_trail_says_who_when_from_to_and_why() -> None:
    manager = person(Role.RISK_MANAGER)
    edit(a_risk(cause="Dust"), manager, "Measured.", cause="Loose wires")
    entry = LogEntry.objects.get_for_model(Risk).filter(action=LogEntry.Action.UPDATE).get()
    assert entry.actor == manager
    assert entry.changes["cause"] == ["Dust", "Loose wires"]
    assert entry.additional_data == {"reason": "Measured."}


def test_nothing_different_is_nothing_done() -> None:
    risk = a_risk(cause="Dust")
    assert edit(risk, person(Role.RISK_MANAGER), cause=" Dust ").version == 1


@pytest.mark.parametrize(
    "changes", [{"status": "closed"}, {"severity": 3}, {"title": ""}, {"treatment": "pray"}, {"owner": 3}]
)
def test_what_is_not_edited_or_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MissingInformation) as refused:
        edit(a_risk(), person(Role.RISK_MANAGER), **changes)
    assert set(refused.value.fields) == set(changes)


def test_a_changed_risk_is_refused_and_tells_what_differs() -> None:
    one, two = person(Role.RISK_MANAGER), person(Role.RISK_MANAGER, first_name="Ada", last_name="Byron")
    risk = a_risk(cause="Dust")
    edit(risk, one, cause="Loose wires", category=a_category("Fire", "Sparks"), owner=two)
    score(risk, 2, 3)
    with pytest.raises(RiskChanged) as refused:
        edit(risk, two, cause="Rain")
    assert refused.value.version == 3
    told = {one.field: (one.before, one.now) for one in refused.value.differences}
    assert told["Cause"] == ("Dust", "Loose wires")
    assert told["Category"] == ("", "Fire > Sparks")
    assert told["Owner"] == ("", "Ada Byron")
    assert told["Current"] == ("", "High")
    assert "Cause: Dust became Loose wires" in refused.value.message
    assert Risk.objects.get(pk=risk.pk).cause == "Loose wires"


def test_a_new_owner_is_told_and_must_work_with_the_register() -> None:
    manager, owner = person(Role.RISK_MANAGER), person(Role.TEAM_LEAD)
    risk = edit(a_risk(), manager, owner=owner)
    assert Notification.objects.get(recipient=owner).title.startswith(f"You own a risk: {risk.reference}")
    with pytest.raises(MissingInformation):
        edit(risk, manager, owner=person(Role.OPERATOR))


def test_owners_do_not_move_their_risk_elsewhere() -> None:
    owner = person(Role.TEAM_LEAD)
    with pytest.raises(NotAllowed):
        edit(a_risk(owner=owner), owner, scope=ScopeFactory())


def test_a_new_score_leaves_the_former_as_it_was() -> None:
    manager = person(Role.RISK_MANAGER)
    risk = a_risk(assessment=an_assessment())
    first = score(risk, 1, 1, matrix=None)
    before = Rating.objects.filter(pk=first.pk).values().get()
    second = score(risk, 3, 3, matrix=None, reason="It burns.", actor=manager)
    assert Rating.objects.filter(pk=first.pk).values().get() == {**before, "latest": False}
    assert (second.level, second.severity, second.matrix, second.latest) == ("High", 100, three(), True)
    risk.refresh_from_db()
    assert (risk.severity, risk.version) == (100, 3)
    scored = Decision.objects.filter(action="risk_scored").latest("seq")
    assert (scored.actor_id, scored.payload["before"], scored.payload["level"]) == (manager.pk, "Low", "High")
    assert scored.text.rationale == "It burns."


def test_an_inherent_score_is_not_the_severity() -> None:
    risk = a_scored_risk(3, 3, "inherent")
    assert (risk.severity, risk.next_review_on) == (0, None)


def test_a_score_plans_the_next_review_of_the_risk() -> None:
    risk = a_scored_risk(3, 3)
    assert risk.next_review_on == date(2026, 4, 1)
    score(risk, 1, 1, now=NOON + timedelta(days=20))
    risk.refresh_from_db()
    assert risk.next_review_on == NOON.date() + timedelta(days=180)


@pytest.mark.parametrize(
    ("facts", "refusal"),
    [
        ({"probability": None}, InvalidScore),
        ({"probability": 4}, InvalidScore),
        ({"kind": "guessed"}, MissingInformation),
        ({"reason": " "}, MissingInformation),
    ],
)
def test_a_score_needs_steps_a_kind_and_a_reason(facts: dict[str, Any], refusal: type[Exception]) -> None:
    risk = a_risk()
    good: dict[str, Any] = {"kind": "current", "probability": 1, "impact": 1, "reason": "Seen.", "matrix": three()}
    with pytest.raises(refusal):
        risks.rate(**seen(risk, person(Role.RISK_MANAGER)), **{**good, **facts})
    assert not Rating.objects.exists()


def test_a_level_alone_is_a_score() -> None:
    risk = a_risk(assessment=an_assessment())
    rating = risks.rate(
        **seen(risk, person(Role.RISK_MANAGER)),
        kind="current",
        probability=None,
        impact=None,
        level="high",
        reason="As written.",
    )
    assert (rating.level, rating.severity, rating.probability) == ("High", 100, None)


def test_a_risk_is_scored_by_the_newest_version_of_its_matrix() -> None:
    manager = person(Role.RISK_MANAGER)
    risk = a_scored_risk()
    data = {**matrices.data_of(three()).model_dump(), "review_every_days": {}}
    newer = matrices.new_version(slug=matrices.THREE, data=data, reason="Calmer.", actor=manager, now=NOON)
    assert score(risk, 1, 1, matrix=None).matrix == newer
    assert score(a_risk(), 5, 5, matrix=None).matrix.matrix.slug == matrices.FIVE


def test_a_risk_from_a_flag_is_scored_by_its_level() -> None:
    risk = record_risk(
        reference_source="risk_flag:4", title="Sparks", description="Why.", level=4, evidence=[],
        owner_role=Role.RISK_MANAGER, actor=person(Role.SUPPORT_MANAGER), now=NOON,
    )  # fmt: skip
    assert {(one.kind, one.level, one.severity) for one in risk.ratings.all()} == {
        ("inherent", "High", 80),
        ("current", "High", 80),
    }
    assert Risk.objects.get(pk=risk.pk).severity == 80


def test_closing_and_opening_again() -> None:
    manager = person(Role.RISK_MANAGER)
    risk = risks.close(**seen(a_scored_risk(), manager), reason="Gone.")
    assert (risk.status, risk.next_review_on) == ("closed", None)
    with pytest.raises(WrongState):
        risks.close(**seen(risk, manager), reason="Again.")
    risk = risks.reopen(**seen(risk, manager), reason="Back.")
    assert (risk.status, risk.next_review_on) == ("open", date(2026, 4, 1))
    assert Decision.objects.filter(action__in=["risk_closed", "risk_reopened"]).count() == 2
    with pytest.raises(MissingInformation):
        risks.treat(**seen(risk, manager), reason="")


def test_a_link_is_made_once_and_taken_away() -> None:
    manager, risk = person(Role.RISK_MANAGER), a_risk()
    facts = {"risk_id": risk.pk, "target": "action_card:17", "actor": manager}
    assert risks.link(**facts, now=NOON, note="Same wires") == risks.link(**facts, now=NOON)
    assert risks.unlink(**facts)
    assert not risks.unlink(**facts)
    with pytest.raises(MissingInformation):
        risks.link(risk_id=risk.pk, target="https://example.com", actor=manager, now=NOON)


def test_null_bytes_are_left_out_for_the_database_has_no_text_with_them() -> None:
    manager = person(Role.RISK_MANAGER)
    risk = edit(a_risk(title="Sp\x00arks", description="\x00"), manager, "Se\x00en.", cause="Du\x00st")
    assert (risk.title, risk.description, risk.cause) == ("Sparks", "", "Dust")
    risks.link(risk_id=risk.pk, target="risk_flag:4", note="\x00", actor=manager, now=NOON)
    score(risk, 1, 1, reason="Se\x00en.")
