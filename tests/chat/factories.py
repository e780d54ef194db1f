"""Sites, people who write and their conversations, for tests of chat."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import uuid4

from apps.chat.models import ChatSite, Conversation, Event, Visitor
from apps.chat.saying import say
from apps.core.models import Scope
from tests.core.factories import ScopeFactory

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
_NUMBERS = count(1)


def chat_site(scope: Scope | None = None, **fields: Any) -> ChatSite:
    """A place where the widget stands."""
    values = {"key": f"shop-{next(_NUMBERS)}", "name": "Nordlicht Shop", "scope": scope or ScopeFactory()}
    return ChatSite.objects.create(**{**values, **fields})


def visitor(site: ChatSite, **fields: Any) -> Visitor:
    return Visitor.objects.create(**{"site": site, "created_at": NOON, "seen_at": NOON, **fields})


def conversation(site: ChatSite | None = None, **fields: Any) -> Conversation:
    """A conversation as a row: with the bot, and nothing said, unless the fields say otherwise."""
    site = site or chat_site()
    values: dict[str, Any] = {
        "site": site,
        "scope": site.scope,
        "opened_at": NOON,
        "last_event_at": NOON,
        "team": site.team,
    }
    if fields.get("state") == Conversation.State.WAITING:
        values["waiting_since"] = NOON
    if fields.get("state") == Conversation.State.RESOLVED:
        values |= {"resolved_at": NOON, "resolution": Conversation.Resolution.PERSON}
    values["visitor"] = fields.pop("visitor", None) or visitor(site)
    return Conversation.objects.create(**{**values, **fields})


def says(of: Conversation, text: str, author: str = Event.Author.CUSTOMER, at: datetime = NOON, **more: Any) -> Event:
    """Something said in a conversation, through the service."""
    more.setdefault("client_id", uuid4())
    said = say(conversation_id=of.pk, author=author, text=text, now=at, **more)
    of.refresh_from_db()
    return said.event
