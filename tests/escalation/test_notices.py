"""Proposals, reviews, documents and next actions are told to those whose turn it is, each once."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from apps.core.models import Notification, Scope, User
from apps.core.roles import Role
from apps.escalation import documents, notices, proposals, reviews, tasks
from apps.escalation.models import Document, Review
from apps.escalation.signs import Finding
from tests.core.factories import ScopeFactory, person
from tests.escalation.factories import NOON, raised, staff

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def finding(scope: Scope | None, **changes: Any) -> Finding:
    facts = {
        "subject": "ticket:7", "title": "somebody else's invoice", "reasons": ("an invoice of another customer",),
        "score": 3.0, "level": 3, "scope_id": scope.pk if scope else None,
    }  # fmt: skip
    return Finding(**(facts | changes))


def told(kind: str) -> set[User]:
    rows = Notification.objects.filter(kind=kind).select_related("recipient")
    return {row.recipient for row in rows}


@pytest.fixture
def store() -> Scope:
    return ScopeFactory()


@pytest.fixture
def people(store: Scope) -> dict[Role, User]:
    staff(ScopeFactory())  # people of another store, who hear nothing
    return staff(store)


def propose(scope: Scope | None, **changes: Any) -> Any:
    return proposals.propose(indicator="data", finding=finding(scope, **changes), now=NOON)


def test_the_leads_of_the_scope_hear_of_a_proposal(people: dict[Role, User], store: Scope) -> None:
    made = propose(store)
    assert told("flag_proposals") == {people[Role.TEAM_LEAD]}
    news = Notification.objects.get(kind="flag_proposals")
    assert (news.title, news.urgent) == ("Proposed flag, 3 Medium: somebody else's invoice", False)
    assert news.url == f"/admin/escalation/proposal/{made.pk}/change/"
    assert "an invoice of another customer" in news.body


def test_from_level_4_on_risk_management_hears_of_it_too(store: Scope, people: dict[Role, User]) -> None:
    propose(store, level=4)
    assert people[Role.TEAM_LEAD] in told("flag_proposals")
    assert people[Role.RISK_MANAGER] in told("flag_proposals")
    assert all(Notification.objects.filter(kind="flag_proposals").values_list("urgent", flat=True))
    assert not {people[role] for role in (Role.SUPPORT_AGENT, Role.AUDITOR, Role.OPERATOR)} & told("flag_proposals")


def test_found_again_nobody_is_told_again_unless_it_got_graver(store: Scope, people: dict[Role, User]) -> None:
    propose(store)
    propose(store)
    propose(store, score=4.0, reasons=("two invoices",))
    assert Notification.objects.filter(kind="flag_proposals").count() == 1
    propose(store, score=8.0, level=5)
    assert Notification.objects.filter(kind="flag_proposals", recipient=people[Role.TEAM_LEAD]).count() == 2


def test_where_there_is_no_lead_the_next_rung_hears_of_it() -> None:
    store = ScopeFactory()
    manager = person(Role.SUPPORT_MANAGER, store)
    propose(store)
    assert told("flag_proposals") == {manager}


def test_who_holds_a_review_hears_that_it_is_due_and_again_each_week() -> None:
    people = staff()
    reviews.plan(now=NOON)
    Review.objects.exclude(kind="weekly").update(due_on=date(2027, 1, 1))
    counts = []
    for days in range(-1, 9):
        Review.objects.filter(kind="weekly").update(due_on=NOON.date())
        counts.append(notices.remind(now=NOON + DAY * days))
    assert counts == [0, 2, 0, 0, 0, 0, 0, 0, 2, 0]
    assert told("reviews") == {people[Role.SUPPORT_MANAGER], people[Role.RISK_MANAGER]}
    titles = Notification.objects.order_by("pk").values_list("title", flat=True)
    assert titles[0] == "Weekly risk review: due 2026-03-02"
    assert titles[2] == "Weekly risk review: overdue since 2026-03-02"


@pytest.mark.parametrize("kind", ["monthly", "quarterly"])
def test_the_director_hears_of_the_long_reviews(kind: str) -> None:
    people = staff()
    Review.objects.create(kind=kind, due_on=NOON.date())
    notices.remind(now=NOON)
    assert told("reviews") == {people[Role.SUPPORT_DIRECTOR], people[Role.RISK_MANAGER]}


def test_a_review_that_is_being_held_or_done_is_not_told() -> None:
    staff()
    for state in ("running", "completed"):
        Review.objects.create(kind="weekly" if state == "running" else "monthly", due_on=NOON.date(), status=state)
    assert notices.remind(now=NOON + DAY) == 0


def test_without_holders_the_administrators_hear_of_it() -> None:
    administrator = person(Role.ADMINISTRATOR)
    Review.objects.create(kind="weekly", due_on=NOON.date())
    notices.remind(now=NOON)
    assert told("reviews") == {administrator}


def test_a_document_whose_review_is_overdue_is_told_to_those_who_approve() -> None:
    people = staff()
    document = documents.protocol(now=NOON)
    Document.objects.filter(pk=document.pk).update(next_review_on=NOON.date())
    assert [notices.remind(now=NOON + DAY * days) for days in (0, 1, 2)] == [0, 2, 0]
    assert told("reviews") == {people[Role.SUPPORT_DIRECTOR], people[Role.RISK_MANAGER]}


def test_a_next_action_is_told_to_its_owner_and_again_when_it_is_late() -> None:
    lead, owner = person(Role.RISK_MANAGER), person(Role.TEAM_LEAD)
    raised(level=2)
    reviews.plan(now=NOON)
    Review.objects.exclude(kind="weekly").update(due_on=date(2027, 1, 1))
    review = reviews.begin(review_id=Review.objects.get(kind="weekly").pk, actor=lead, now=NOON)
    item = review.items.first()
    assert item is not None
    facts: dict[str, Any] = {"item_id": item.pk, "actor": lead, "now": NOON, "next_action": "Ring the carrier"}
    reviews.decide(**facts, decision="Call them", owner=owner, due_on=NOON.date())
    reviews.decide(**facts, decision="Call them today", owner=owner, due_on=NOON.date())
    assert Notification.objects.filter(recipient=owner).count() == 1
    assert notices.remind(now=NOON) == 0
    assert notices.remind(now=NOON + DAY) == 1
    reviews.finish_action(item_id=item.pk, actor=owner, now=NOON + DAY)
    assert notices.remind(now=NOON + 20 * DAY) == 0


def test_the_daily_task_plans_and_tells() -> None:
    staff()
    assert tasks.plan_reviews() == 3
    first = Notification.objects.filter(kind="reviews").count()
    assert first == 6
    assert tasks.plan_reviews() == 0
    assert Notification.objects.filter(kind="reviews").count() == first
