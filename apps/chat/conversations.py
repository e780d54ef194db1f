"""What members of staff do with conversations: take, answer, give on, resolve, reopen.

Each is one transaction that holds the conversation's row lock. What changes its state, team or person is bound to the
version that was seen, and stands in the decision log. Whoever takes a conversation from the bot takes the bot's turn away
in the same transaction, so that nothing of the bot's comes after a person's arrival.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.chat.binding import OPEN, TALK, VIEW, State, authorise, bind, called, entry, held, moved
from apps.chat.models import BotTurn, Conversation, Event, Handoff
from apps.chat.refusals import CannotGive, EmptyMessage, NotYours
from apps.chat.saying import LONGEST, Said, say
from apps.chat.telling import KIND, tell_team
from apps.core.decisions import record
from apps.core.models import User
from apps.core.notifications import notify
from apps.core.redaction import redact
from apps.core.scope import may_work_in
from apps.escalation.models import Team

Resolution = Conversation.Resolution


def turn_over(conversation: Conversation, now: datetime) -> None:
    """Take the bot's turn away; called while holding the row lock, and saved by the caller.

    A bot that is thinking now finds another turn when it wants to speak; a due answer is not begun any more.
    """
    conversation.turn += 1
    conversation.bot_turns.filter(state=BotTurn.State.DUE).update(state=BotTurn.State.CANCELLED, finished_at=now)


@transaction.atomic
def take(conversation_id: int, user: User, seen_version: int | None, now: datetime) -> Conversation:
    """Let a person have a conversation, whoever had it before: the bot, the queue or a colleague.

    Raises:
        NotAllowed, ConversationNotFound: not for this person.
        ConversationChanged, WrongState: it is not what was seen, or resolved.
    """
    conversation = held(conversation_id, user)
    if conversation.state == State.PERSON and conversation.assignee_id == user.pk:
        return conversation
    bind(conversation, seen_version)
    before, had = conversation.state, conversation.assignee_id
    _given_to(conversation, user, now)
    moved(
        conversation, now, kind=Event.Kind.ASSIGNED, by=user, what="taken", name=called(user),
        text=f"{called(user)} joined the conversation.",
    )  # fmt: skip
    record(entry(conversation, user, "conversation_taken", before=before, had_by=had))
    return conversation


@transaction.atomic
def assign(
    conversation_id: int, user: User, *, to: User, seen_version: int | None, now: datetime, why: str = ""
) -> Conversation:
    """Give a conversation to a person.

    Args:
        why: a private note for whoever gets it; may be empty.

    Raises:
        CannotGive: the person may not talk with customers, or does not see the conversation.
        NotAllowed, ConversationNotFound, ConversationChanged, WrongState: as for :func:`take`.
    """
    if to.pk == user.pk:
        return take(conversation_id, user, seen_version, now)
    conversation = held(conversation_id, user)
    bind(conversation, seen_version)
    if not may_have(to, conversation):
        raise CannotGive(f"{to} cannot take this conversation: another role or scope.")
    had = conversation.assignee_id
    _given_to(conversation, to, now)
    moved(
        conversation, now, kind=Event.Kind.ASSIGNED, by=user, what="assigned", name=called(to),
        text=f"{called(to)} joined the conversation.",
    )  # fmt: skip
    if why.strip():
        _handed_on(conversation, now, by=user, why=why, accepted_by=to)
    _tell(conversation, to, user, why)
    record(entry(conversation, user, "conversation_assigned", why, assignee=to.pk, had_by=had))
    return conversation


@transaction.atomic
def transfer(
    conversation_id: int, user: User, *, to: User | Team, why: str, seen_version: int | None, now: datetime
) -> Conversation:
    """Give a conversation on, to a person or to a team's queue, with a note of what they need to know.

    Raises:
        EmptyMessage: nothing to tell them.
        CannotGive: the person cannot take it, or the team is not in use.
        NotAllowed, ConversationNotFound, ConversationChanged, WrongState: as for :func:`take`.
    """
    if not why.strip():
        raise EmptyMessage("Say in a sentence what they need to know.")
    if isinstance(to, User):
        return assign(conversation_id, user, to=to, why=why, seen_version=seen_version, now=now)
    conversation = held(conversation_id, user)
    bind(conversation, seen_version)
    if not to.active:
        raise CannotGive(f"{to} is not in use.")
    had, team = conversation.assignee_id, conversation.team_id
    turn_over(conversation, now)
    conversation.state, conversation.team, conversation.assignee = State.WAITING, to, None
    conversation.waiting_since = now
    moved(
        conversation, now, kind=Event.Kind.STATE, by=user, what="transferred", team=to.name,
        text=f"Your conversation goes on with {to.name}.",
    )  # fmt: skip
    _handed_on(conversation, now, by=user, why=why)
    tell_team(conversation, to, f"{called(user)} gave it on", but=user)
    record(entry(conversation, user, "conversation_transferred", why, team=to.pk, from_team=team, had_by=had))
    return conversation


@transaction.atomic
def resolve(
    conversation_id: int,
    user: User | None,
    *,
    seen_version: int | None,
    now: datetime,
    resolution: str = Resolution.PERSON,
) -> Conversation:
    """End a conversation's context; what the customer writes next begins a new one.

    Args:
        user: None for the system.

    Raises:
        NotAllowed, ConversationNotFound, ConversationChanged, WrongState: as for :func:`take`.
    """
    conversation = held(conversation_id, user)
    bind(conversation, seen_version)
    before = conversation.state
    turn_over(conversation, now)
    conversation.handoffs.filter(closed_at=None).update(closed_at=now)
    conversation.state, conversation.resolution = State.RESOLVED, resolution
    conversation.resolved_at, conversation.waiting_since = now, None
    moved(
        conversation, now, kind=Event.Kind.STATE, by=user, what="resolved", resolution=resolution,
        text="The conversation was resolved. Write again whenever you like.",
    )  # fmt: skip
    record(entry(conversation, user, "conversation_resolved", resolution=resolution, before=before))
    return conversation


@transaction.atomic
def reopen(conversation_id: int, user: User, seen_version: int | None, now: datetime) -> Conversation:
    """Go on with a resolved conversation, in a new context and in the hands of who reopens it.

    Raises:
        NotAllowed, ConversationNotFound, ConversationChanged, WrongState: as for :func:`take`; it is not resolved.
    """
    conversation = held(conversation_id, user)
    bind(conversation, seen_version, (State.RESOLVED,))
    begin_again(conversation)
    _given_to(conversation, user, now)
    moved(
        conversation, now, kind=Event.Kind.STATE, by=user, what="reopened", name=called(user),
        text=f"{called(user)} reopened the conversation.",
    )  # fmt: skip
    record(entry(conversation, user, "conversation_reopened", context=conversation.context))
    return conversation


def begin_again(conversation: Conversation) -> None:
    """Leave what was resolved behind; called while holding the row lock, and saved by the caller with its new state."""
    conversation.context += 1
    conversation.misses = 0
    conversation.resolved_at = conversation.first_response_at = None
    conversation.resolution = ""


@transaction.atomic
def reply(
    conversation_id: int,
    user: User,
    *,
    text: str,
    client_id: UUID,
    now: datetime,
    data: dict[str, object] | None = None,
) -> Said:
    """Answer the customer, as the person who has the conversation.

    Raises:
        NotYours: somebody else has it, or nobody.
        EmptyMessage, MessageTooLong: of the text.
        NotAllowed, ConversationNotFound: not for this person.
    """
    conversation = held(conversation_id, user)
    before = conversation.events.filter(client_id=client_id, user=user).first()
    if before:
        return Said(before, repeated=True)
    if conversation.state != State.PERSON or conversation.assignee_id != user.pk:
        raise NotYours
    said = say(
        conversation_id=conversation_id, author=Event.Author.AGENT, text=text, now=now, client_id=client_id, user=user,
        data={**(data or {}), "name": called(user)},
    )  # fmt: skip
    Conversation.objects.filter(pk=conversation_id, first_response_at=None).update(first_response_at=now)
    return said


@transaction.atomic
def note(conversation_id: int, user: User, *, text: str, client_id: UUID, now: datetime) -> Said:
    """Write something that only staff sees; whoever may talk with customers and sees the conversation can.

    Raises:
        EmptyMessage, MessageTooLong: of the text.
        NotAllowed, ConversationNotFound: not for this person.
    """
    held(conversation_id, user)
    return say(
        conversation_id=conversation_id, author=Event.Author.AGENT, text=text, now=now, client_id=client_id, user=user,
        internal=True,
    )  # fmt: skip


@transaction.atomic
def read(conversation_id: int, user: User, seq: int) -> bool:
    """Note that the person who has a conversation saw it up to ``seq``; what others see does not count as read.

    Returns:
        Whether that is news.
    """
    authorise(user, VIEW)
    mine = Conversation.objects.visible_to(user).filter(pk=conversation_id, assignee=user, seq__gte=seq)
    return bool(mine.filter(staff_read_seq__lt=seq).update(staff_read_seq=seq))


def may_have(person: User, conversation: Conversation) -> bool:
    """Whether a person could take a conversation."""
    if not (person.is_active and person.has_perms([VIEW, TALK])):
        return False
    team = conversation.team
    return may_work_in(person, conversation.scope) or bool(team and may_work_in(person, team.scope))


def _given_to(conversation: Conversation, user: User, now: datetime) -> None:
    turn_over(conversation, now)
    conversation.handoffs.filter(accepted_at=None, closed_at=None).update(accepted_at=now, accepted_by=user)
    conversation.state, conversation.assignee, conversation.waiting_since = State.PERSON, user, None


def _handed_on(
    conversation: Conversation, now: datetime, *, by: User, why: str, accepted_by: User | None = None
) -> None:
    """Write down what whoever gets the conversation needs to know, for the desk and as a private note."""
    kept = redact(why.strip()[:LONGEST].replace("\x00", "")).text
    conversation.handoffs.filter(accepted_at=None, closed_at=None).update(closed_at=now)
    Handoff.objects.create(
        conversation=conversation, context=conversation.context, reason=Handoff.Reason.TRANSFER,
        category=conversation.category, team=conversation.team, summary=kept, transcript_to_seq=conversation.seq,
        requested_at=now, accepted_at=now if accepted_by else None, accepted_by=accepted_by,
    )  # fmt: skip
    say(conversation_id=conversation.pk, author=Event.Author.AGENT, text=kept, now=now, user=by, internal=True)


def _tell(conversation: Conversation, person: User, by: User, why: str) -> None:
    notify(
        kind=KIND,
        recipients=[person],
        title=f"{by} gave you a conversation",
        body=why.strip()[:500] or str(conversation),
        url=f"/admin/chat/desk/{conversation.public_id}/",
        dedupe_key=f"conversation:{conversation.pk}:assigned:{conversation.version}",
    )


__all__ = [
    "OPEN", "assign", "begin_again", "may_have", "note", "read", "reopen", "reply", "resolve", "take", "transfer",
    "turn_over",
]  # fmt: skip
