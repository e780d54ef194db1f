"""Reviews of assessments and risks: when each is due, what is on its agenda, what was decided, and the minutes.

An assessment is reviewed by its rhythm for its phase and before each of its gates, a risk as often as the matrix asks for
its level; both count from the last completed review. A risk that a review of its assessment decided on counts as reviewed.
One review of each kind is open at a time (partial unique constraints settle races of planners).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from apps.core.audit import said_by
from apps.core.decisions import Entry, record
from apps.core.models import User
from apps.core.notifications import News, notify_many
from apps.core.roles import Role, people_with
from apps.register import changes
from apps.register.agenda import agenda
from apps.register.minutes import minutes_of
from apps.register.models import Rating, RegisterReview, ReviewGate, ReviewPoint, Risk, RiskAssessment
from apps.register.refusals import MissingInformation, NotAllowed, NotDecided, NotFound, WrongState
from apps.register.rights import LOG, demand, kept, may_review, said
from apps.register.risks import next_review

AHEAD = timedelta(days=14)
TOLD = 10
_BATCH = 1000
Status = RegisterReview.Status


def due_of(assessment: RiskAssessment) -> date | None:
    """When an assessment is to be reviewed next, from its last completed review; None if its phase has no rhythm."""
    days = assessment.review_every_days.get(assessment.phase)
    if not days or assessment.status == RiskAssessment.Status.CLOSED:
        return None
    since = changes.last_review(assessment) or assessment.created_on
    return since.date() + timedelta(days=days)


def plan(*, now: datetime) -> int:
    """Plan what has to be reviewed: assessments by rhythm and gates, risks two weeks ahead. Run daily, again at no harm.

    Returns:
        How many reviews were planned that had not been.
    """
    before = RegisterReview.objects.count()
    for assessment in RiskAssessment.objects.exclude(status=RiskAssessment.Status.CLOSED).order_by("pk"):
        plan_assessment(assessment)
    _plan_risks(now.date() + AHEAD)
    return RegisterReview.objects.count() - before


@transaction.atomic
def plan_assessment(assessment: RiskAssessment) -> None:
    """Plan an assessment's next review, or move the planned one if its rhythm or its gates changed meanwhile."""
    # Planners of one assessment come one after the other, for no constraint keeps two reviews of a gate apart.
    RiskAssessment.objects.select_for_update(of=("self",), no_key=True).get(pk=assessment.pk)
    due = due_of(assessment)
    if assessment.next_review_on != due:
        assessment.next_review_on = due
        RiskAssessment.objects.filter(pk=assessment.pk).update(next_review_on=due)
    if due is not None:
        _plan_one(assessment, None, due)
    for gate in assessment.gates.filter(passed_at=None):
        if gate.due_on is not None:
            _plan_one(assessment, gate, gate.due_on)


def _plan_one(assessment: RiskAssessment, gate: ReviewGate | None, due: date) -> None:
    unfinished = assessment.reviews.unfinished().filter(gate=gate)
    if unfinished.exists():
        unfinished.filter(status=Status.PLANNED).exclude(due_on=due).update(due_on=due)
        return
    RegisterReview.objects.bulk_create(
        [RegisterReview(assessment=assessment, gate=gate, due_on=due)], ignore_conflicts=True
    )


def _plan_risks(until: date) -> None:
    """Plan reviews of risks that fall due; planned ones follow their risk's day, and those of closed risks are taken away."""
    planned = RegisterReview.objects.filter(risk__isnull=False, status=Status.PLANNED)
    planned.filter(Q(risk__status=Risk.Status.CLOSED) | Q(risk__next_review_on=None)).delete()
    moved = planned.exclude(due_on=F("risk__next_review_on"))
    for key, day in moved.values_list("pk", "risk__next_review_on").iterator(chunk_size=_BATCH):
        RegisterReview.objects.filter(pk=key, status=Status.PLANNED).update(due_on=day)
    due = Risk.objects.due_for_review(until).exclude(reviews__in=RegisterReview.objects.unfinished())
    batch: list[RegisterReview] = []
    for pk, day in due.values_list("pk", "next_review_on").iterator(chunk_size=_BATCH):
        batch.append(RegisterReview(risk_id=pk, due_on=day or until))
        if len(batch) == _BATCH:
            RegisterReview.objects.bulk_create(batch, ignore_conflicts=True)
            batch = []
    RegisterReview.objects.bulk_create(batch, ignore_conflicts=True)


@transaction.atomic
def ask_for(
    *, actor: User, now: datetime, risk: Risk | None = None, assessment: RiskAssessment | None = None
) -> RegisterReview:
    """The open review of a risk or an assessment; one that is due today if none is planned yet.

    Raises:
        NotFound, NotAllowed: nothing was done.
    """
    wanted = RegisterReview(risk=risk, assessment=None if risk else assessment, due_on=now.date())
    if risk is None and assessment is None:
        raise NotFound
    if not may_review(actor, wanted):
        raise NotAllowed
    RegisterReview.objects.bulk_create([wanted], ignore_conflicts=True)
    found = RegisterReview.objects.unfinished().filter(risk=risk, assessment=wanted.assessment, gate=None)
    review: RegisterReview | None = found.visible_to(actor).first()
    if review is None:
        raise NotFound
    return review


@transaction.atomic
def start(*, review_id: int, actor: User, now: datetime) -> RegisterReview:
    """Begin a review: its agenda is made of what is there now. Begun again, it is the same.

    Raises:
        NotFound, NotAllowed, WrongState: nothing was done.
    """
    review = _locked(review_id, actor)
    if review.status == Status.RUNNING:
        return review
    if review.status != Status.PLANNED:
        raise WrongState("This review is completed.")
    review.status, review.led_by, review.started_at, review.agenda_at = Status.RUNNING, actor, now, now
    with said_by(actor):
        review.save(update_fields=["status", "led_by", "started_at", "agenda_at"])
    topics = agenda(review, since=_since(review), now=now)
    ReviewPoint.objects.bulk_create(
        ReviewPoint(review=review, risk=one.risk, topic=one.topic, facts=one.facts) for one in topics
    )
    record(_entry(review, actor, "register_review_begun", "", points=len(topics)))
    return review


def _since(review: RegisterReview) -> datetime:
    """From when on changes are told: the last completed review of the same thing, else its beginning."""
    if review.assessment is not None:
        return changes.last_review(review.assessment) or review.assessment.created_on
    assert review.risk is not None  # the constraint asks for one of both
    done = review.risk.reviews.filter(status=Status.COMPLETED).order_by("-completed_at").first()
    found: datetime | None = done.completed_at if done else None
    return found or review.risk.recorded_at


@transaction.atomic
def decide_point(
    *,
    point_id: int,
    decision: str,
    actor: User,
    now: datetime,
    next_action: str = "",
    action_owner: User | None = None,
) -> ReviewPoint:
    """Write down what was decided on a point; said again while the review is held, it replaces what was said.

    Raises:
        MissingInformation: no decision, or a next action without somebody who does it.
        NotFound, NotAllowed, WrongState: nothing was done.
    """
    review_id = ReviewPoint.objects.filter(pk=point_id).values_list("review", flat=True).first()
    review = _locked(review_id or 0, actor)
    if review.status != Status.RUNNING:
        raise WrongState("The review is not being held.")
    point = review.points.get(pk=point_id)
    point.decision = said(decision, "decision", "What was decided.", 4000)
    point.next_action = kept(next_action)
    if len(point.next_action) > 300:
        raise MissingInformation(fields={"next_action": ["At most 300 characters."]})
    if point.next_action and action_owner is None:
        raise MissingInformation(fields={"action_owner": ["Somebody has to do it."]})
    point.action_owner = action_owner if point.next_action else None
    point.decided_by, point.decided_at = actor, now
    with said_by(actor):
        point.save(update_fields=["decision", "next_action", "action_owner", "decided_by", "decided_at"])
    record(_entry(review, actor, "register_review_decided", point.decision, point=point.pk, risk=point.risk_id))
    return point


@transaction.atomic
def complete(*, review_id: int, actor: User, now: datetime, notes: str = "") -> RegisterReview:
    """Complete a review: write its minutes, and plan the next one from today. Completed again, nothing more happens.

    Args:
        notes: stand in the minutes before the points.

    Raises:
        NotDecided: points have no decision yet.
        NotFound, NotAllowed, WrongState, MissingInformation: nothing was done.
    """
    review = _locked(review_id, actor)
    if review.status == Status.COMPLETED:
        return review
    if review.status != Status.RUNNING:
        raise WrongState("Begin the review first.")
    left = review.points.filter(decision="").count()
    if left:
        raise NotDecided(left)
    notes = kept(notes)
    if len(notes) > 20_000:
        raise MissingInformation(fields={"notes": ["At most 20000 characters."]})
    review.status, review.completed_at = Status.COMPLETED, now
    review.minutes = minutes_of(review, notes)
    with said_by(actor):
        review.save(update_fields=["status", "completed_at", "minutes"])
        _count_as_reviewed(review, actor, now)
    record(_entry(review, actor, "register_review_completed", notes, points=review.points.count()))
    return review


def _count_as_reviewed(review: RegisterReview, actor: User, now: datetime) -> None:
    """The next reviews count from now: of the assessment, and of each risk that was decided on."""
    if review.gate is not None:
        review.gate.passed_at, review.gate.passed_by = now, actor
        review.gate.save(update_fields=["passed_at", "passed_by"])
    risks = Risk.objects.select_for_update(of=("self",), no_key=True).filter(
        Q(pk=review.risk_id) | Q(pk__in=review.points.filter(risk__isnull=False).values("risk"))
    )
    rows = list(risks.order_by("pk"))
    current = Rating.objects.filter(risk__in=rows, kind=Rating.Kind.CURRENT, latest=True).select_related("matrix")
    scores = {rating.risk_id: rating for rating in current}
    for risk in rows:
        rating = scores.get(risk.pk)
        due = next_review(risk, rating, reviewed_at=now) if rating else None
        if risk.next_review_on != due:
            risk.next_review_on = due
            risk.save(update_fields=["next_review_on"])
    # What was planned for these risks alone has been done here.
    RegisterReview.objects.filter(risk__in=rows, status=Status.PLANNED).delete()
    if review.assessment is not None:
        plan_assessment(review.assessment)


def tell_overdue(*, now: datetime) -> int:
    """Tell who owns what was not reviewed in time, once a day and all in one; where nobody owns it, Risk Management.

    Returns:
        How many people were told.
    """
    late: dict[int, list[RegisterReview]] = defaultdict(list)
    rows = RegisterReview.objects.unfinished().filter(due_on__lt=now.date()).order_by("due_on", "pk")
    people = {person.pk: person for person in people_with(Role.RISK_MANAGER)}
    managers = list(people)
    told: list[int] = []
    for review in rows.select_related("risk__owner", "assessment__owner", "gate").iterator(chunk_size=_BATCH):
        of = review.risk or review.assessment
        owner = of.owner if of else None
        if owner is not None:
            people[owner.pk] = owner
        for key in [owner.pk] if owner is not None and owner.is_active else managers:
            late[key].append(review)
        told.append(review.pk)
    count = notify_many(kind="register", news=[_news(people[key], found, now) for key, found in late.items()])
    RegisterReview.objects.filter(pk__in=told).update(notified_at=now)
    return count


def _news(person: User, reviews: list[RegisterReview], now: datetime) -> News:
    lines = [f"{one.risk or one.assessment}, due {one.due_on:%-d %b %Y}" for one in reviews[:TOLD]]
    if len(reviews) > TOLD:
        lines.append(f"and {len(reviews) - TOLD} more")
    title = f"{len(reviews)} review{'' if len(reviews) == 1 else 's'} of the risk register overdue"
    key = f"register_reviews_overdue:{now.date()}"
    return News(person, title, "\n".join(lines), key, "/admin/register/registerreview/?due=late")


def points_for(review: RegisterReview, user: User) -> Iterable[ReviewPoint]:
    """The points that a person may see: those about risks in sight, and those about none."""
    mine = Q(risk=None) | Q(risk__in=Risk.objects.visible_to(user).values("pk"))
    return review.points.filter(mine).select_related("risk", "action_owner", "decided_by").order_by("pk")


def _locked(review_id: int, actor: User) -> RegisterReview:
    demand(actor, "register.view_registerreview")
    ids = RegisterReview.objects.visible_to(actor).filter(pk=review_id).values("pk")
    rows = RegisterReview.objects.select_for_update(of=("self",), no_key=True)
    review: RegisterReview | None = rows.select_related("risk", "assessment", "gate").filter(pk__in=ids).first()
    if review is None:
        raise NotFound
    if not may_review(actor, review):
        raise NotAllowed
    return review


def _entry(review: RegisterReview, actor: User, action: str, rationale: str, **payload: object) -> Entry:
    return Entry(
        scope=LOG,
        actor=actor,
        action=action,
        subject=f"register_review:{review.pk}",
        rationale=rationale,
        evidence_url=f"/admin/register/registerreview/{review.pk}/change/",
        payload={"due_on": review.due_on.isoformat(), **payload},
    )
