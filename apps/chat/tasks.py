"""Celery tasks of the chat: they take the time and call services."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.utils import timezone

from apps.chat import closing, retention, risk

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
