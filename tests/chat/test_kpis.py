"""The chat's figures: what counts as helped, how long people waited, and how the pilot stands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.chat import conversations
from apps.chat.kpis import figures, pilot_now, verdicts
from apps.chat.models import BotTurn, Conversation, Handoff, HandoffRating, Rating
from apps.chat.policies import Pilot
from apps.core.models import User
from apps.core.roles import Role
from tests.chat.factories import NOON, chat_site, conversation, says
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def ended(one: Conversation, how: str, at: datetime) -> None:
    conversations.resolve(one.pk, None, seen_version=None, now=at, resolution=how)
    one.refresh_from_db()


def of(user: User) -> Any:
    return figures(user=user, since=NOON - DAY, until=NOON + 9 * DAY)


def test_what_the_bot_ended_alone_is_contained_until_the_customer_comes_back() -> None:
    site = chat_site()
    auditor = person(Role.AUDITOR)
    for how in ("confirmed", "assumed", "person", "left"):
        one = conversation(site=site)
        says(one, "Do you ship to Norway?")
        ended(one, how, NOON + timedelta(minutes=10))
    silent = conversation(site=site)
    ended(silent, "left", NOON + DAY)
    found = of(auditor)
    assert (found.contexts, found.confirmed, found.assumed, found.taken_back) == (4, 1, 1, 0)
    assert found.containment == 0.5
    assert found.resolution_seconds == 600

    back = Conversation.objects.get(resolution="assumed")
    says(back, "It still does not work", at=NOON + DAY)
    found = of(auditor)
    assert (found.confirmed, found.assumed, found.taken_back) == (1, 0, 1)


def test_who_comes_back_after_days_has_something_else_to_ask() -> None:
    one = conversation()
    says(one, "Do you ship to Norway?")
    ended(one, "assumed", NOON)
    says(one, "And to Iceland?", at=NOON + 4 * DAY)
    assert of(person(Role.AUDITOR)).taken_back == 0


def test_waits_wrong_answers_opinions_and_ways() -> None:
    one = conversation(state="waiting")
    says(one, "A person please")
    lead = person(Role.TEAM_LEAD, one.scope)
    handoff = Handoff.objects.create(conversation=one, context=1, reason="wish", transcript_to_seq=1, requested_at=NOON)
    says(one, "Only among us", author="agent", user=lead, internal=True, at=NOON + timedelta(minutes=1))
    says(one, "Hello, how can I help?", author="agent", user=lead, at=NOON + timedelta(minutes=3))
    says(one, "Thanks", data={"via": "http"})
    HandoffRating.objects.create(handoff=handoff, useful=True, by=lead, at=NOON)
    Rating.objects.create(conversation=one, context=1, score=4, resolved_by="person", at=NOON)
    for n, outcome in enumerate(("answered", "answered", "not_sure")):
        BotTurn.objects.create(
            conversation=one, context=1, turn=n, up_to_seq=1, state="done", outcome=outcome, due_at=NOON,
            created_at=NOON, finished_at=NOON,
        )  # fmt: skip
    found = of(person(Role.AUDITOR))
    assert (found.waits, found.response_seconds, found.unanswered) == (1, 180, 0)
    assert (found.answers, found.wrong, found.not_sure) == (2, 0, 1)
    assert (found.ratings, found.csat, found.useful_handoffs) == (1, 4.0, 1.0)
    assert (found.messages, found.polling) == (2, 0.5)


def test_nobody_counts_what_they_may_not_see() -> None:
    one = conversation()
    says(one, "Hello")
    ended(one, "assumed", NOON)
    assert of(person(Role.TEAM_LEAD, one.scope)).contexts == 1
    assert of(person(Role.TEAM_LEAD, ScopeFactory())).contexts == 0


def test_few_cases_are_not_judged_and_enough_are() -> None:
    one = conversation()
    says(one, "Hello")
    ended(one, "confirmed", NOON)
    found = of(person(Role.AUDITOR))
    stands = {verdict.name: verdict.passed for verdict in verdicts(found, Pilot(least=1))}
    assert stands["Containment"] is True
    assert stands["Satisfaction"] is None
    assert {verdict.passed for verdict in verdicts(found, Pilot(least=50))} == {None}
    assert verdicts(found, Pilot(least=1, containment=1.0))[0].passed is True


def test_the_page_of_figures_takes_few_queries() -> None:
    auditor = person(Role.AUDITOR)
    auditor.get_all_permissions()
    with CaptureQueriesContext(connection) as queries:
        pilot_now(user=auditor, now=NOON)
    assert len(queries) < 15
