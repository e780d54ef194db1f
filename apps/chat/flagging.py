"""Raising a risk flag from a conversation: the form begins with what was said, and the flag is noted there."""

from __future__ import annotations

from datetime import datetime

from apps.chat.models import Conversation, Event
from apps.chat.saying import add, locked
from apps.core.models import User
from apps.escalation.models import RiskFlag
from apps.escalation.origins import Origin, origin

KIND = "conversation"
_FIRST, _LAST = 3, 8
"""Words of the customer that describe it, and lines of the talk that the form begins with."""


def find(user: User, key: int) -> Origin | None:
    """What a flag begins with; None where the person may not see the conversation."""
    found = Conversation.objects.visible_to(user).select_related("scope", "visitor", "team", "category").filter(pk=key)
    conversation = found.first()
    if conversation is None:
        return None
    handoff = conversation.handoffs.filter(context=conversation.context).first()
    said = list(conversation.events.said().order_by("-seq")[:_LAST])[::-1]
    words = conversation.events.said().filter(author=Event.Author.CUSTOMER).order_by("-seq")[:_FIRST]
    facts = {
        "title": conversation.subject
        or (handoff.summary[:120] if handoff else "")
        or f"Conversation {conversation.pk}",
        "description": (handoff.summary if handoff else "") or "\n\n".join(event.text for event in reversed(words)),
        "affected_count": 1,
        "affected_customers": conversation.visitor.name or conversation.visitor.email,
        "communications": "\n".join(
            f"{event.at:%Y-%m-%d %H:%M} {event.get_author_display()}: {event.text[:200]}" for event in said
        ),
    }
    entry = {
        "source": "conversation", "query": str(conversation.public_id), "at": conversation.last_event_at.isoformat(),
        "data": {
            "subject": str(conversation), "state": conversation.get_state_display(), "up_to_seq": conversation.seq,
            "category": str(conversation.category or ""), "team": str(conversation.team or ""),
        },
    }  # fmt: skip
    references = [f"conversation:{conversation.pk}"]
    references += [f"ticket:{conversation.ticket_id}"] if conversation.ticket_id else []
    return Origin(conversation.scope, facts, tuple(references), (entry,))


def linked(flag: RiskFlag, key: int, actor: User, now: datetime) -> None:
    """Note the flag in the conversation, for staff alone."""
    add(
        locked(key),
        Event(
            kind=Event.Kind.NOTE, author=Event.Author.SYSTEM, user=actor, internal=True, at=now,
            text=f"Raised a risk flag: {flag.title}",
            data={"flag": flag.pk, "level": flag.get_level_display()},
        ),
    )  # fmt: skip


def offer() -> None:
    """Let the form of flags begin with a conversation."""
    origin(KIND, find, linked)
