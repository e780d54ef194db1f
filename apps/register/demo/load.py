"""Loads the register of the demonstration: the two delivered assessments, and the work of some weeks on them.

Everything is written by the same services as in earnest, at moments of the last weeks. What the controls say is not
invented: the checks look at this very system when the demonstration is loaded, and their schedule goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from auditlog.context import set_extra_data
from django.db import transaction

from apps.core.models import User
from apps.register import acceptances, controls, mitigations, reviews, risks
from apps.register.checking import checks
from apps.register.delivered import ensure_controls
from apps.register.demo.incident import load_incident
from apps.register.models import Acceptance, Control, Mitigation, RegisterReview, Risk, RiskAssessment
from apps.register.papers.importing import apply, preview
from apps.register.runs import run_checks

logger = structlog.get_logger(__name__)
DOCUMENTS = Path(__file__).parent.parent / "data" / "assessments"
PEOPLE = ("risk", "director", "manager", "lead")
DAY = timedelta(days=1)
# Days ago, kind, probability and impact of each risk in turn, until the list begins again: how work changed the scores.
SCORES = (
    ((60, "inherent", 3, 3), (60, "current", 3, 3), (21, "current", 2, 3), (21, "residual", 1, 3)),
    ((60, "inherent", 2, 3), (55, "current", 2, 3), (14, "residual", 1, 2)),
    ((58, "inherent", 3, 2), (58, "current", 3, 2), (30, "current", 2, 2), (9, "current", 1, 2), (9, "residual", 1, 1)),
    ((50, "inherent", 2, 2), (50, "current", 2, 2), (12, "residual", 1, 2)),
    ((45, "inherent", 3, 3), (45, "current", 3, 3), (6, "residual", 2, 2)),
)
WHY = {
    "inherent": "As it would be without anything done about it.",
    "current": "Judged again in the weekly round, by what is in place.",
    "residual": "Where it will be when its mitigations are done.",
}
SCORED = 14
"""So many risks have a history of scores; the others keep what their document said."""


def load(*, now: datetime, report: Callable[[str, int], object]) -> bool:
    """Load the register.

    Returns:
        False if an assessment is there already, or nobody of the demonstration's people.
    """
    people = {user.username: user for user in User.objects.filter(username__in=PEOPLE)}
    if RiskAssessment.objects.exists() or len(people) < len(PEOPLE):
        return False
    report("Risk register", 0)
    with transaction.atomic():
        _import(people, now)
        _work(people, now)
        _review(people, now)
        load_incident(people, now)
    report("Looking at the controls", 0)
    run_checks(now=now, slugs=[one.slug for one in checks if not one.later])
    return True


@contextmanager
def _kept_as_of(moment: datetime) -> Iterator[None]:
    """Let the audit log keep what is done inside at the moment at which the story has it."""
    with set_extra_data({"timestamp": moment}):
        yield


def _import(people: dict[str, User], now: datetime) -> None:
    for path in sorted(DOCUMENTS.glob("*.md")):
        read = preview(name=path.name, data=path.read_bytes(), actor=people["risk"], now=now - 62 * DAY)
        apply(import_id=read.pk, seen=read.register_version, actor=people["risk"], now=now - 62 * DAY)
    ensure_controls()


def _work(people: dict[str, User], now: datetime) -> None:
    """Owners, scores over time, tasks on their way, an acceptance that holds, one to decide and an attestation."""
    found = list(Risk.objects.filter(assessment__isnull=False).order_by("assessment_id", "position", "pk"))
    owners = [people["director"], people["manager"], people["lead"]]
    for place, risk in enumerate(found):
        _edit(risk, people, now, owner=owners[place % len(owners)], proximity=("now", "quarter", "year")[place % 3])
    for place, risk in enumerate(found[:SCORED]):
        _score(risk, SCORES[place % len(SCORES)], people, now)
    _tasks(people, now)
    accepted, asked = found[SCORED], found[SCORED + 1]
    held = _ask(accepted, people, "director", now - 58 * DAY, now + 10 * DAY)
    acceptances.approve(
        acceptance_id=held.pk, actor=people["risk"], now=now - 57 * DAY,
        reason="Small for the size of the pilot; looked at again before it goes live.",
    )  # fmt: skip
    _ask(asked, people, "manager", now - DAY, now + 60 * DAY)
    _attest(people, now)


def _edit(risk: Risk, people: dict[str, User], now: datetime, **changes: object) -> None:
    seen = Risk.objects.get(pk=risk.pk).version
    with _kept_as_of(now - 61 * DAY):
        risks.edit_risk(
            risk_id=risk.pk, seen_version=seen, changes=changes, actor=people["risk"], now=now - 61 * DAY,
            reason="Shared out in the first round.",
        )  # fmt: skip


def _score(risk: Risk, steps: tuple[tuple[int, str, int, int], ...], people: dict[str, User], now: datetime) -> None:
    for days, kind, probability, impact in steps:
        seen = Risk.objects.get(pk=risk.pk).version
        with _kept_as_of(now - days * DAY):
            risks.rate(
                risk_id=risk.pk, seen_version=seen, kind=kind, probability=probability, impact=impact,
                reason=WHY[kind], actor=people["risk"], now=now - days * DAY,
            )  # fmt: skip


def _tasks(people: dict[str, User], now: datetime) -> None:
    """Every third mitigation is on its way, every fifth done, some late."""
    for place, row in enumerate(Mitigation.objects.order_by("pk")[:60]):
        changes: dict[str, object] = {"due_on": (now + (place % 9 - 2) * 7 * DAY).date()}
        if place % 5 == 0:
            changes |= {"status": Mitigation.Status.DONE}
        elif place % 3 == 0:
            changes |= {"status": Mitigation.Status.IN_PROGRESS, "progress": 20 + place % 4 * 20}
        if place % 4 == 0:
            changes |= {"owner": people["lead"]}
        at = now - (20 - place % 15) * DAY
        with _kept_as_of(at):
            mitigations.update(
                mitigation_id=row.pk, seen_version=row.version, changes=changes, actor=people["risk"], now=at,
                reason="As told in the weekly round.",
            )  # fmt: skip


def _ask(risk: Risk, people: dict[str, User], name: str, asked_at: datetime, until: datetime) -> Acceptance:
    """Ask for acceptance as somebody who owns the risk from then on."""
    _edit(risk, people, asked_at + 61 * DAY, owner=people[name])
    return acceptances.request(
        risk_id=risk.pk, seen_version=Risk.objects.get(pk=risk.pk).version, expires_on=until.date(), actor=people[name],
        now=asked_at, reason="Treating it costs more than it can cost us while only the pilot's users are there.",
    )  # fmt: skip


def _attest(people: dict[str, User], now: datetime) -> None:
    """One attestation that holds, and one that has ended."""
    words = Control.objects.filter(kind=Control.Kind.ATTESTED, active=True).order_by("slug")
    for place, control in enumerate(words[:2]):
        controls.attest(
            control_id=control.pk, outcome="pass" if place else "warn", actor=people["risk"],
            statement="Looked through with the people who do it; the notes are linked.",
            link="https://wiki.riskdesk.example.com/controls", now=now - (5 + place * (control.every_days + 3)) * DAY,
        )  # fmt: skip


def _review(people: dict[str, User], now: datetime) -> None:
    """A review that was held three weeks ago; the following ones are planned, and late by their own rhythm."""
    reviews.plan(now=now - 30 * DAY)
    first = RegisterReview.objects.filter(assessment__isnull=False, gate=None).order_by("pk").first()
    if first is None:
        return
    at = now - 22 * DAY
    review = reviews.start(review_id=first.pk, actor=people["risk"], now=at)
    for place, point in enumerate(review.points.order_by("pk")):
        reviews.decide_point(
            point_id=point.pk, decision="Goes on as planned." if place % 3 else "Needs somebody's time this week.",
            next_action="" if place % 3 else "Tell in the next round how far it is", actor=people["risk"], now=at,
            action_owner=None if place % 3 else people["manager"],
        )  # fmt: skip
    reviews.complete(
        review_id=review.pk, actor=people["risk"], now=at + timedelta(hours=1), notes="All owners were there."
    )
    reviews.plan(now=now)
