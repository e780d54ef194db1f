"""Conversations that nobody writes in any more end by themselves."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.chat.conversations import resolve
from apps.chat.models import BotTurn, Conversation, Event
from apps.core.errors import DomainError

QUIET = timedelta(hours=12)
BATCH = 500


def close_quiet(*, now: datetime) -> int:
    """End what has been with the bot alone and quiet for long: answered, so presumably solved; or left. Returns how many."""
    quiet = Conversation.objects.filter(state=Conversation.State.BOT, last_event_at__lt=now - QUIET)
    return sum(_end(one, now) for one in quiet.order_by("last_event_at")[:BATCH])


def _end(conversation: Conversation, now: datetime) -> bool:
    try:
        resolve(conversation.pk, None, seen_version=conversation.version, now=now, resolution=_how(conversation))
    except DomainError:  # it moved meanwhile: it is not quiet
        return False
    return True


def _how(conversation: Conversation) -> str:
    """Presumably solved where the bot's last turn of this context answered something."""
    last = conversation.bot_turns.filter(context=conversation.context).order_by("-pk").first()
    helped = (BotTurn.Outcome.ANSWERED, BotTurn.Outcome.CHOICES, BotTurn.Outcome.LOOKED_UP)
    said = conversation.events.filter(author=Event.Author.CUSTOMER).exists()
    answered = said and last is not None and last.outcome in helped
    return Conversation.Resolution.ASSUMED if answered else Conversation.Resolution.LEFT
