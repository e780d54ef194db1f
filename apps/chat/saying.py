"""Adding events to a conversation: the one place where ``seq`` is given out.

Whoever adds holds the conversation's row lock until commit, so that events become visible in the order of ``seq`` and
readers of "events after N" never miss one that commits late. (The messages of many sockets are stored together by
``saying_together``, under the same locks.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.chat import live
from apps.chat.bot import hearing, owing
from apps.chat.models import ChatSession, Conversation, Event
from apps.chat.refusals import ConversationNotFound, EmptyMessage, MessageTooLong, SessionOver, TurnPassed
from apps.core.models import User
from apps.core.redaction import redact

LONGEST = 4_000
"""Characters of a message."""


@dataclass(frozen=True, slots=True)
class Said:
    """An event that is stored.

    Attributes:
        repeated: it was stored before under the same ``client_id``; nothing was added now.
    """

    event: Event
    repeated: bool = False


@transaction.atomic
def say(
    *,
    conversation_id: int,
    author: str,
    text: str,
    now: datetime,
    client_id: UUID | None = None,
    user: User | None = None,
    data: Mapping[str, Any] | None = None,
    internal: bool = False,
    turn: int | None = None,
    session_id: int | None = None,
) -> Said:
    """Store a message, redacted, as the next event of a conversation; sockets hear of it after commit.

    Args:
        author: of :class:`Event.Author`.
        client_id: chosen by the sender; the same again stores nothing and returns what was stored.
        data: what stands beside the words, such as cards of articles or choices.
        turn: of the bot: the turn that it answers.
        session_id: of the customer who speaks by a session; it is asked again.

    Raises:
        ConversationNotFound: there is none.
        SessionOver: the session ended since it was opened, as when its customer was forgotten.
        EmptyMessage, MessageTooLong: of the text.
        TurnPassed: the conversation is not at ``turn`` any more, or a person has it.
    """
    raw, (text, facts) = text, kept(text, data or {})
    conversation = locked(conversation_id)
    still_open(session_id)
    if client_id and (before := conversation.events.filter(client_id=client_id).first()):
        return Said(before, repeated=True)
    _still_its_turn(conversation, turn)
    if author == Event.Author.CUSTOMER:
        spoken_again(conversation, now)
        if hearing.may_matter(conversation, raw):
            text, facts = kept(hearing.heard(conversation, raw, now), data or {})
    kind = Event.Kind.NOTE if internal else Event.Kind.MESSAGE
    event = Event(
        kind=kind, author=author, user=user, client_id=client_id, text=text, data=facts, internal=internal, at=now
    )
    return Said(add(conversation, event))


def _still_its_turn(conversation: Conversation, turn: int | None) -> None:
    """Refuse the words of a bot that came too late.

    Raises:
        TurnPassed: the conversation is not at ``turn`` any more, or a person has it.
    """
    if turn is not None and (conversation.turn != turn or conversation.state not in owing.TALKING):
        raise TurnPassed


def kept(text: str, data: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What is stored of a message: its words redacted, with what was masked noted beside them.

    Raises:
        EmptyMessage, MessageTooLong: of the text.
    """
    text = plain(text)
    if not text.strip():
        raise EmptyMessage
    if len(text) > LONGEST:
        raise MessageTooLong
    found = redact(text)
    return found.text, dict(data) | ({"masked": found.masked} if found.masked else {})


def plain(text: str) -> str:
    """A text as the database can hold it: without null bytes and halves of surrogate pairs."""
    text = text.replace("\x00", "")
    return text if text.isascii() else text.encode("utf-8", "ignore").decode()


def locked(conversation_id: int) -> Conversation:
    """The conversation, with its row locked until the transaction ends."""
    found = Conversation.objects.select_for_update(of=("self",)).filter(pk=conversation_id).first()
    if found is None:
        raise ConversationNotFound
    return found


def still_open(session_id: int | None) -> None:
    """Refuse what comes by a session that ended meanwhile. Called while holding the row lock: whoever ends the sessions of a
    person who is forgotten holds it, too.

    Raises:
        SessionOver: it ended, its site is out of use, or its visitor was forgotten.
    """
    if session_id is None:
        return
    alive = ChatSession.objects.filter(pk=session_id, ended_at=None, site__is_active=True, visitor__erased_at=None)
    if not alive.exists():
        raise SessionOver


def spoken_again(conversation: Conversation, now: datetime) -> None:
    """Open a resolved conversation in a new context, because its customer speaks; called while holding the row lock."""
    if conversation.state != Conversation.State.RESOLVED:
        return
    conversation.state, conversation.resolution, conversation.resolved_at = Conversation.State.BOT, "", None
    conversation.assignee = conversation.first_response_at = conversation.waiting_since = conversation.ticket = None
    conversation.category, conversation.team, conversation.misses = None, None, 0
    conversation.context += 1
    conversation.version += 1
    conversation.save(
        update_fields=[
            "state", "resolution", "resolved_at", "assignee", "first_response_at", "waiting_since", "ticket", "category",
            "team", "misses", "context", "version",
        ]
    )  # fmt: skip
    kind, author = Event.Kind.STATE, Event.Author.SYSTEM
    add(conversation, Event(kind=kind, author=author, data={"state": "bot", "again": True}, at=now))


def add(conversation: Conversation, event: Event) -> Event:
    """Give an event the next ``seq`` and store it; called while holding the row lock of :func:`locked`."""
    conversation.seq += 1
    conversation.last_event_at = event.at
    changed = ["seq", "last_event_at"]
    spoke = event.author == Event.Author.CUSTOMER and event.kind != Event.Kind.RATING
    if spoke:
        conversation.turn += 1
        conversation.last_customer_at = event.at
        changed += ["turn", "last_customer_at"]
    conversation.save(update_fields=changed)
    event.conversation, event.seq = conversation, conversation.seq
    event.save(force_insert=True)
    if spoke:
        add_due(conversation, event.at, event.text)
    hint = live.Hint(
        conversation.public_id, conversation.scope_id, conversation.seq, (event.kind,), conversation.team_id
    )
    transaction.on_commit(partial(live.publish, [hint]))
    return event


def add_due(conversation: Conversation, now: datetime, text: str = "") -> None:
    """Let the bot owe an answer to what the customer just said, if the bot has the conversation; holding the row lock."""
    owing.owe(conversation, now, text)
