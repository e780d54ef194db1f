"""The monthly and the quarterly agenda bring the figures that they need, and the minutes keep them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from apps.core.models import User
from apps.core.roles import Role
from apps.escalation import documents, reviews, training
from apps.escalation.agenda import table
from apps.escalation.minutes import minutes
from apps.escalation.models import Course, Document, Feedback, Proposal, Review, ReviewItem
from tests.core.factories import ScopeFactory, person
from tests.escalation.factories import NOON, raised

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def director() -> User:
    return person(Role.SUPPORT_DIRECTOR)


def held(kind: str, actor: User) -> Review:
    reviews.plan(now=NOON)
    review = Review.objects.get(kind=kind, status="planned")
    return reviews.begin(review_id=review.pk, actor=actor, now=NOON)


def briefs(review: Review) -> dict[str, str]:
    return {item.reason: item.brief for item in review.items.filter(flag=None, cluster=None)}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("weekly", []),
        ("monthly", ["Trends", "Precision", "Deadlines", "Recurring", "Training", "The protocol"]),
        ("quarterly", ["Trends", "Precision", "Deadlines", "Recurring", "Training", "The landscape", "The protocol"]),
    ],
)  # fmt: skip
def test_each_kind_has_its_standing_points(director: User, kind: str, expected: list[str]) -> None:
    found = list(briefs(held(kind, director)))
    assert len(found) == len(expected)
    assert all(title.startswith(start) for title, start in zip(found, expected, strict=True))


def test_the_figures_are_of_the_time_since_the_last_review(director: User) -> None:
    raised(level=4, now=NOON - 5 * DAY)
    raised(level=4, now=NOON - 10 * DAY)
    raised(level=4, now=NOON - 80 * DAY)
    assert "| 4 High | 1 | 1 |" in held("weekly", director).summary
    assert "| 4 High | 2 | 0 |" in briefs(held("monthly", director))["Trends of the levels"]
    assert "| 4 High | 3 | 0 |" in briefs(held("quarterly", director))["Trends of the levels"]


def test_precision_feedback_deadlines_and_indicators_are_told(director: User) -> None:
    flag = raised(level=3, indicator="data", now=NOON - 20 * DAY)
    raised(level=3, indicator="data", now=NOON - 40 * DAY)
    raised(level=5, indicator="security", now=NOON - DAY)
    Feedback.objects.create(flag=flag, by=director, useful=False, missing_fields=["impact"], at=NOON - DAY)
    for number, status in enumerate(("confirmed", "rejected")):
        Proposal.objects.create(
            indicator="data", subject=f"ticket:{number}", title="x", score=1, level=3, status=status,
            decided_at=NOON - DAY, created_at=NOON, updated_at=NOON,
        )  # fmt: skip
    found = briefs(held("monthly", director))
    precision = found["Precision of the indicators, and feedback"]
    assert "| Data concerns | 0 | 1 | 1 | 50.0 % | 0.0 % |" in precision
    assert "Missing: Customer impact (1)." in precision
    assert "| With the team lead | 0 | 2 |" in found["Deadlines that passed"]
    assert "| Data concerns | 1 | 1 |" in found["Recurring issues, and whether mitigations hold"]
    assert "New: Security issues." in briefs(held("quarterly", director))[
        "The landscape of customer-facing risks: what is new, what is gone"
    ] or "New: Data concerns, Security issues." in str(briefs(Review.objects.get(kind="quarterly")))


def test_training_and_the_protocol_are_told(director: User) -> None:
    lead = person(Role.TEAM_LEAD)
    course = Course.objects.create(
        slug="c", title="Finding risks", every_days={"Team Lead": 91, "Support Director": 365}
    )
    training.complete(course=course, user=lead, on=(NOON - 200 * DAY).date(), actor=director, today=NOON.date())
    training.complete(course=course, user=director, on=NOON.date(), actor=director, today=NOON.date())
    document = documents.protocol(now=NOON - 400 * DAY)
    documents.approve(version_id=document.versions.get().pk, actor=director, now=NOON - 399 * DAY)
    found = briefs(held("monthly", director))
    assert "| Finding risks | 2 | 1 | 0 |" in found["Training"]
    protocol = found["The protocol: whether it still fits, and its next review"]
    assert f"In force: 1.0, approved {(NOON - 399 * DAY).date()} by {director}." in protocol
    assert "overdue" in protocol
    assert Document.objects.get().next_review_on is not None


def test_next_actions_that_are_not_done_come_back(director: User) -> None:
    first = held("weekly", director)
    ReviewItem.objects.create(
        review=first, reason="x", decision="d", next_action="Call", owner=director, due_on=(NOON - DAY).date()
    )
    reviews.complete(review_id=first.pk, notes="", actor=director, now=NOON)
    again = reviews.begin(
        review_id=Review.objects.get(kind="weekly", status="planned").pk, actor=director, now=NOON + 7 * DAY
    )
    assert briefs(again) == {
        "Next actions of earlier reviews that are not done": table(
            ("Review", "Not done", "Overdue"), [("Weekly risk review", 1, 1)]
        )
    }


def test_the_figures_name_no_flag_of_a_scope_that_a_reader_may_not_see(director: User) -> None:
    raised(title="secret of the store", level=4, scope=ScopeFactory(), now=NOON - 20 * DAY)
    review = held("monthly", director)
    assert not any("secret of the store" in brief for brief in briefs(review).values())
    assert "secret of the store" not in minutes(review, person(Role.TEAM_LEAD, ScopeFactory()))


def test_the_page_and_the_minutes_show_the_figures(director: User, client: Client) -> None:
    raised(level=4, now=NOON - 5 * DAY)
    review = held("monthly", director)
    client.force_login(director)
    url = f"/admin/escalation/review/{review.pk}/"
    page = client.get(f"{url}change/").content.decode()
    assert "Trends of the levels" in page
    assert '<th scope="col" class="num">Raised</th>' in page
    assert "style=" not in page.split("<main")[-1]
    item = review.items.get(reason="Trends of the levels")
    assert "Figures for it" in client.get(f"{url}items/{item.pk}/decide/").content.decode()
    text = client.get(f"{url}minutes/").content.decode()
    assert "| 4 High | 1 | 0 |" in text
    assert "Trends of the levels" in text


def test_standing_points_are_there_however_many_flags_there_are(
    director: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "MOST_ITEMS", 8)
    for _ in range(12):
        raised(level=4)
    review = held("monthly", director)
    assert review.items.count() == 8
    assert len(briefs(review)) == 6


@pytest.mark.parametrize(("kind", "days"), [("weekly", 7), ("monthly", 30), ("quarterly", 91)])
def test_the_next_one_counts_from_the_day_of_completion(director: User, kind: str, days: int) -> None:
    review = held(kind, director)
    for item in review.items.all():
        reviews.decide(item_id=item.pk, decision="Noted.", actor=director, now=NOON)
    reviews.complete(review_id=review.pk, notes="", actor=director, now=NOON + 3 * DAY)
    following = Review.objects.get(kind=kind, status="planned")
    assert following.due_on == (NOON + (3 + days) * DAY).date()


def test_cells_break_no_table() -> None:
    assert table(("a", "b"), [("x|y\nz", 1)]) == "| a | b |\n|---|---:|\n| x\\|y z | 1 |"
