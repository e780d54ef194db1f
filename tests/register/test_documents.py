"""Document control: versions are submitted, approved by somebody else, bound to their content, compared, and frozen."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction

from apps.core.models import Decision, Notification, User
from apps.core.roles import Role
from apps.register import documents, risks
from apps.register.models import AssessmentVersion, Risk, RiskAssessment
from apps.register.refusals import (
    AssessmentChanged,
    MissingInformation,
    NotAllowed,
    NotFound,
    OwnRequest,
    VersionOutdated,
    WrongState,
)
from tests.core.factories import ScopeFactory, person
from tests.register.factories import (
    NOON,
    TESTS,
    a_category,
    a_mitigation,
    a_risk,
    a_scored_risk,
    an_assessment,
    score,
)

pytestmark = pytest.mark.django_db


def submit(row: RiskAssessment, actor: User, **facts: Any) -> AssessmentVersion:
    given = {"seen_version": row.version, "changes": "First issue.", "now": NOON}
    return documents.submit(assessment_id=row.pk, actor=actor, **{**given, **facts})


def approve(version: AssessmentVersion, actor: User, **facts: Any) -> AssessmentVersion:
    return documents.approve(version_id=version.pk, actor=actor, now=NOON, **facts)


def edit(risk: Risk, **changes: Any) -> None:
    version = Risk.objects.get(pk=risk.pk).version
    risks.edit_risk(risk_id=risk.pk, seen_version=version, changes=changes, actor=TESTS, now=NOON)


def test_a_version_holds_all_and_is_approved_by_another() -> None:
    author, approver = person(Role.RISK_MANAGER), person(Role.RISK_MANAGER)
    row = an_assessment()
    risk = a_scored_risk(assessment=row, category=a_category("Security", "Access"))
    a_mitigation(risk, title="Lock the door")
    version = submit(row, author)
    (held,) = version.content["risks"]
    assert (held["title"], held["path"], held["mitigations"][0]["title"]) == (
        "Sparks", ["Security", "Access"], "Lock the door"
    )  # fmt: skip
    assert Notification.objects.filter(recipient=approver, title__contains="waits for approval").exists()
    assert not Notification.objects.filter(recipient=author).exists()
    done = approve(version, approver, reason="Read.")
    assert (done.state, done.approved_by, done.approved_at) == ("approved", approver, NOON)
    assert approve(version, approver) == done
    assert [one.action for one in Decision.objects.filter(action__startswith="assessment_").order_by("seq")] == [
        "assessment_submitted",
        "assessment_approved",
    ]


def test_nobody_approves_the_own_version() -> None:
    author = person(Role.RISK_MANAGER)
    with pytest.raises(OwnRequest):
        approve(submit(an_assessment(), author), author)


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.RISK_MANAGER, Role.ADMINISTRATOR}])
def test_who_does_not_keep_the_register_neither_submits_nor_approves(role: Role) -> None:
    row, actor = an_assessment(), person(role)
    with pytest.raises(NotAllowed):
        submit(row, actor)
    version = submit(row, person(Role.RISK_MANAGER))
    with pytest.raises(NotAllowed):
        approve(version, actor)
    version.refresh_from_db()
    assert version.state == "draft"


def test_what_is_out_of_sight_is_not_there() -> None:
    with pytest.raises(NotFound):
        documents.approve(version_id=0, actor=person(Role.RISK_MANAGER), now=NOON)
    keeper = person(Role.RISK_MANAGER)
    row = an_assessment(scope=ScopeFactory())
    assert submit(row, keeper).number == 1


def test_an_approval_is_refused_when_the_register_changed_and_tells_what() -> None:
    author, approver = person(Role.RISK_MANAGER), person(Role.RISK_MANAGER)
    row = an_assessment()
    risk = a_scored_risk(1, 1, assessment=row)
    version = submit(row, author)
    edit(risk, cause="Wires")
    score(risk, 3, 3)
    with pytest.raises(VersionOutdated) as refused:
        approve(version, approver)
    told = {(one.field, one.before, one.now) for one in refused.value.differences}
    name = f"{risk.reference} Sparks"
    assert (f"{name}, cause", "", "Wires") in told
    assert (f"{name}, current, level", "Low", "High") in told
    again = submit(row, author, changes="Scored anew.")
    version.refresh_from_db()
    assert (again.number, version.state) == (2, "superseded")
    assert approve(again, approver).state == "approved"
    with pytest.raises(WrongState):
        approve(version, approver)


def test_a_page_that_showed_another_version_does_not_approve_this_one() -> None:
    version = submit(an_assessment(), person(Role.RISK_MANAGER))
    with pytest.raises(VersionOutdated):
        approve(version, person(Role.RISK_MANAGER), seen_digest="0" * 64)
    assert approve(version, person(Role.RISK_MANAGER), seen_digest=version.digest).state == "approved"


def test_versions_are_compared() -> None:
    author, approver = person(Role.RISK_MANAGER), person(Role.RISK_MANAGER)
    row = an_assessment()
    risk = a_risk(assessment=row)
    task = a_mitigation(risk, title="Sweep")
    first = approve(submit(row, author), approver)
    assert documents.diff(first) == []
    new = a_risk(assessment=row, title="Flood")
    edit(risk, title="Fire")
    task.delete()
    a_mitigation(risk, title="Mop", due_on=NOON.date())
    second = approve(submit(row, author, changes="Flood."), approver)
    first.refresh_from_db()
    assert first.state == "superseded"
    assert {(one.field, one.before, one.now) for one in documents.diff(second)} == {
        (f"{risk.reference} Fire, title", "Sparks", "Fire"),
        (f"{risk.reference} Fire, Sweep", "there", "gone"),
        (f"{risk.reference} Fire, Mop", "", "new"),
        (f"{new.reference} Flood", "", "new"),
    }
    assert documents.diff_to_now(second) == []


def test_a_review_day_is_no_change() -> None:
    row = an_assessment()
    risk = a_scored_risk(assessment=row)
    version = submit(row, person(Role.RISK_MANAGER))
    Risk.objects.filter(pk=risk.pk).update(next_review_on="2030-01-01")
    RiskAssessment.objects.filter(pk=row.pk).update(next_review_on="2030-01-01")
    assert documents.diff_to_now(version) == []


def test_the_same_is_not_submitted_twice() -> None:
    author, row = person(Role.RISK_MANAGER), an_assessment()
    version = submit(row, author)
    assert submit(row, author) == version
    approve(version, person(Role.RISK_MANAGER))
    with pytest.raises(MissingInformation):
        submit(row, author)
    with pytest.raises(MissingInformation):
        submit(row, author, changes=" ")


def test_a_version_is_bound_to_the_assessment_that_was_seen() -> None:
    with pytest.raises(AssessmentChanged):
        submit(an_assessment(version=4), person(Role.RISK_MANAGER), seen_version=3)


def test_an_approved_version_is_frozen() -> None:
    version = approve(submit(an_assessment(), person(Role.RISK_MANAGER)), person(Role.RISK_MANAGER))
    for write in (lambda rows: rows.update(changes="Other."), lambda rows: rows.delete()):
        with pytest.raises(DatabaseError), transaction.atomic():
            write(AssessmentVersion.objects.filter(pk=version.pk))
