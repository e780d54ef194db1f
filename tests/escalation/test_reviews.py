"""Reviews: due dates, agenda, decisions, next actions, completion and minutes."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.test import Client

from apps.core.models import Decision, Scope, User
from apps.core.roles import Role
from apps.escalation import reviews
from apps.escalation.binding import MissingInformation, NotAllowed
from apps.escalation.minutes import minutes
from apps.escalation.models import Cluster, Review, RiskFlag
from tests.core.factories import ScopeFactory, person
from tests.escalation.factories import NOON, raised

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(days=30)


@pytest.fixture
def director() -> User:
    return person(Role.SUPPORT_DIRECTOR)


def weekly() -> Review:
    reviews.plan(now=NOON)
    return Review.objects.get(kind="weekly", status="planned")


def held(actor: User) -> Review:
    return reviews.begin(review_id=weekly().pk, actor=actor, now=NOON)


def decide_all(review: Review, actor: User) -> None:
    for item in review.items.all():
        reviews.decide(item_id=item.pk, decision="Watch it.", actor=actor, now=NOON)


def test_one_of_each_kind_is_planned_once() -> None:
    assert len(reviews.plan(now=NOON)) == 3
    assert reviews.plan(now=NOON) == []
    assert set(Review.objects.values_list("due_on", flat=True)) == {NOON.date()}


def test_the_next_one_is_due_from_the_last_completed_one(director: User) -> None:
    review = held(director)
    reviews.complete(review_id=review.pk, notes="", actor=director, now=LATER)
    following = Review.objects.get(kind="weekly", status="planned")
    assert following.due_on == LATER.date() + timedelta(days=7)
    assert reviews.next_due("quarterly", date(2026, 5, 1)) == date(2026, 5, 1)


def test_the_weekly_agenda_holds_overdue_pending_documented_and_clusters(director: User) -> None:
    overdue = raised(level=4, now=NOON - timedelta(days=30))
    pending, documented = raised(level=3), raised(level=1)
    raised(level=5)
    closed = raised(level=2)
    RiskFlag.objects.filter(pk=closed.pk).update(status="resolved", step="closed", resolved_at=NOON)
    cluster = Cluster.objects.create(title="same", reports=4, customers=3, first_at=NOON, last_at=NOON)
    items = list(held(director).items.all())
    assert [item.flag or item.cluster for item in items] == [overdue, pending, documented, cluster]
    assert [item.reason for item in items[:3]] == [
        "Its deadline has passed",
        "Level 3, pending",
        "Documented, levels 1 and 2",
    ]


def test_the_quarterly_one_looks_at_the_landscape(director: User) -> None:
    reviews.plan(now=NOON)
    review = reviews.begin(review_id=Review.objects.get(kind="quarterly").pk, actor=director, now=NOON)
    assert any("landscape" in item.reason for item in review.items.all())


def test_beginning_twice_makes_one_agenda(director: User) -> None:
    raised()
    review = held(director)
    reviews.begin(review_id=review.pk, actor=director, now=NOON)
    assert review.items.count() == 1


def test_an_action_needs_somebody_and_a_day(director: User) -> None:
    raised()
    item = held(director).items.get()
    with pytest.raises(MissingInformation) as refused:
        reviews.decide(item_id=item.pk, decision="d", next_action="Call", actor=director, now=NOON)
    assert set(refused.value.fields) == {"owner", "due_on"}
    with pytest.raises(MissingInformation):
        reviews.decide(item_id=item.pk, decision=" ", actor=director, now=NOON)


def test_it_is_complete_when_everything_is_decided(director: User) -> None:
    raised()
    review = held(director)
    with pytest.raises(reviews.NotDecided, match="1 item"):
        reviews.complete(review_id=review.pk, notes="", actor=director, now=NOON)
    decide_all(review, director)
    reviews.complete(review_id=review.pk, notes="Short.", actor=director, now=NOON)
    again = reviews.complete(review_id=review.pk, notes="Other.", actor=director, now=LATER)
    assert (again.completed_at, again.notes) == (NOON, "Short.")
    assert Decision.objects.filter(action="review_completed").count() == 1
    with pytest.raises(reviews.WrongReviewState):
        reviews.decide(item_id=review.items.get().pk, decision="d", actor=director, now=NOON)


@pytest.mark.parametrize("role", [Role.SUPPORT_AGENT, Role.OPERATOR, Role.AUDITOR, Role.CONTENT_OWNER])
def test_others_do_not_hold_reviews(role: Role) -> None:
    with pytest.raises(NotAllowed):
        reviews.begin(review_id=weekly().pk, actor=person(role), now=NOON)


def test_its_owner_ticks_off_an_action_and_a_stranger_does_not(director: User) -> None:
    raised()
    item, owner = held(director).items.get(), person(Role.SUPPORT_AGENT)
    reviews.decide(
        item_id=item.pk, decision="d", next_action="Call", owner=owner, due_on=NOON.date(), actor=director, now=NOON
    )
    with pytest.raises(NotAllowed):
        reviews.finish_action(item_id=item.pk, actor=person(Role.SUPPORT_AGENT), now=NOON)
    assert reviews.finish_action(item_id=item.pk, actor=owner, now=NOON).done_at == NOON


def test_items_of_foreign_scopes_are_neither_shown_nor_decided(director: User) -> None:
    store = ScopeFactory()
    raised(title="foreign", scope=store)
    review = held(director)
    lead = person(Role.TEAM_LEAD, ScopeFactory())
    assert reviews.items_for(review, lead) == []
    assert "foreign" not in minutes(review, lead)
    assert "foreign" in minutes(review, director)
    with pytest.raises(reviews.ReviewNotFound):
        reviews.decide(item_id=review.items.get().pk, decision="d", actor=lead, now=NOON)


def test_the_whole_way_in_the_browser_pages(client: Client, director: User) -> None:
    store: Scope = ScopeFactory()
    raised(title="Lamps break", scope=store)
    client.force_login(director)
    assert client.get("/admin/escalation/review/").status_code == 200
    review = Review.objects.get(kind="weekly")
    url = f"/admin/escalation/review/{review.pk}/"
    assert "Begin the review" in client.get(f"{url}change/").content.decode()
    assert client.post(f"{url}begin/").status_code == 302
    item = review.items.get()
    assert client.post(f"{url}complete/", {"notes": ""}).status_code == 409
    given = {"decision": "Call the maker", "next_action": "Call", "owner": director.pk, "due_on": "2026-03-09"}
    assert client.post(f"{url}items/{item.pk}/decide/", given).status_code == 302
    assert client.post(f"{url}items/{item.pk}/done/").status_code == 302
    assert client.post(f"{url}complete/", {"notes": "Good."}).status_code == 302
    page = client.get(f"{url}change/").content.decode()
    assert "Call the maker" in page
    exported = client.get(f"{url}minutes/")
    assert exported["Content-Disposition"].startswith("attachment")
    assert "| Call |" in exported.content.decode()
