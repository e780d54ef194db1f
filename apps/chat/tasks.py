"""Celery tasks of the chat: they take the time and call services."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.utils import timezone

from apps.chat import closing, retention, risk, transcripts
from apps.chat.bot import handing, hearing, turns
from apps.chat.bot.lookup import proof

logger = structlog.get_logger(__name__)


@shared_task(time_limit=120, soft_time_limit=100, expires=4)
def judge_conversations() -> int:
    """Hand customers' new messages to the indicators of risks. Losing the task loses nothing: the next finds the rows."""
    return risk.judge_waiting()


@shared_task(time_limit=600, soft_time_limit=540, expires=14 * 60)
def close_quiet_conversations() -> int:
    """End conversations with the bot in which nobody wrote for long. Returns how many."""
    return closing.close_quiet(now=timezone.now())


@shared_task(time_limit=1800, soft_time_limit=1740, expires=20 * 3600)
def forget_chats() -> int:
    """Clear or delete what is past its window. Returns how many transcripts were cleared."""
    done = retention.forget(now=timezone.now())
    logger.info("chats_forgotten", transcripts=done.transcripts, files=done.files, people=done.people)
    return done.transcripts


@shared_task(time_limit=60, soft_time_limit=45, expires=60)
def answer_turn(conversation_id: int) -> None:
    """Pay the answer that the bot owes in a conversation; while its customer writes, look again a little later."""
    wait = turns.answer_one(conversation_id, timezone.now())
    if wait is not None:
        answer_turn.apply_async([conversation_id], countdown=wait)


@shared_task(time_limit=60, soft_time_limit=45, expires=4)
def answer_due_turns() -> int:
    """Pay answers whose task was lost, or whose worker died. Returns how many."""
    done = turns.answer_due(timezone.now())
    if done:
        logger.info("turns_recovered", turns=done)
    return done


@shared_task(time_limit=60, soft_time_limit=45, expires=600)
def send_code(verification_id: int) -> bool:
    """Mail a one-time code; where there is nothing to prove, nothing is mailed. Returns whether nothing is left to do."""
    return proof.send(verification_id, timezone.now())


@shared_task(time_limit=120, soft_time_limit=100, expires=25)
def send_codes() -> int:
    """Mail codes whose task was lost or whose mail failed. Returns how many were tried."""
    now = timezone.now()
    waiting = proof.unsent(now)
    for key in waiting:
        proof.send(key, now)
    return len(waiting)


@shared_task(time_limit=120, soft_time_limit=100, expires=55)
def rescue_waiting() -> int:
    """Make tickets of conversations that wait where nobody will come, and forget answers that did not. Returns how many."""
    now = timezone.now()
    hearing.forget(now)
    done = handing.rescue(now)
    if done:
        logger.info("conversations_rescued", conversations=done)
    return done


@shared_task(time_limit=300, soft_time_limit=270, expires=240)
def mail_transcripts() -> int:
    """Send the transcripts that customers asked for. Returns how many were sent."""
    return transcripts.send_due(timezone.now())
