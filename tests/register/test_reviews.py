"""Reviews: planned from the last completed one, held with an agenda, decided point by point, and overdue ones told of."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from apps.core.models import Decision, Notification, User
from apps.core.roles import Role
from apps.register import assessments, reviews, risks
from apps.register.models import RegisterReview, ReviewGate, Risk, RiskAssessment
from apps.register.refusals import (
    AssessmentChanged,
    MissingInformation,
    NotAllowed,
    NotDecided,
    NotFound,
    WrongState,
)
from tests.core.factories import ScopeFactory, person
from tests.register.factories import NOON, TESTS, a_control, a_mitigation, a_risk, a_scored_risk, an_assessment, score

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def planned(**of: Any) -> RegisterReview:
    reviews.plan(now=NOON)
    review: RegisterReview = RegisterReview.objects.unfinished().get(**of)
    return review


def held(review: RegisterReview, actor: User, now: datetime = NOON) -> RegisterReview:
    """The review, with all its points decided and completed."""
    reviews.start(review_id=review.pk, actor=actor, now=now)
    for point in review.points.all():
        reviews.decide_point(point_id=point.pk, decision="Stays.", actor=actor, now=now)
    return reviews.complete(review_id=review.pk, actor=actor, now=now, notes="All were there.")


def test_an_assessment_is_due_by_its_phase() -> None:
    assessment = an_assessment()
    assert planned(assessment=assessment).due_on == date(2026, 3, 9)
    assert reviews.plan(now=NOON) == 0
    facts = {"assessment_id": assessment.pk, "actor": person(Role.RISK_MANAGER), "now": NOON}
    with pytest.raises(MissingInformation):
        assessments.edit_assessment(seen_version=1, changes={"phase": "live"}, **facts)
    assessments.edit_assessment(seen_version=1, changes={"phase": "live"}, reason="It went live.", **facts)
    assessment.refresh_from_db()
    assert assessment.next_review_on == RegisterReview.objects.get().due_on == NOON.date() + timedelta(days=90)
    assert Decision.objects.get(action="assessment_phase_changed").payload["phase"] == "live"


def test_the_next_one_is_due_from_the_day_the_last_was_completed() -> None:
    assessment = an_assessment()
    held(planned(assessment=assessment), person(Role.RISK_MANAGER), NOON + 20 * DAY)
    assessment.refresh_from_db()
    assert assessment.next_review_on == (NOON + 27 * DAY).date()
    assert RegisterReview.objects.unfinished().get().due_on == assessment.next_review_on


def test_a_phase_without_rhythm_and_a_closed_assessment_plan_nothing() -> None:
    an_assessment(review_every_days={"live": 90})
    an_assessment(status="closed")
    assert reviews.plan(now=NOON) == 0


def test_a_gate_is_reviewed_and_passed() -> None:
    manager, assessment = person(Role.RISK_MANAGER), an_assessment(review_every_days={})
    facts: dict[str, Any] = {"assessment_id": assessment.pk, "name": "Before the pilot", "actor": manager, "now": NOON}
    assessments.plan_gate(due_on=None, **facts)
    assert reviews.plan(now=NOON) == 0
    assessments.plan_gate(due_on=date(2026, 4, 1), **facts)
    assessments.plan_gate(due_on=date(2026, 5, 1), **facts)
    review = RegisterReview.objects.get()
    assert (review.gate.name, review.due_on) == ("Before the pilot", date(2026, 5, 1))
    held(review, manager)
    gate = ReviewGate.objects.get()
    assert (gate.passed_at, gate.passed_by) == (NOON, manager)
    assert reviews.plan(now=NOON) == 0


def test_a_risk_is_due_by_its_score_two_weeks_ahead() -> None:
    risk = a_scored_risk(3, 3)
    assert reviews.plan(now=NOON) == 0
    assert reviews.plan(now=NOON + 16 * DAY) == 1
    review = RegisterReview.objects.get()
    assert (review.risk, review.due_on) == (risk, (NOON + 30 * DAY).date())
    done = held(review, person(Role.RISK_MANAGER), NOON + 40 * DAY)
    risk.refresh_from_db()
    assert (done.status, risk.next_review_on) == ("completed", (NOON + 70 * DAY).date())
    score(risk, 1, 1, now=NOON + 41 * DAY)
    risk.refresh_from_db()
    assert risk.next_review_on == (NOON + 220 * DAY).date()


def test_a_planned_review_follows_its_risk() -> None:
    risk = a_scored_risk(3, 3)
    reviews.plan(now=NOON + 20 * DAY)
    score(risk, 2, 2, now=NOON + 20 * DAY)
    reviews.plan(now=NOON + 20 * DAY)
    assert RegisterReview.objects.get().due_on == (NOON + 90 * DAY).date()
    version = Risk.objects.get(pk=risk.pk).version
    risks.close(risk_id=risk.pk, seen_version=version, reason="Gone.", actor=TESTS, now=NOON)
    reviews.plan(now=NOON + 20 * DAY)
    assert not RegisterReview.objects.exists()


def test_risks_decided_on_with_their_assessment_count_as_reviewed() -> None:
    assessment = an_assessment()
    risk = a_scored_risk(3, 3, assessment=assessment)
    reviews.plan(now=NOON + 25 * DAY)
    assert RegisterReview.objects.filter(risk=risk).exists()
    held(RegisterReview.objects.get(assessment=assessment), person(Role.RISK_MANAGER), NOON + 25 * DAY)
    risk.refresh_from_db()
    assert risk.next_review_on == (NOON + 55 * DAY).date()
    assert not RegisterReview.objects.unfinished().filter(risk=risk).exists()
    score(risk, 3, 3, now=NOON + 26 * DAY)
    risk.refresh_from_db()
    assert risk.next_review_on == (NOON + 55 * DAY).date()


def test_the_agenda_tells_what_is_to_be_known_the_gravest_first() -> None:
    assessment = an_assessment()
    low = a_scored_risk(1, 1, assessment=assessment, title="Dust")
    high = a_scored_risk(3, 3, assessment=assessment, title="Fire")
    a_scored_risk(3, 3, assessment=assessment, title="Gone", actor=TESTS)
    gone = Risk.objects.get(title="Gone")
    risks.close(risk_id=gone.pk, seen_version=gone.version, reason="Gone.", actor=TESTS, now=NOON)
    a_mitigation(high, title="Sweep", due_on=date(2026, 1, 1)).controls.add(a_control(kind="checked", check_slug="x"))
    a_mitigation(None, assessment=assessment, title="Train people", due_on=date(2026, 1, 1))
    review = planned(assessment=assessment)
    reviews.start(review_id=review.pk, actor=person(Role.RISK_MANAGER), now=NOON)
    points = list(review.points.all())
    assert [point.risk for point in points] == [None, None, high, low]
    assert points[0].facts[0] == "2 risks are open, 1 are closed."
    assert points[1].facts == ["Train people (due 1 Jan 2026)"]
    assert points[2].facts[:3] == [
        "Open; scored current High.", "0 of 1 mitigations are done.", "Late since 1 Jan 2026: Sweep"
    ]  # fmt: skip


def test_statements_do_not_grow_with_the_agenda(django_assert_max_num_queries: Any) -> None:
    assessment = an_assessment()
    for _ in range(10):
        a_mitigation(a_scored_risk(assessment=assessment)).controls.add(a_control())
    review = planned(assessment=assessment)
    manager = person(Role.RISK_MANAGER)
    with django_assert_max_num_queries(60):
        reviews.start(review_id=review.pk, actor=manager, now=NOON)
    assert review.points.count() == 11


def test_a_review_is_complete_when_every_point_is_decided() -> None:
    manager = person(Role.RISK_MANAGER)
    review = planned(assessment=an_assessment())
    facts: dict[str, Any] = {"review_id": review.pk, "actor": manager, "now": NOON}
    with pytest.raises(WrongState):
        reviews.complete(**facts)
    assert reviews.start(**facts) == reviews.start(**facts)
    with pytest.raises(NotDecided):
        reviews.complete(**facts)
    (point,) = review.points.all()
    said: dict[str, Any] = {"point_id": point.pk, "actor": manager, "now": NOON}
    for wrong in ({"decision": ""}, {"decision": "Stays.", "next_action": "Sweep"}):
        with pytest.raises(MissingInformation):
            reviews.decide_point(**said, **wrong)
    reviews.decide_point(**said, decision="# Stays", next_action="Sweep", action_owner=manager)
    done = reviews.complete(**facts, notes="All were *there*.")
    assert done.minutes.startswith("# Review of Assessment ")
    assert "All were *there*." in done.minutes
    assert "**Decided:** \\# Stays" in done.minutes
    assert f"**Next:** Sweep ({manager.username})" in done.minutes
    assert reviews.complete(**facts) == done
    with pytest.raises(WrongState):
        reviews.decide_point(**said, decision="Late.")
    with pytest.raises(WrongState):
        reviews.start(**facts)
    actions = Decision.objects.filter(action__startswith="register_review").values_list("action", flat=True)
    assert set(actions) == {"register_review_begun", "register_review_decided", "register_review_completed"}


@pytest.mark.parametrize("role", [Role.TEAM_LEAD, Role.SUPPORT_MANAGER, Role.SUPPORT_DIRECTOR])
def test_owners_hold_reviews_of_their_own(role: Role) -> None:
    owner = person(role)
    held(reviews.ask_for(actor=owner, now=NOON, risk=a_risk(owner=owner)), owner)
    held(reviews.ask_for(actor=owner, now=NOON, assessment=an_assessment(owner=owner)), owner)
    foreign = reviews.ask_for(actor=person(Role.RISK_MANAGER), now=NOON, risk=a_risk())
    with pytest.raises(NotAllowed):
        reviews.start(review_id=foreign.pk, actor=owner, now=NOON)
    with pytest.raises(NotAllowed):
        reviews.ask_for(actor=owner, now=NOON, risk=a_risk())


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.SUPPORT_AGENT, Role.OPERATOR, Role.CONTENT_OWNER])
def test_who_only_reads_holds_none_even_the_own(role: Role) -> None:
    reader = person(role)
    review = reviews.ask_for(actor=person(Role.RISK_MANAGER), now=NOON, risk=a_risk(owner=reader))
    with pytest.raises(NotAllowed):
        reviews.start(review_id=review.pk, actor=reader, now=NOON)


def test_a_review_out_of_sight_is_not_there() -> None:
    review = reviews.ask_for(actor=person(Role.RISK_MANAGER), now=NOON, risk=a_risk(scope=ScopeFactory()))
    manager = person(Role.SUPPORT_MANAGER)
    with pytest.raises(NotFound):
        reviews.start(review_id=review.pk, actor=manager, now=NOON)
    with pytest.raises(NotFound):
        reviews.decide_point(point_id=0, decision="x", actor=manager, now=NOON)


def test_points_of_risks_out_of_sight_are_not_shown() -> None:
    assessment = an_assessment()
    a_risk(assessment=assessment)
    hidden = a_risk(assessment=assessment, scope=ScopeFactory())
    review = planned(assessment=assessment)
    reviews.start(review_id=review.pk, actor=person(Role.RISK_MANAGER), now=NOON)
    shown = reviews.points_for(review, person(Role.SUPPORT_MANAGER))
    assert hidden not in {point.risk for point in shown}
    assert len(list(shown)) == 2


def test_overdue_reviews_are_told_of_once_a_day_in_one() -> None:
    owner, manager = person(Role.TEAM_LEAD), person(Role.RISK_MANAGER)
    for _ in range(12):
        a_scored_risk(3, 3, owner=owner)
    a_scored_risk(3, 3)
    then = NOON + 31 * DAY
    reviews.plan(now=then)
    assert reviews.tell_overdue(now=NOON + 30 * DAY) == 0
    assert reviews.tell_overdue(now=then) == 2
    assert reviews.tell_overdue(now=then + timedelta(hours=3)) == 0
    assert reviews.tell_overdue(now=then + DAY) == 2
    first = Notification.objects.filter(recipient=owner).earliest("pk")
    assert first.title == "12 reviews of the risk register overdue"
    assert first.body.endswith("and 2 more")
    assert Notification.objects.filter(recipient=manager).count() == 2
    assert not RegisterReview.objects.filter(notified_at=None).exists()


def edit(assessment: RiskAssessment, actor: User, **changes: Any) -> RiskAssessment:
    return assessments.edit_assessment(
        assessment_id=assessment.pk, seen_version=assessment.version, changes=changes, actor=actor, now=NOON
    )


@pytest.mark.parametrize("role", Role)
def test_who_keeps_the_register_edits_assessments(role: Role) -> None:
    assessment, actor = an_assessment(), person(role)
    if role in {Role.RISK_MANAGER, Role.ADMINISTRATOR}:
        assert edit(assessment, actor, project="Chat").version == 2
        return
    with pytest.raises(NotAllowed):
        edit(assessment, actor, project="Chat")
    with pytest.raises(NotAllowed):
        assessments.plan_gate(assessment_id=assessment.pk, name="G", due_on=None, actor=actor, now=NOON)


def test_a_changed_assessment_is_refused_and_tells_what_differs() -> None:
    assessment, manager = an_assessment(), person(Role.RISK_MANAGER)
    edit(assessment, manager, project="Chat")
    with pytest.raises(AssessmentChanged) as refused:
        edit(assessment, manager, project="Payments")
    assert [(one.field, one.before, one.now) for one in refused.value.differences] == [("Project", "", "Chat")]


@pytest.mark.parametrize(
    "changes", [{"title": " "}, {"slug": "x"}, {"review_every_days": {"build": 0}}, {"review_every_days": {"later": 3}}]
)
def test_what_does_not_fit_an_assessment_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MissingInformation):
        edit(an_assessment(), person(Role.RISK_MANAGER), **changes)
