"""Making the search index anew, and changing to another embedding model, while questions go on being answered.

Both are rows (:class:`~apps.knowledge.models.IndexBuild`) that say how far they are. Whoever dies leaves his row running;
the next one goes on from it. Only one process works at a row at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog
from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from apps.core.errors import DomainError
from apps.core.models import User
from apps.knowledge.models import Article, IndexBuild, Passage, PassageVector, SearchIndex
from apps.knowledge.search import passages
from apps.knowledge.search.embedding import EmbeddingFailed, embedder, wanted

logger = structlog.get_logger(__name__)

CHUNK = 20
"""Articles that are indexed in one transaction."""
GRACE = timedelta(minutes=10)
"""For so long the former model's vectors stay, for questions that are being answered and for going back."""
FORGOTTEN = 5_000
"""Vectors of a former model that are deleted in one statement."""
_LOCK = 7_246_906  # class of advisory locks, any constant
_KINDS = {IndexBuild.Kind.REBUILD: 1, IndexBuild.Kind.VECTORS: 2}

Clock = Callable[[], datetime]
Told = Callable[[IndexBuild], None]


class BuildRunning(DomainError):
    """Somebody else is at it."""

    code = "build_running"
    message = "Another process is building the index."


@transaction.atomic
def begin_rebuild(now: datetime, *, actor: User | None = None) -> IndexBuild:
    """The rebuild that is under way, or a new one. It is carried out by :func:`proceed`, here or by a worker."""
    facts = {"started_at": now, "updated_at": now, "started_by": actor, "total": Article.objects.count()}
    return IndexBuild.objects.get_or_create(
        kind=IndexBuild.Kind.REBUILD, state=IndexBuild.State.RUNNING, defaults=facts
    )[0]


def begin_change(now: datetime) -> IndexBuild | None:
    """The change to the wanted embedding model, if another one answers; else None.

    A change to a model that is no longer wanted is given up. Where no vectors answer yet, the wanted ones do at once.
    """
    SearchIndex.objects.get_or_create(pk=1)
    SearchIndex.objects.filter(model="").update(model=wanted(), model_since=now)
    running = IndexBuild.objects.filter(kind=IndexBuild.Kind.VECTORS, state=IndexBuild.State.RUNNING)
    needed = not SearchIndex.objects.filter(model=wanted()).exists()
    past = running.exclude(model=wanted()) if needed else running
    past.update(state=IndexBuild.State.GIVEN_UP, finished_at=now, updated_at=now)
    if not needed:
        return None
    facts = {"model": wanted(), "started_at": now, "updated_at": now, "total": Passage.objects.count()}
    return running.get_or_create(kind=IndexBuild.Kind.VECTORS, state=IndexBuild.State.RUNNING, defaults=facts)[0]


def proceed(
    build: IndexBuild, *, at_most: timedelta | None = None, clock: Clock = timezone.now, told: Told = lambda _: None
) -> IndexBuild:
    """Go on with a build until it is done, or for a while.

    Args:
        at_most: how long, the chunk that is being done then not counted; None: until it is done.
        clock: read after each chunk.
        told: called after each chunk with the row as it is then.

    Returns:
        the row; its ``state`` says whether it is done.

    Raises:
        BuildRunning: another process works at it.
    """
    step = _index_more if build.kind == IndexBuild.Kind.REBUILD else _embed_more
    with _alone(build) as alone:
        if not alone:
            raise BuildRunning
        build.refresh_from_db()
        until = clock() + at_most if at_most is not None else None
        while build.state == IndexBuild.State.RUNNING:
            more = step(build, clock())
            told(build)
            if not more or (until is not None and clock() >= until):
                break
    return build


@contextmanager
def _alone(build: IndexBuild) -> Iterator[bool]:
    """Whether nobody else works at it. The lock goes with the connection of a process that dies."""
    key = [_LOCK, _KINDS[IndexBuild.Kind(build.kind)]]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        free = bool(cursor.fetchone()[0])
    try:
        yield free
    finally:
        if free and connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)


def _index_more(build: IndexBuild, now: datetime) -> bool:
    """Index the next articles. The row moves on after they are written: a chunk whose process died is done again."""
    chunk = list(Article.objects.filter(pk__gt=build.after).order_by("pk").values_list("pk", flat=True)[:CHUNK])
    if not chunk:
        passages.count_anew()
        _end(build, now)
        return False
    failed = _indexed(chunk)
    build.after, build.done, build.skipped = chunk[-1], build.done + len(chunk), build.skipped + len(failed)
    build.total, build.updated_at = max(build.total, build.done), now
    if failed:
        build.last_error = f"Article {failed[-1][0]}: {failed[-1][1]}"[:300]
    build.save(update_fields=["after", "done", "total", "skipped", "last_error", "updated_at"])
    return True


def _indexed(chunk: Sequence[int]) -> list[tuple[int, str]]:
    """Index articles together, or one by one if that fails, so that one of them hinders no other. Returns who failed."""
    failed: list[tuple[int, str]] = []
    for some in [chunk], [[pk] for pk in chunk]:
        failed = []
        for articles in some:
            try:
                passages.index(articles)
            except OperationalError:
                raise  # the database is away: nothing of this is the articles' fault
            except Exception as error:  # whatever is wrong with one article, the others are found
                logger.exception("article_not_indexed", articles=list(articles))
                failed.append((articles[0], f"{type(error).__name__}: {error}"))
        if not failed:
            break
    return failed


def _embed_more(build: IndexBuild, now: datetime) -> bool:
    """Give the next passages vectors of the wanted model, and have it answer when all have one."""
    model = embedder(build.model)
    try:
        made = passages.embed(model) if model else 0
        error = "" if model else "The model is not there, or does not run."
    except EmbeddingFailed as failure:
        made, error = 0, f"The model failed: {failure}"
    if not error and not made and _switched(build, now):
        return False
    build.done += made
    build.total, build.updated_at, build.last_error = max(build.total, build.done), now, error[:300]
    build.save(update_fields=["done", "total", "updated_at", "last_error"])
    return not error


@transaction.atomic
def _switched(build: IndexBuild, now: datetime) -> bool:
    """Whether the model answers from now on: every passage has its vector.

    Whoever indexes changes the row of the index in the same transaction. Held here, it keeps new passages waiting.
    """
    index = SearchIndex.objects.select_for_update().get()
    if Passage.objects.exclude(vectors__model=build.model).exists():
        return False
    SearchIndex.objects.update(model=build.model, model_since=now, generation=F("generation") + 1)
    logger.info("embedding_model_changed", former=index.model, model=build.model, passages=index.passages)
    build.done = build.total = index.passages
    _end(build, now)
    return True


def _end(build: IndexBuild, now: datetime) -> None:
    build.state, build.finished_at, build.updated_at = IndexBuild.State.DONE, now, now
    build.save(update_fields=["state", "done", "total", "finished_at", "updated_at"])
    logger.info("index_built", kind=build.kind, done=build.done, skipped=build.skipped)


def forget_former_models(now: datetime) -> int:
    """Delete vectors that neither answer nor are wanted, some time after the change. Returns how many."""
    index = SearchIndex.objects.get()
    if index.model_since is None or index.model_since > now - GRACE:
        return 0
    former, deleted = PassageVector.objects.exclude(model__in=[index.model, wanted()]), 0
    while found := list(former.values_list("pk", flat=True)[:FORGOTTEN]):
        deleted += PassageVector.objects.filter(pk__in=found).delete()[0]
    return deleted
