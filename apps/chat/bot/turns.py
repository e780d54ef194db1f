"""Paying the answers that the bot owes: claimed with a lease, worked on outside transactions, stored if still wanted.

Whoever claims a turn has it for :data:`LEASE`; if that worker dies, the turn is due again when the lease is over. The
answer is stored only if the conversation is still at that turn and no person has it, both seen under the row lock of the
conversation; so a message that comes meanwhile, or a person who takes over, makes the answer void, atomically.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import structlog
from django.db import InterfaceError, OperationalError, transaction

from apps.chat.bot import metrics, thinking
from apps.chat.bot.owing import TALKING
from apps.chat.bot.replies import Reply
from apps.chat.models import BotTurn, Conversation, Event, Handoff
from apps.chat.refusals import TurnPassed
from apps.chat.saying import locked, say
from apps.knowledge.answers import forget_questions

logger = structlog.get_logger(__name__)

LEASE = timedelta(seconds=20)
TRIES = 3
BATCH = 50


def answer_due(now: datetime) -> int:
    """Pay the answers that are due, as many as a look takes; those that another worker has are passed over.

    Returns:
        How many were worked on.
    """
    count = 0
    while count < BATCH and (turn := claim(now)):
        work(turn, now)
        count += 1
    return count


def answer_one(conversation_id: int, now: datetime) -> float | None:
    """Pay the answer of one conversation.

    Returns:
        Seconds until it is worth trying again, as when the customer is still writing; None if there is nothing to do.
    """
    turn = claim(now, conversation_id)
    if turn:
        work(turn, now)
        return None
    later = BotTurn.objects.filter(conversation=conversation_id, state=BotTurn.State.DUE, tries=0).first()
    return max(0.05, (later.due_at - now).total_seconds()) if later else None


@transaction.atomic
def claim(now: datetime, conversation_id: int | None = None) -> BotTurn | None:
    """Take a due turn for :data:`LEASE`, or None. The transaction ends before the work begins."""
    due = BotTurn.objects.filter(state=BotTurn.State.DUE, due_at__lte=now).order_by("due_at")
    if conversation_id is not None:
        due = due.filter(conversation=conversation_id)
    turn = due.select_for_update(skip_locked=True, of=("self",)).first()
    if turn is None:
        return None
    turn.due_at, turn.tries = now + LEASE, turn.tries + 1
    turn.save(update_fields=["due_at", "tries"])
    return turn


def work(turn: BotTurn, now: datetime) -> None:
    """Find the answer of a claimed turn and store it, if it is still wanted. What fails is tried again, then handed off."""
    began = time.monotonic()
    try:
        if turn.tries > TRIES:  # workers died over it
            give_up(turn, now, "")
            return
        reply = thinking.reply_to(turn, now)
        deliver(turn, reply, now + timedelta(seconds=time.monotonic() - began))
    except TurnPassed:
        metrics.turns_total.labels("passed").inc()
        _passed(turn, now)
    except (OperationalError, InterfaceError):
        raise  # the database is away: the lease brings the turn back
    except Exception as error:  # one conversation's mistake must not hold up the others
        logger.exception("bot_failed", conversation=turn.conversation_id, turn=turn.turn)
        _failed(turn, now, type(error).__name__)


def _passed(turn: BotTurn, now: datetime) -> None:
    """Close a turn that nobody wants any more; one that was moved on to a newer message stays due."""
    same = BotTurn.objects.filter(pk=turn.pk, state=BotTurn.State.DUE, turn=turn.turn)
    same.update(state=BotTurn.State.CANCELLED, finished_at=now)
    if Conversation.objects.filter(pk=turn.conversation_id, visitor__erased_at__isnull=False).exists():
        # The customer was forgotten while the search noted what they asked.
        forget_questions([f"conversation:{turn.conversation_id}"])


def _failed(turn: BotTurn, now: datetime, why: str) -> None:
    if turn.tries >= TRIES:
        give_up(turn, now, why)
        return
    same = BotTurn.objects.filter(pk=turn.pk, state=BotTurn.State.DUE, turn=turn.turn)
    same.update(due_at=now + timedelta(seconds=turn.tries), error=why[:200])


@transaction.atomic
def give_up(turn: BotTurn, now: datetime, why: str) -> None:
    """The bot cannot answer: a person has to."""
    from apps.chat.bot.handing import hand_off

    conversation = locked(turn.conversation_id)
    same = BotTurn.objects.filter(pk=turn.pk, state=BotTurn.State.DUE, turn=turn.turn)
    if same.update(state=BotTurn.State.FAILED, outcome=BotTurn.Outcome.HANDED_OFF, error=why[:200], finished_at=now):
        metrics.turns_total.labels("failed").inc()
        if conversation.state == Conversation.State.BOT:
            hand_off(conversation.pk, Handoff.Reason.FAILURE, now=now)


@transaction.atomic
def deliver(turn: BotTurn, reply: Reply, now: datetime) -> Event | None:
    """Store an answer with what follows from it, all or nothing.

    Raises:
        TurnPassed: the customer wrote on, or a person took over; nothing was done.
    """
    conversation = locked(turn.conversation_id)
    if conversation.turn != turn.turn or conversation.state not in TALKING:
        raise TurnPassed
    if not _settle(turn, reply, now):  # a worker that took longer than its lease: another one has answered
        raise TurnPassed
    event = None
    if reply.text:
        event = say(
            conversation_id=conversation.pk, author=Event.Author.BOT, text=reply.text, data=reply.data, now=now,
            turn=turn.turn,
        ).event  # fmt: skip
    _remember(conversation, reply)
    for effect in reply.effects:
        effect(conversation, now)
    _measure(conversation, reply, now)
    return event


def _remember(conversation: Conversation, reply: Reply) -> None:
    """Note misses and language, where they changed; the rest of the row was changed by :func:`say` on an object of its own."""
    language = reply.language or conversation.language
    if (conversation.misses, conversation.language) != (reply.misses, language):
        Conversation.objects.filter(pk=conversation.pk).update(misses=reply.misses, language=language)
    if reply.effects:
        conversation.refresh_from_db()


def _settle(turn: BotTurn, reply: Reply, now: datetime) -> bool:
    due = BotTurn.objects.filter(pk=turn.pk, state=BotTurn.State.DUE, turn=turn.turn)
    facts = {"outcome": reply.outcome, "action": reply.action, "asked": reply.asked}
    return bool(due.update(state=BotTurn.State.DONE, finished_at=now, error="", **facts))


def _measure(conversation: Conversation, reply: Reply, now: datetime) -> None:
    asked_at = conversation.last_customer_at
    if asked_at is not None:
        metrics.answer_seconds.observe(max(0.0, (now - asked_at).total_seconds()))
    metrics.turns_total.labels(reply.outcome).inc()
