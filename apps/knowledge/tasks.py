"""Celery tasks of the knowledge base: they take the time and call services."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.utils import timezone

from apps.knowledge import gaps, keeping, reviewing
from apps.knowledge.indexing import build_more, index_left
from apps.knowledge.indexing import index_articles as index_articles

logger = structlog.get_logger(__name__)


@shared_task(time_limit=120, soft_time_limit=100, expires=55)
def publish_articles() -> int:
    """Put versions live whose time has come. Returns how many."""
    done = reviewing.publish_due(timezone.now())
    if done:
        logger.info("articles_published", versions=done)
    return done


@shared_task(time_limit=600, soft_time_limit=540, expires=4 * 60)
def complete_index() -> int:
    """Index what lost tasks left, embed what has no vector of the model in use, and go on with what is being built.

    Returns how much was left by lost tasks.
    """
    done = index_left()
    build_more(timezone.now())
    return done


@shared_task(time_limit=600, soft_time_limit=540, expires=20 * 3600)
def keep_articles() -> tuple[int, int]:
    """Remind owners, and give articles of people who left to others. Returns how many of each."""
    now = timezone.now()
    given, reminded = keeping.reassign_left(now), keeping.remind(now)
    logger.info("articles_kept", reassigned=given, reminded=reminded)
    return given, reminded


@shared_task(time_limit=600, soft_time_limit=540, expires=14 * 60)
def collect_gaps() -> int:
    """Put missed questions into gaps. Returns how many."""
    done = gaps.collect()
    if done:
        logger.info("gaps_collected", questions=done)
    return done


@shared_task(time_limit=1_800, soft_time_limit=1_700, expires=20 * 3600)
def check_gaps() -> int:
    """Close gaps whose questions are answered now. Returns how many."""
    done = gaps.recheck(timezone.now())
    logger.info("gaps_checked", closed=done)
    return done
