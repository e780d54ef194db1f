"""Who is told of what is beside the ladder: proposals that wait, reviews and documents that fall due, next actions; and who
is asked for feedback.

Nobody gets the same news twice: each has a name, and what is said again while nothing happens is said once a week.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from types import MappingProxyType

from django.db import transaction
from django.db.models import Q

from apps.core.models import User
from apps.core.notifications import notify
from apps.core.roles import Role
from apps.escalation import documents, levels
from apps.escalation.models import Document, FlagEvent, Proposal, Review, ReviewItem, RiskFlag
from apps.escalation.rungs import KIND, Staff, audience, circle

PROPOSALS, REVIEWS = "flag_proposals", "reviews"
# Who holds each review: both sides of the protocol.
HOLDERS: Mapping[str, tuple[Role, ...]] = MappingProxyType(
    {
        Review.Kind.WEEKLY.value: (Role.SUPPORT_MANAGER, Role.RISK_MANAGER),
        Review.Kind.MONTHLY.value: (Role.SUPPORT_DIRECTOR, Role.RISK_MANAGER),
        Review.Kind.QUARTERLY.value: (Role.SUPPORT_DIRECTOR, Role.RISK_MANAGER),
    }
)
APPROVERS = (Role.SUPPORT_DIRECTOR, Role.RISK_MANAGER)


def tell_of_proposal(proposal: Proposal, now: datetime) -> int:
    """Tell those who decide about a proposed flag: the team leads of its scope, or whoever stands above them where there is
    none; from level 4 on Risk Management too. Told once for each level that it reaches. In the caller's transaction.

    Returns:
        How many people had not been told before.
    """
    staff = Staff()
    first = audience(circle(levels.in_force(), RiskFlag.Step.PROPOSED), 0, proposal.scope, staff)
    grave = proposal.level >= RiskFlag.Level.HIGH
    people = [*first.people, *(staff.of((Role.RISK_MANAGER,), proposal.scope) if grave else ())]
    return notify(
        kind=PROPOSALS,
        recipients=people,
        title=f"Proposed flag, {RiskFlag.Level(proposal.level).label}: {proposal.title}",
        body="\n".join([f"{proposal.get_indicator_display()}. To confirm or reject.", *proposal.reasons]),
        url=f"/admin/escalation/proposal/{proposal.pk}/change/",
        dedupe_key=f"proposal:{proposal.pk}:level:{proposal.level}",
        urgent=grave,
    )


def ask_feedback(flag: RiskFlag) -> int:
    """Ask those who raised an ended flag, took it on or had it in hand whether it was useful; who answered is not asked. In
    the caller's transaction.

    Returns:
        How many had not been asked before.
    """
    kinds = (FlagEvent.Kind.STEP, FlagEvent.Kind.LEVEL, FlagEvent.Kind.ACKNOWLEDGED)
    took_part = Q(pk__in=flag.events.filter(kind__in=kinds).values("actor")) | Q(pk__in=[flag.raised_by_id or 0])
    people = User.objects.filter(took_part).exclude(pk__in=flag.feedback.values("by"))
    return notify(
        kind=KIND,
        recipients=people,
        title=f"Was this flag useful? {flag.title}",
        body=f"It ended: {flag.get_step_display().lower()}. Say whether it was useful, and what was missing.",
        url=f"/admin/escalation/riskflag/{flag.pk}/feedback/",
        dedupe_key=f"risk_flag:{flag.pk}:feedback",
    )


def tell_of_action(item: ReviewItem) -> int:
    """Tell who got a next action in a review; in the caller's transaction."""
    if item.owner is None or not item.next_action:
        return 0
    return notify(
        kind=REVIEWS,
        recipients=[item.owner],
        title=f"Yours until {item.due_on}: {item.next_action}",
        body=f"From the {item.review.get_kind_display().lower()}. Decided: {item.decision}",
        url=_review_url(item.review_id),
        dedupe_key=f"review_item:{item.pk}:owner:{item.owner_id}:{item.due_on}",
    )


@transaction.atomic
def remind(*, now: datetime) -> int:
    """Tell who has to hold a review that is due, review a document, or finish a next action. Called each day; told when it
    falls due, and once in each week after.

    Returns:
        How many had not been told before.
    """
    today, staff = now.date(), Staff()
    due = Review.objects.filter(status=Review.Status.PLANNED, due_on__lte=today)
    told = sum(_of_review(review, today, staff) for review in due)
    told += sum(_of_document(document, today, staff) for document in documents.overdue(today))
    late = ReviewItem.objects.filter(done_at=None, due_on__lt=today).exclude(next_action="")
    return told + sum(_of_late_action(item, today) for item in late.select_related("owner", "review"))


def _of_review(review: Review, today: date, staff: Staff) -> int:
    late = review.due_on < today
    return notify(
        kind=REVIEWS,
        recipients=_those(HOLDERS[review.kind], staff),
        title=f"{review.get_kind_display()}: {'overdue since' if late else 'due'} {review.due_on}",
        body="Begin it on its page; the agenda is made then.",
        url=_review_url(review.pk),
        dedupe_key=f"review:{review.pk}:{_week(review.due_on, today)}",
    )


def _of_document(document: Document, today: date, staff: Staff) -> int:
    due = document.next_review_on or today
    return notify(
        kind=REVIEWS,
        recipients=_those(APPROVERS, staff),
        title=f"Review overdue since {due}: {document.title}",
        body=f"Owner: {document.owner}. Say on its page that it still holds, or write a new version.",
        url=f"/admin/escalation/document/{document.pk}/change/",
        dedupe_key=f"document:{document.pk}:{_week(due, today)}",
    )


def _of_late_action(item: ReviewItem, today: date) -> int:
    if item.owner is None or item.due_on is None:
        return 0
    return notify(
        kind=REVIEWS,
        recipients=[item.owner],
        title=f"Overdue since {item.due_on}: {item.next_action}",
        body=f"From the {item.review.get_kind_display().lower()} of {item.review.due_on}.",
        url=_review_url(item.review_id),
        dedupe_key=f"review_item:{item.pk}:{_week(item.due_on, today)}",
    )


def _those(roles: Iterable[Role], staff: Staff) -> tuple[User, ...]:
    """Who holds the roles; the administrators where nobody does."""
    return staff.of(roles, None) or staff.of((Role.ADMINISTRATOR,), None)


def _week(due: date, today: date) -> str:
    """Names the day it fell due on, and each week after."""
    return f"{due}:{(today - due).days // 7}"


def _review_url(review_id: int) -> str:
    return f"/admin/escalation/review/{review_id}/change/"
