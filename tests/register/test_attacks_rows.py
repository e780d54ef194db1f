"""What is written once stays as it was written: not even the database's own statements change or take it away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, models, transaction

from apps.core.roles import Role
from apps.register import acceptances, controls, documents, incidents, matrices, reviews
from apps.register.models import (
    Acceptance,
    AssessmentVersion,
    Attestation,
    CheckResult,
    CheckVersion,
    IncidentEvent,
    MatrixVersion,
    Rating,
    RegisterReview,
    ReviewPoint,
)
from tests.core.factories import person
from tests.register.factories import NOON, a_control, a_scored_risk, an_assessment, score, three

pytestmark = pytest.mark.django_db


def a_rating() -> Rating:
    return a_scored_risk().ratings.get()


def an_event() -> IncidentEvent:
    incident = incidents.open_incident(
        title="Fire", description="It burns.", severity=4, started_at=NOON, actor=person(Role.RISK_MANAGER), now=NOON
    )
    return incident.events.get()


def an_attestation() -> Attestation:
    return controls.attest(
        control_id=a_control().pk, outcome="pass", statement="Seen.", actor=person(Role.RISK_MANAGER), now=NOON,
        link="https://example.com/proof",
    )  # fmt: skip


def an_approved_version() -> AssessmentVersion:
    version = documents.submit(
        assessment_id=an_assessment().pk, seen_version=1, changes="First.", actor=person(Role.RISK_MANAGER), now=NOON
    )
    return documents.approve(version_id=version.pk, actor=person(Role.RISK_MANAGER), now=NOON)


def a_check_version() -> CheckVersion:
    return CheckVersion.objects.create(rule="tls", number=77, settings={}, reason="Other.", created_at=NOON)


def a_result() -> CheckResult:
    return CheckResult.objects.create(
        check_slug="tls", outcome="fail", summary="No.", checked_at=NOON, since=NOON, seconds=0.1
    )


def a_rejected_acceptance() -> Acceptance:
    risk = a_scored_risk()
    made = acceptances.request(
        risk_id=risk.pk, seen_version=risk.version, reason="Small.", expires_on=NOON.date() + timedelta(days=9),
        now=NOON, actor=person(Role.RISK_MANAGER),
    )  # fmt: skip
    return acceptances.reject(acceptance_id=made.pk, actor=person(Role.RISK_MANAGER), now=NOON, reason="No.")


def a_held_review() -> RegisterReview:
    keeper = person(Role.RISK_MANAGER)
    review = reviews.ask_for(actor=keeper, now=NOON, assessment=an_assessment())
    reviews.start(review_id=review.pk, actor=keeper, now=NOON)
    for point in review.points.all():
        reviews.decide_point(point_id=point.pk, decision="So be it.", actor=keeper, now=NOON)
    return reviews.complete(review_id=review.pk, actor=keeper, now=NOON)


def a_decided_point() -> ReviewPoint:
    point = a_held_review().points.first()
    assert point is not None
    return point


FROZEN: list[tuple[Callable[[], models.Model], dict[str, Any]]] = [
    (a_rating, {"level": "Low"}),
    (a_rating, {"severity": 0, "latest": False}),
    (an_event, {"text": "Nothing happened."}),
    (an_attestation, {"outcome": "fail"}),
    (an_approved_version, {"content": {}}),
    (an_approved_version, {"state": "draft"}),
    (three, {"data": {}}),
    (a_check_version, {"reason": "No reason."}),
    (a_result, {"outcome": "pass"}),
    (a_rejected_acceptance, {"expires_on": NOON.date() + timedelta(days=300)}),
    (a_rejected_acceptance, {"state": "approved"}),
    (a_rejected_acceptance, {"decision_reason": "Yes."}),
    (a_rejected_acceptance, {"seen": {}}),
    (a_held_review, {"minutes": "Nobody came."}),
    (a_held_review, {"status": "running"}),
    (a_decided_point, {"decision": "Something else."}),
]
KEPT = [a_rating, an_event, an_attestation, an_approved_version, three, a_check_version, a_rejected_acceptance,
    a_held_review, a_decided_point,
]  # fmt: skip


@pytest.mark.parametrize(("make", "change"), FROZEN)
def test_no_statement_changes_it(make: Callable[[], models.Model], change: dict[str, Any]) -> None:
    rows = type(make())._default_manager.all()
    with pytest.raises(DatabaseError), transaction.atomic():
        rows.update(**change)


@pytest.mark.parametrize("make", KEPT)
def test_no_statement_deletes_it(make: Callable[[], models.Model]) -> None:
    row = make()
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {row._meta.db_table} WHERE id = %s", [row.pk])


@pytest.mark.parametrize(
    "model",
    [Rating, IncidentEvent, Attestation, AssessmentVersion, MatrixVersion, CheckVersion, Acceptance, RegisterReview],
)
def test_no_statement_empties_it(model: type[models.Model]) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL riskdesk.protect = 'on'")
        cursor.execute(f"TRUNCATE {model._meta.db_table} CASCADE")


def test_a_new_matrix_version_leaves_each_score_with_its_own() -> None:
    risk = a_scored_risk()
    before = Rating.objects.filter(risk=risk).values().get()
    first = three()
    data = matrices.data_of(first).model_dump() | {"review_every_days": {"High": 9}}
    newer = matrices.new_version(
        slug=matrices.THREE, data=data, reason="Stricter.", actor=person(Role.RISK_MANAGER), now=NOON,
        seen_number=first.number,
    )  # fmt: skip
    assert Rating.objects.filter(risk=risk).values().get() == before
    after = score(risk, 3, 3, matrix=newer)
    old = Rating.objects.get(pk=before["id"])
    assert (old.matrix_id, old.level, old.latest, after.matrix_id) == (first.pk, before["level"], False, newer.pk)


def test_jobs_that_end_acceptances_come_twice_and_after_an_outage_without_another_effect() -> None:
    risk = a_scored_risk()
    end = NOON.date() + timedelta(days=10)
    made = acceptances.request(
        risk_id=risk.pk, seen_version=risk.version, reason="Small.", expires_on=end, now=NOON,
        actor=person(Role.RISK_MANAGER),
    )  # fmt: skip
    acceptances.approve(acceptance_id=made.pk, actor=person(Role.RISK_MANAGER), now=NOON, reason="So.")
    late = NOON + timedelta(days=200)  # no job ran for half a year
    assert [acceptances.end_acceptances(now=late + timedelta(minutes=n)) for n in range(3)] == [1, 0, 0]
    ended = Acceptance.objects.get(pk=made.pk)
    assert (ended.state, ended.expires_on, ended.ended_at) == ("expired", end, late)
