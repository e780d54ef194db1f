"""The demonstration shows a chat on every stage, and a second run changes nothing."""

from __future__ import annotations

import pytest

from apps.chat.demo.load import KEY, load
from apps.chat.models import Conversation, Event, Rating
from apps.core.roles import Role
from tests.chat.factories import NOON
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db


def test_conversations_stand_on_every_stage() -> None:
    scope = ScopeFactory(slug=KEY)
    for name, role in (("agent", Role.SUPPORT_AGENT), ("lead", Role.TEAM_LEAD)):
        somebody = person(role, scope)
        somebody.username = name
        somebody.save()
    assert load(now=NOON, report=lambda words, count: None)
    states = set(Conversation.objects.values_list("state", flat=True))
    assert states >= {"bot", "person", "resolved"}
    assert Rating.objects.count() == 4
    assert Event.objects.filter(author=Event.Author.BOT).count() >= 4
    assert not load(now=NOON, report=lambda words, count: None)


def test_nothing_is_loaded_without_its_people() -> None:
    ScopeFactory(slug=KEY)
    assert not load(now=NOON, report=lambda words, count: None)
