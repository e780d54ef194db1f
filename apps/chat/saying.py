"""Adding events to a conversation: the one place where ``seq`` is given out.

Whoever adds holds the conversation's row lock until commit, so that events become visible in the order of ``seq`` and
readers of "events after N" never miss one that commits late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.chat.models import Conversation, Event
from apps.chat.refusals import ConversationNotFound, EmptyMessage, MessageTooLong, TurnPassed
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
) -> Said:
    """Store a message, redacted, as the next event of a conversation.

    Args:
        author: of :class:`Event.Author`.
        client_id: chosen by the sender; the same again stores nothing and returns what was stored.
        data: what stands beside the words, such as cards of articles or choices.
        turn: of the bot: the turn that it answers.

    Raises:
        ConversationNotFound: there is none.
        EmptyMessage, MessageTooLong: of the text.
        TurnPassed: the conversation is not at ``turn`` any more, or a person has it.
    """
    if not text.strip():
        raise EmptyMessage
    if len(text) > LONGEST:
        raise MessageTooLong
    kept = redact(text.replace("\x00", ""))
    conversation = locked(conversation_id)
    if client_id and (before := conversation.events.filter(client_id=client_id).first()):
        return Said(before, repeated=True)
    if turn is not None and (conversation.turn != turn or conversation.state != Conversation.State.BOT):
        raise TurnPassed
    facts = dict(data or {}) | ({"masked": kept.masked} if kept.masked else {})
    event = add(
        conversation,
        Event(
            kind=Event.Kind.NOTE if internal else Event.Kind.MESSAGE,
            author=author,
            user=user,
            client_id=client_id,
            text=kept.text,
            data=facts,
            internal=internal,
            at=now,
        ),
    )
    return Said(event)


def locked(conversation_id: int) -> Conversation:
    """The conversation, with its row locked until the transaction ends."""
    found = Conversation.objects.select_for_update(of=("self",)).filter(pk=conversation_id).first()
    if found is None:
        raise ConversationNotFound
    return found


def add(conversation: Conversation, event: Event) -> Event:
    """Give an event the next ``seq`` and store it; called while holding the row lock of :func:`locked`."""
    conversation.seq += 1
    conversation.last_event_at = event.at
    changed = ["seq", "last_event_at"]
    if event.author == Event.Author.CUSTOMER:
        conversation.turn += 1
        conversation.last_customer_at = event.at
        changed += ["turn", "last_customer_at"]
    conversation.save(update_fields=changed)
    event.conversation, event.seq = conversation, conversation.seq
    event.save(force_insert=True)
    return event
