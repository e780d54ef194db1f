"""What every act of a member of staff has in common: who may, whether it is still what was seen, and the record."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.chat.models import Conversation, Event
from apps.chat.refusals import ConversationChanged, ConversationNotFound, NotAllowed, WrongState
from apps.chat.saying import add, locked
from apps.core.decisions import Entry
from apps.core.models import User

VIEW = "chat.view_conversation"
TALK = "chat.chat_with_customer"
AREA = "chat"
SYSTEM = "system:chat"

State = Conversation.State
OPEN = (State.BOT, State.WAITING, State.PERSON)


def authorise(actor: User, needs: str = TALK) -> None:
    """Refuse who may not see conversations, or not do this.

    Raises:
        NotAllowed: the person's role does not include it.
    """
    if not actor.is_active or not actor.has_perms([VIEW, needs]):
        raise NotAllowed


def seen_by(actor: User, public_id: UUID) -> Conversation:
    """A conversation that a person may see.

    Raises:
        NotAllowed, ConversationNotFound: the role reads none, or there is none for this person.
    """
    authorise(actor, VIEW)
    found: Conversation | None = (
        Conversation.objects.visible_to(actor)
        .select_related("site", "scope", "visitor", "category", "team__calendar", "assignee", "ticket")
        .filter(public_id=public_id)
        .first()
    )
    if found is None:
        raise ConversationNotFound
    return found


def held(conversation_id: int, actor: User | None) -> Conversation:
    """The conversation, with its row locked until the transaction ends.

    Args:
        actor: None for the system.

    Raises:
        NotAllowed, ConversationNotFound: the role does not include talking, or it is not there for this person.
    """
    if actor:
        authorise(actor)
    conversation = locked(conversation_id)
    if actor and not Conversation.objects.visible_to(actor).filter(pk=conversation_id).exists():
        raise ConversationNotFound
    return conversation


def bind(conversation: Conversation, seen_version: int | None, states: Collection[str] = OPEN) -> None:
    """Refuse if the conversation is not what was seen, or in none of these states.

    Args:
        seen_version: None for what needs no version.

    Raises:
        ConversationChanged, WrongState: nothing was done.
    """
    if seen_version is not None and conversation.version != seen_version:
        raise ConversationChanged(conversation.version)
    if conversation.state not in states:
        raise WrongState(f"The conversation is {conversation.get_state_display().lower()}.")


def moved(
    conversation: Conversation, now: datetime, *, kind: str, text: str, by: User | None, what: str, **facts: Any
) -> Event:
    """Write a new state, team or person with the next version, and the event that tells everybody of it.

    Args:
        text: for the customer, in plain words; what staff alone should know is said in a note.
        what: a code, from which the widget makes words of another language.
    """
    conversation.version += 1
    conversation.save(
        update_fields=[
            "state", "team", "assignee", "turn", "context", "misses", "waiting_since", "first_response_at", "resolved_at",
            "resolution", "version",
        ]
    )  # fmt: skip
    return add(
        conversation,
        Event(
            kind=kind, author=Event.Author.SYSTEM, user=by, text=text, at=now,
            data={"what": what, "state": conversation.state, **facts},
        ),
    )  # fmt: skip


def entry(conversation: Conversation, actor: User | None, action: str, rationale: str = "", **payload: Any) -> Entry:
    """What stands in the decision log about a conversation."""
    return Entry(
        scope=AREA,
        actor=actor or SYSTEM,
        action=action,
        subject=f"conversation:{conversation.pk}",
        rationale=rationale,
        evidence_url=f"/admin/chat/desk/{conversation.public_id}/",
        payload={"version": conversation.version, "state": conversation.state, "seq": conversation.seq, **payload},
    )


def called(user: User) -> str:
    """How customers know a member of staff: by the first name, where there is one."""
    return user.first_name or user.get_full_name() or user.get_username()
