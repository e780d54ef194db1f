"""The agenda of a review: one point for each risk that is looked at, with what is to be known about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import QuerySet

from apps.register import changes, controls
from apps.register.models import Acceptance, Mitigation, Rating, RegisterReview, Risk, RiskAssessment

MOST_POINTS = 500
MOST_FACTS = 30


@dataclass(frozen=True, slots=True)
class Topic:
    """One point to be talked about, with what is to be known as lines."""

    topic: str
    facts: list[str] = field(default_factory=list)
    risk: Risk | None = None


def agenda(review: RegisterReview, *, since: datetime, now: datetime) -> list[Topic]:
    """What there is to talk about, the gravest risks first; at most :data:`MOST_POINTS` points.

    Args:
        since: when the last review was; changes are told from then on.
    """
    if review.risk is not None:
        return _risks(Risk.objects.filter(pk=review.risk.pk), since, now)
    assessment = review.assessment
    assert assessment is not None  # the constraint asks for one of both
    found = [*_general(review, assessment, since, now)]
    risks = _risks(assessment.risks.open().order_by("-severity", "position", "id"), since, now)
    if len(found) + len(risks) > MOST_POINTS:
        kept = MOST_POINTS - len(found)
        found[0].facts.append(f"{len(risks) - kept} risks of lower severity are left out of this agenda.")
        risks = risks[:kept]
    return [*found, *risks]


def _general(review: RegisterReview, assessment: RiskAssessment, since: datetime, now: datetime) -> Iterator[Topic]:
    own = [str(one) for one in changes.of_assessment(assessment, since=since, until=now) if one.risk is None]
    closed = assessment.risks.filter(status=Risk.Status.CLOSED).count()
    facts = [f"{assessment.risks.open().count()} risks are open, {closed} are closed.", *own[:MOST_FACTS]]
    yield Topic("Whether scope, scales and rhythm of reviews still fit", facts)
    if review.gate is not None:
        planned = f"Planned for {review.gate.due_on:%-d %b %Y}." if review.gate.due_on else "No day is planned."
        yield Topic(f"Whether the gate “{review.gate.name}” can be passed", [planned])
    late = assessment.mitigations.filter(risk=None, due_on__lt=now.date()).unfinished()
    if late:
        yield Topic(
            "Actions of the strategy that are late", [f"{one.title} (due {one.due_on:%-d %b %Y})" for one in late]
        )


def _risks(risks: QuerySet[Risk], since: datetime, now: datetime) -> list[Topic]:
    rows = list(risks.prefetch_related("mitigations__controls"))
    keys = [row.pk for row in rows]
    scores: dict[int, list[Rating]] = {}
    for rating in Rating.objects.filter(risk__in=keys, latest=True).order_by("risk", "kind"):
        scores.setdefault(rating.risk_id, []).append(rating)
    held = {one.risk_id: one for one in Acceptance.objects.filter(risk__in=keys, state__in=Acceptance.OPEN)}
    told: dict[int, list[str]] = {}
    for change in changes.of_risks(risks, since=since, until=now):
        if change.risk is not None:
            told.setdefault(change.risk, []).append(str(change))
    active = {
        one.pk: one for row in rows for task in row.mitigations.all() for one in task.controls.all() if one.active
    }
    words = controls.words_of(list(active.values()), now)
    return [
        Topic(
            f"{row.reference} {row.title}"[:300],
            [
                *_standing(row, scores.get(row.pk, []), held.get(row.pk)),
                *_tasks(row, words, now),
                *(f"Since then: {one}" for one in told.get(row.pk, [])[:MOST_FACTS]),
            ],
            row,
        )
        for row in rows
    ]


def _standing(risk: Risk, scores: list[Rating], held: Acceptance | None) -> Iterator[str]:
    words = ", ".join(f"{rating.kind} {rating.level}" for rating in scores)
    yield f"{risk.get_status_display()}; {f'scored {words}' if words else 'not scored'}."
    if held is not None:
        yield f"{held.get_state_display()} until {held.expires_on:%-d %b %Y}."


def _tasks(risk: Risk, words: dict[int, controls.Word], now: datetime) -> Iterator[str]:
    tasks = [one for one in risk.mitigations.all() if one.status != Mitigation.Status.DROPPED]
    done = [one for one in tasks if one.status == Mitigation.Status.DONE]
    yield f"{len(done)} of {len(tasks)} mitigations are done." if tasks else "No mitigation."
    for one in tasks:
        if one not in done and one.due_on and one.due_on < now.date():
            yield f"Late since {one.due_on:%-d %b %Y}: {one.title}"
    failing = {
        control.pk: words[control.pk]
        for task in tasks
        for control in task.controls.all()
        if control.pk in words and words[control.pk].outcome in ("fail", "error")
    }
    for word in failing.values():
        yield f"Control fails: {word.control.title}. {word.words}"
