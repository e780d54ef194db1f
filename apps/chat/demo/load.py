"""Loads the chat of the demonstration: a site with a widget, and conversations of the last two days.

Customers' words go through the same services as in earnest, and the real bot answers them from the demonstration's
articles.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

from django.conf import settings

from apps.chat import conversations, handoff_ratings, ratings
from apps.chat.bot import turns
from apps.chat.demo.talks import TALKS, Talk
from apps.chat.models import ChatSite, Conversation, Event, Visitor
from apps.chat.saying import say
from apps.core.models import Scope, User
from apps.escalation.models import Team

PEOPLE = ("agent", "lead")
KEY = "northlight"
STEP = timedelta(seconds=40)
THINKS = timedelta(seconds=4)


def load(*, now: datetime, report: Callable[[str, int], object]) -> bool:
    """Load the chat.

    Returns:
        False if there is a site already, or nobody of the demonstration's people.
    """
    people = {user.username: user for user in User.objects.filter(username__in=PEOPLE)}
    scope = Scope.objects.filter(slug=KEY).first()
    if scope is None or len(people) < len(PEOPLE) or ChatSite.objects.exists():
        return False
    report("Chat", 0)
    site = ChatSite.objects.create(
        key=KEY,
        name="Northlight",
        scope=scope,
        team=Team.objects.filter(scope=scope).first(),
        allowed_origins=[settings.SITE_URL.rstrip("/")],
        greeting="Hello! Ask us anything about your order, delivery or returns.",
        quick_replies=["Where is my order?", "How do I return something?", "Talk to a person"],
        identity_secret="demonstration-" + "0" * 32,
    )
    for talk in sorted(TALKS, key=lambda one: -one.ago):
        _talk(site, talk, people, now - timedelta(hours=talk.ago))
    return True


def _talk(site: ChatSite, talk: Talk, people: dict[str, User], at: datetime) -> None:
    visitor = Visitor.objects.create(site=site, name=talk.name, email=talk.email, created_at=at, seen_at=at)
    conversation = Conversation.objects.create(
        site=site, scope=site.scope, team=site.team, visitor=visitor, opened_at=at, last_event_at=at
    )
    speaker = people["agent"]
    for what, words in talk.steps:
        at += STEP
        if what == "take":
            speaker = people[words]
        _step(conversation.pk, what, words, speaker, at)


def _step(pk: int, what: str, words: str, speaker: User, at: datetime) -> None:
    if what == "says":
        say(conversation_id=pk, author=Event.Author.CUSTOMER, text=words, client_id=uuid4(), now=at)
        turns.answer_one(pk, at + THINKS)
    elif what == "take":
        _take(pk, speaker, at)
    elif what == "answer":
        conversations.reply(pk, speaker, text=words, client_id=uuid4(), now=at)
    elif what == "note":
        conversations.note(pk, speaker, text=words, client_id=uuid4(), now=at)
    elif what == "resolve":
        conversations.resolve(pk, None, seen_version=None, now=at, resolution=words)
    elif what == "useful":
        _rate_handoff(pk, speaker, words == "yes", at)
    elif what == "rate":
        score, _, comment = words.partition(" ")
        ratings.rate(conversation_id=pk, score=int(score), comment=comment, now=at)


def _take(pk: int, speaker: User, at: datetime) -> None:
    """Join a conversation; outside the team's hours the bot made a ticket of it, which is opened again then."""
    ended = Conversation.objects.filter(pk=pk, state=Conversation.State.RESOLVED).exists()
    (conversations.reopen if ended else conversations.take)(pk, speaker, None, at)


def _rate_handoff(pk: int, speaker: User, useful: bool, at: datetime) -> None:
    taken = Conversation.objects.get(pk=pk).handoffs.filter(accepted_by=speaker).first()
    if taken is not None:
        handoff_ratings.rate(taken.pk, speaker, useful=useful, missing=[] if useful else ["order_reference"], now=at)
