"""Two people at once: one decision, one edit, one request; the other one is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from apps.core.decisions import verify
from apps.core.models import Decision
from apps.core.roles import Role
from apps.register import acceptances, documents, matrices, mitigations, reviews, risks
from apps.register.models import Acceptance, MatrixVersion, Mitigation, Rating, RegisterReview, ReviewGate, Risk
from apps.register.refusals import MitigationChanged, RiskChanged, WrongState
from tests.core.factories import person
from tests.register.factories import NOON, TESTS, a_mitigation, a_risk, a_scored_risk, an_assessment, three
from tests.support.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)
END = NOON.date() + timedelta(days=30)


def split(results: Sequence[object]) -> tuple[list[object], list[Exception]]:
    errors = [one for one in results if isinstance(one, Exception)]
    return [one for one in results if not isinstance(one, Exception)], errors


def chain_is_whole() -> bool:
    return list(verify())[-1].whole


def asked() -> Acceptance:
    risk = a_scored_risk()
    return acceptances.request(
        risk_id=risk.pk, seen_version=risk.version, reason="Cheap.", expires_on=END, now=NOON,
        actor=person(Role.RISK_MANAGER),
    )  # fmt: skip


def test_of_two_approvers_one_decides() -> None:
    acceptance = asked()
    one, two = person(Role.RISK_MANAGER), person(Role.RISK_MANAGER)

    def decide(what: str, actor: object) -> Callable[[], object]:
        return lambda: getattr(acceptances, what)(acceptance_id=acceptance.pk, actor=actor, now=NOON, reason="So.")

    done, errors = split(at_once(decide("approve", one), decide("approve", two)))
    assert len(done) == 1
    assert [type(error) for error in errors] == [WrongState]
    assert Decision.objects.filter(action="acceptance_approved", payload__acceptance=acceptance.pk).count() == 1
    assert chain_is_whole()


def test_an_approval_and_a_rejection_do_not_both_hold() -> None:
    acceptance = asked()
    one, two = person(Role.RISK_MANAGER), person(Role.RISK_MANAGER)
    facts = {"acceptance_id": acceptance.pk, "now": NOON, "reason": "So."}
    done, errors = split(
        at_once(
            lambda: acceptances.approve(actor=one, **facts),  # type: ignore[arg-type]
            lambda: acceptances.reject(actor=two, **facts),  # type: ignore[arg-type]
        )
    )
    assert (len(done), [type(error) for error in errors]) == (1, [WrongState])
    acceptance.refresh_from_db()
    status = Risk.objects.get(pk=acceptance.risk_id).status
    assert (acceptance.state, status) in {("approved", "accepted"), ("rejected", "open")}


def test_a_risk_is_never_accepted_as_something_else_than_it_is() -> None:
    acceptance = asked()
    approver = person(Role.RISK_MANAGER)
    version = acceptance.risk.version
    at_once(
        lambda: acceptances.approve(acceptance_id=acceptance.pk, actor=approver, now=NOON, reason="So."),
        lambda: risks.edit_risk(
            risk_id=acceptance.risk_id, seen_version=version, changes={"title": "Fire"}, actor=TESTS, now=NOON
        ),
    )
    acceptance.refresh_from_db()
    risk = Risk.objects.get(pk=acceptance.risk_id)
    # Whoever was first: either the change was refused, for the risk had been accepted meanwhile, or it ended the request.
    assert (acceptance.state, risk.status, risk.title) in {
        ("approved", "accepted", "Sparks"),
        ("outdated", "open", "Fire"),
    }


def test_of_two_editors_one_is_told_what_the_other_changed() -> None:
    risk = a_risk()

    def edit(title: str) -> Callable[[], object]:
        return lambda: risks.edit_risk(risk_id=risk.pk, seen_version=1, changes={"title": title}, actor=TESTS, now=NOON)

    done, errors = split(at_once(edit("Fire"), edit("Flood")))
    assert len(done) == 1
    (refused,) = errors
    assert isinstance(refused, RiskChanged)
    risk.refresh_from_db()
    assert [(one.before, one.now) for one in refused.differences] == [("Sparks", risk.title)]
    assert risk.version == 2


def test_of_two_scores_one_is_the_latest() -> None:
    risk = a_risk()

    def rate(step: int) -> Callable[[], object]:
        return lambda: risks.rate(
            risk_id=risk.pk, seen_version=1, kind="current", probability=step, impact=step, reason="Seen.",
            actor=TESTS, now=NOON, matrix=version,
        )  # fmt: skip

    version = three()
    done, errors = split(at_once(rate(1), rate(3)))
    assert (len(done), [type(error) for error in errors]) == (1, [RiskChanged])
    assert Rating.objects.get(risk=risk).latest
    assert chain_is_whole()


def test_of_two_requests_one_is_open() -> None:
    risk = a_risk()
    people = [person(Role.RISK_MANAGER) for _ in range(2)]

    def ask(actor: object) -> Callable[[], object]:
        return lambda: acceptances.request(
            risk_id=risk.pk, seen_version=1, reason="Cheap.", expires_on=END, now=NOON,
            actor=actor,  # type: ignore[arg-type]
        )  # fmt: skip

    done, errors = split(at_once(*(ask(one) for one in people)))
    assert (len(done), [type(error) for error in errors]) == (1, [WrongState])


def test_two_jobs_end_an_acceptance_once() -> None:
    acceptance = asked()
    job = lambda: acceptances.end_acceptances(now=NOON + timedelta(days=40))  # noqa: E731
    results = at_once(job, job)
    assert sorted(results) == [0, 1]  # type: ignore[type-var]
    acceptance.refresh_from_db()
    assert acceptance.state == "expired"
    assert Decision.objects.filter(action="acceptance_expired", payload__acceptance=acceptance.pk).count() == 1


def test_of_two_who_work_on_a_mitigation_one_is_told() -> None:
    row = a_mitigation(a_risk())

    def work(percent: int) -> Callable[[], object]:
        return lambda: mitigations.progress(
            mitigation_id=row.pk, seen_version=1, percent=percent, actor=TESTS, now=NOON
        )

    done, errors = split(at_once(work(10), work(90)))
    assert (len(done), [type(error) for error in errors]) == (1, [MitigationChanged])
    assert Mitigation.objects.get(pk=row.pk).version == 2


def test_of_two_matrix_versions_that_saw_the_same_one_is_written() -> None:
    first = matrices.in_force(matrices.THREE)
    data = matrices.data_of(first).model_dump()

    def write(days: int) -> Callable[[], object]:
        changed = {**data, "review_every_days": {"High": 10 * first.number + days}}
        return lambda: matrices.new_version(
            slug=matrices.THREE, data=changed, reason="Other.", actor=TESTS, now=NOON, seen_number=first.number
        )

    done, errors = split(at_once(write(1), write(2)))
    assert (len(done), [type(error) for error in errors]) == (1, [WrongState])
    assert MatrixVersion.objects.filter(matrix=first.matrix).count() == first.number + 1


def test_of_two_approvers_of_a_version_one_decides() -> None:
    row = an_assessment()
    facts = {"seen_version": 1, "changes": "First issue.", "now": NOON}
    version = documents.submit(assessment_id=row.pk, actor=person(Role.RISK_MANAGER), **facts)  # type: ignore[arg-type]
    one, two = person(Role.RISK_MANAGER), person(Role.RISK_MANAGER)
    done, errors = split(
        at_once(
            lambda: documents.approve(version_id=version.pk, actor=one, now=NOON),
            lambda: documents.approve(version_id=version.pk, actor=two, now=NOON),
        )
    )
    assert (len(done), [type(error) for error in errors]) == (1, [WrongState])


def test_a_review_begun_twice_at_once_has_one_agenda() -> None:
    review = reviews.ask_for(actor=person(Role.RISK_MANAGER), now=NOON, assessment=an_assessment())
    people = [person(Role.RISK_MANAGER) for _ in range(2)]
    begin = [lambda who=who: reviews.start(review_id=review.pk, actor=who, now=NOON) for who in people]
    done, errors = split(at_once(*begin))
    assert (len(done), errors) == (2, [])
    assert review.points.count() == 1


def test_two_planners_plan_each_review_once() -> None:
    row = an_assessment()
    ReviewGate.objects.create(assessment=row, name="Before the pilot", due_on=END)
    risk = a_scored_risk(3, 3)
    Risk.objects.filter(pk=risk.pk).update(next_review_on=NOON.date())
    _, errors = split(at_once(*[lambda: reviews.plan(now=NOON)] * 3))
    assert errors == []
    planned = RegisterReview.objects.filter(assessment=row).values_list("gate__name", flat=True)
    assert sorted(str(name) for name in planned) == ["Before the pilot", "None"]
    assert RegisterReview.objects.filter(risk=risk).count() == 1
