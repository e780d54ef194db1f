"""What customers think of how it went, and their own end of a conversation."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.chat import conversations
from apps.chat.models import Conversation, Event, Rating
from apps.chat.refusals import BadRequest, WrongState
from apps.chat.saying import add, locked, plain, still_open
from apps.core.redaction import redact

LONGEST_COMMENT = 1_000
WORST, BEST = 1, 5


@transaction.atomic
def rate(*, conversation_id: int, score: int, comment: str, now: datetime, session_id: int | None = None) -> Rating:
    """Rate the present context; the last word counts, and nothing is stored twice for the same word.

    Args:
        score: from 1, very bad, to 5, very good.
        comment: redacted before it is stored.
        session_id: of the customer who rates; it is asked again.

    Raises:
        SessionOver: the session ended since it was opened.
        ConversationNotFound: there is none.
        BadRequest: there is no such score, or the comment is too long.
        WrongState: nothing was said yet.
    """
    if not WORST <= score <= BEST or len(comment) > LONGEST_COMMENT:
        raise BadRequest
    kept = redact(plain(comment.strip())).text[:LONGEST_COMMENT]
    conversation = locked(conversation_id)
    still_open(session_id)
    if not conversation.seq:
        raise WrongState
    before = conversation.ratings.filter(context=conversation.context).first()
    if before is not None and (before.score, before.comment) == (score, kept):
        return before
    facts = {"score": score, "comment": kept, "resolved_by": answered_by(conversation), "at": now}
    rating, _made = Rating.objects.update_or_create(
        conversation=conversation, context=conversation.context, defaults=facts
    )
    kind, author = Event.Kind.RATING, Event.Author.CUSTOMER
    add(conversation, Event(kind=kind, author=author, text=kept, data={"score": score}, at=now))
    return rating


def answered_by(conversation: Conversation) -> str:
    """Who had the present context: ``person`` if somebody of the staff spoke in it, else ``bot``."""
    return "person" if conversation.first_response_at or conversation.assignee_id else "bot"


def end(*, conversation_id: int, helped: bool, now: datetime) -> Conversation:
    """Resolve a conversation because its customer says so; one that is resolved already stays as it is.

    Args:
        helped: whether the customer says that it was answered.

    Raises:
        ConversationNotFound: there is none.
    """
    Resolution, State = Conversation.Resolution, Conversation.State
    with transaction.atomic():
        conversation = locked(conversation_id)
        if conversation.state == State.RESOLVED:
            return conversation
        if answered_by(conversation) == "person":
            how = Resolution.PERSON
        else:
            how = Resolution.CONFIRMED if helped else Resolution.LEFT
        return conversations.resolve(conversation_id, None, seen_version=None, now=now, resolution=how)
