"""The protocol's reviews: when each is due, what is on its agenda, what was decided, and the minutes.

One review of each kind is planned or being held at a time. Its agenda is made from the flags, proposals and clusters when it
is begun; it is completed when each item has a decision, and the next one is planned from the day of its completion. What
people write is redacted before it is stored.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Q

from apps.core.decisions import Entry, record
from apps.core.errors import DomainError
from apps.core.models import User
from apps.escalation.agenda import EVERY, points, summary
from apps.escalation.binding import SCOPE as LOG
from apps.escalation.binding import MissingInformation, NotAllowed, said
from apps.escalation.kept import Keeper
from apps.escalation.models import Cluster, Review, ReviewItem, RiskFlag
from apps.escalation.notices import tell_of_action

HOLD = "escalation.change_review"
Kind, Status = Review.Kind, Review.Status
MOST_ITEMS = 500
_MOST_TEXT = 4_000


class ReviewNotFound(DomainError):
    """There is no such review or item."""

    code = "not_found"
    message = "There is no such review."
    status = 404


class WrongReviewState(DomainError):
    """What was asked does not fit the state of the review."""

    code = "wrong_state"
    message = "This cannot be done with a review in this state."
    status = 409


class NotDecided(DomainError):
    """Items of the agenda have no decision yet."""

    code = "not_decided"
    status = 409

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} item{'' if count == 1 else 's'} of the agenda still need a decision.")


def next_due(kind: str, today: date) -> date:
    """When the next review of a kind is due: counted from the last completed one; today if there was none."""
    done = Review.objects.filter(kind=kind, status=Status.COMPLETED).order_by("-completed_at")
    last = done.values_list("completed_at", flat=True).first()
    return last.date() + timedelta(days=EVERY[kind]) if last else today


def plan(*, now: datetime) -> list[Review]:
    """Make sure that one review of each kind is planned; called each day and by the page.

    Returns:
        The kinds that had none, as they are planned now.
    """
    busy = set(Review.objects.exclude(status=Status.COMPLETED).values_list("kind", flat=True))
    missing = [kind for kind in Kind if kind.value not in busy]
    made = [Review(kind=kind, due_on=next_due(kind, now.date())) for kind in missing]
    # The partial unique constraint settles the race of two planners.
    Review.objects.bulk_create(made, ignore_conflicts=True)
    return list(Review.objects.filter(kind__in=missing, status=Status.PLANNED)) if missing else []


@transaction.atomic
def begin(*, review_id: int, actor: User, now: datetime) -> Review:
    """Begin a review: its agenda is made of what is there now. Begun again, it is the same.

    Raises:
        ReviewNotFound, WrongReviewState, NotAllowed: nothing was done.
    """
    review = _locked(review_id, actor)
    if review.status == Status.RUNNING:
        return review
    if review.status != Status.PLANNED:
        raise WrongReviewState
    review.status, review.led_by, review.started_at = Status.RUNNING, actor, now
    review.summary = summary(review, now)
    review.save(update_fields=["status", "led_by", "started_at", "summary"])
    found = list(points(review, now))
    # However many flags there are, what is talked about each time is on the agenda.
    standing = [one for one in found if not (one.flag or one.cluster)]
    chosen = [one for one in found if one.flag or one.cluster][: MOST_ITEMS - len(standing)] + standing
    ReviewItem.objects.bulk_create(
        ReviewItem(review=review, flag=one.flag, cluster=one.cluster, reason=one.reason[:200], brief=one.brief)
        for one in chosen
    )
    record(_entry(review, actor, "review_begun", "", items=len(chosen), left_out=len(found) - len(chosen)))
    return review


@transaction.atomic
def decide(
    *,
    item_id: int,
    decision: str,
    actor: User,
    now: datetime,
    next_action: str = "",
    owner: User | None = None,
    due_on: date | None = None,
) -> ReviewItem:
    """Write down what was decided about an item; said again while the review is held, it replaces what was said.

    Raises:
        MissingInformation: no decision, or a next action without somebody who does it and a day.
        ReviewNotFound, WrongReviewState, NotAllowed: nothing was done.
    """
    item = _item_of(item_id, actor)
    if item.review.status != Status.RUNNING:
        raise WrongReviewState
    keeper = Keeper()
    item.decision = keeper.keep(said(decision, "decision", "What was decided.", _MOST_TEXT))
    item.next_action = keeper.keep(next_action).strip()[:_MOST_TEXT]
    missing = {}
    if item.next_action and owner is None:
        missing["owner"] = ["Somebody has to do it."]
    if item.next_action and due_on is None:
        missing["due_on"] = ["It needs a day."]
    if missing:
        raise MissingInformation(fields=missing)
    item.owner, item.due_on = (owner, due_on) if item.next_action else (None, None)
    item.decided_by, item.decided_at = actor, now
    item.save(update_fields=["decision", "next_action", "owner", "due_on", "decided_by", "decided_at"])
    record(_entry(item.review, actor, "review_decided", item.decision, item=item.pk, flag=item.flag_id))
    if item.owner_id != actor.pk:
        tell_of_action(item)
    return item


@transaction.atomic
def finish_action(*, item_id: int, actor: User, now: datetime) -> ReviewItem:
    """Say that a next action is done; its owner may, and who holds reviews.

    Raises:
        ReviewNotFound, WrongReviewState, NotAllowed: nothing was done.
    """
    item = _item_of(item_id, actor, own=True)
    if not item.next_action:
        raise WrongReviewState("There is nothing to do.")
    if item.done_at is None:
        item.done_at = now
        item.save(update_fields=["done_at"])
        record(_entry(item.review, actor, "review_action_done", item.next_action, item=item.pk))
    return item


@transaction.atomic
def complete(*, review_id: int, notes: str, actor: User, now: datetime) -> Review:
    """Complete a review and plan the next one. Completed again by the same click, nothing more happens.

    Raises:
        NotDecided: items have no decision yet.
        ReviewNotFound, WrongReviewState, NotAllowed: nothing was done.
    """
    review = _locked(review_id, actor)
    if review.status == Status.COMPLETED:
        return review
    if review.status != Status.RUNNING:
        raise WrongReviewState("Begin the review first.")
    left = review.items.filter(decision="").count()
    if left:
        raise NotDecided(left)
    review.status, review.completed_at, review.notes = Status.COMPLETED, now, Keeper().keep(notes).strip()[:20_000]
    review.save(update_fields=["status", "completed_at", "notes"])
    record(_entry(review, actor, "review_completed", review.notes, items=review.items.count()))
    plan(now=now)
    return review


def items_for(review: Review, user: User) -> list[ReviewItem]:
    """The items that a person may see: those about flags and clusters of their scopes, and those about neither."""
    flags, clusters = RiskFlag.objects.visible_to(user), Cluster.objects.visible_to(user)
    mine = Q(flag=None) | Q(flag__in=flags.values("pk"))
    mine &= Q(cluster=None) | Q(cluster__in=clusters.values("pk"))
    return list(review.items.filter(mine).select_related("flag", "cluster", "owner", "decided_by").order_by("pk"))


def _locked(review_id: int, actor: User) -> Review:
    _authorise(actor)
    review: Review | None = Review.objects.select_for_update(of=("self",), no_key=True).filter(pk=review_id).first()
    if review is None:
        raise ReviewNotFound
    return review


def _authorise(actor: User) -> None:
    if not actor.is_active or not actor.has_perm(HOLD):
        raise NotAllowed


def _item_of(item_id: int, actor: User, *, own: bool = False) -> ReviewItem:
    rows = ReviewItem.objects.select_related("review").select_for_update(of=("self",), no_key=True)
    item: ReviewItem | None = rows.filter(pk=item_id).first()
    if item is None or item.pk not in {one.pk for one in items_for(item.review, actor)}:
        _authorise(actor)
        raise ReviewNotFound
    if not (own and item.owner_id == actor.pk and actor.is_active):
        _authorise(actor)
    return item


def _entry(review: Review, actor: User, action: str, rationale: str, **payload: object) -> Entry:
    return Entry(
        scope=LOG,
        actor=actor,
        action=action,
        subject=f"review:{review.pk}",
        rationale=rationale,
        evidence_url=f"/admin/escalation/review/{review.pk}/change/",
        payload={"kind": review.kind, "due_on": review.due_on.isoformat(), **payload},
    )
