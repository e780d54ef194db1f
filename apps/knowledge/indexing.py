"""Having the index follow the articles."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from celery import shared_task
from django.db import transaction
from django.db.models import F

from apps.knowledge.models import IndexBuild, SearchIndex
from apps.knowledge.rebuilding import BuildRunning, begin_change, forget_former_models, proceed
from apps.knowledge.search import passages
from apps.knowledge.search.embedding import EmbeddingFailed
from apps.knowledge.search.in_use import model_in_use

logger = structlog.get_logger(__name__)


def index_after_commit(article_id: int) -> None:
    """Have a worker index an article once the transaction is through. A lost task loses nothing: see :func:`index_left`."""
    transaction.on_commit(lambda: index_articles.apply_async(args=[[article_id]], retry=False), robust=True)


def count_change() -> None:
    """Have answers that are kept be found anew, after something changed what a question means, such as synonyms."""
    SearchIndex.objects.update(generation=F("generation") + 1)


@shared_task(name="apps.knowledge.tasks.index_articles", time_limit=300, soft_time_limit=270, expires=3600)
def index_articles(articles: list[int]) -> int:
    """Make the passages of articles anew; doing it twice does no harm. Returns how many passages there are."""
    made = passages.index(articles)
    logger.info("articles_indexed", articles=len(articles), passages=made)
    return made


def index_left(*, most: int = 500) -> int:
    """Index articles whose passages are not what they should be, and give vectors to passages without one.

    Args:
        most: articles, and passages, in one turn.

    Returns:
        how many articles and passages were done.
    """
    left = list(passages.to_index().order_by("pk").values_list("pk", flat=True)[:most])
    left += passages.to_forget().order_by("pk").values_list("pk", flat=True)[:most]
    for start in range(0, len(left), 20):
        passages.index(left[start : start + 20])
    done = 0
    with suppress(EmbeddingFailed):  # it is counted and logged where it fails, and tried again in the next turn
        model = model_in_use()
        while model is not None and done < most and (made := passages.embed(model)):
            done += made
    return len(left) + done


def build_more(now: datetime, *, at_most: timedelta = timedelta(minutes=4)) -> list[IndexBuild]:
    """Go on with what is under way (a rebuild, a change of the embedding model), and tidy up after a change.

    Returns:
        the builds that somebody waits for, as they are now.
    """
    begin_change(now)
    running = list(IndexBuild.objects.filter(state=IndexBuild.State.RUNNING).order_by("started_at"))
    for build in running:
        with suppress(BuildRunning):
            proceed(build, at_most=at_most / len(running))
    forget_former_models(now)
    return running
