"""Published versions cut into passages that can be found, and kept so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from markdown_it import MarkdownIt

from apps.knowledge.models import Article, ArticleVersion, Passage, PassageVector, SearchIndex
from apps.knowledge.search.embedding import Embedder, EmbeddingFailed, Vectors
from apps.knowledge.search.in_use import models_to_write

logger = structlog.get_logger(__name__)

LONGEST = 500
"""Characters of a passage of a body: about as much as the embedding model takes in."""
MOST = 40
"""Passages of one body at most; the rest of a longer one is found by its words in the last."""
BATCH = 200
_MARKDOWN = MarkdownIt("commonmark").enable("table")
_BLOCKS = frozenset({"paragraph_open", "tr_open"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a body: the heading that it stands under, and its text without marks."""

    heading: str
    text: str


def pieces(body: str) -> list[Piece]:
    """Cut a body at its headings and between its paragraphs.

    Args:
        body: Markdown.

    Returns:
        at most :data:`MOST`, each of about :data:`LONGEST` characters unless one paragraph alone is longer.
    """
    found: list[Piece] = []
    for heading, text in _paragraphs(body):
        last = found[-1] if found else None
        if (last and last.heading == heading and len(last.text) + len(text) < LONGEST) or len(found) == MOST:
            assert last is not None
            found[-1] = Piece(last.heading, f"{last.text}\n{text}")
        else:
            found.append(Piece(heading, text))
    return found


def _paragraphs(body: str) -> Iterator[tuple[str, str]]:
    heading, opened = "", ""
    for token in _MARKDOWN.parse(body):
        if token.type == "heading_open" or token.type in _BLOCKS:
            opened = token.type
        elif token.type == "inline":
            text = "".join(" " if child.type.endswith("break") else child.content for child in token.children or [])
            if opened == "heading_open":
                heading = text[:200]
            elif text.strip():
                yield heading, text.strip()
        elif token.type in ("fence", "code_block") and token.content.strip():
            yield heading, token.content.strip()


def index(articles: Sequence[int]) -> int:
    """Make the passages of articles anew, from their published versions; those without one lose theirs.

    Returns:
        how many passages there are now.
    """
    live = ArticleVersion.objects.published().filter(article__in=articles, article__archived_at__isnull=True)
    made = [passage for version in live.select_related("article") for passage in _passages(version)]
    vectors = _vectors(made)  # before the transaction, for it takes longest
    with transaction.atomic():
        # Held until the end, so that two who index the same article do it one after the other.
        locked = Article.objects.select_for_update().filter(pk__in=articles).order_by("pk").in_bulk()
        current = set(live.values_list("pk", flat=True))
        kept = [(n, passage) for n, passage in enumerate(made) if passage.version_id in current]
        for _, passage in kept:  # who may find it is as of now, whatever was read before
            article = locked[passage.article_id]
            passage.audience, passage.scope_id = article.audience, article.scope_id
        gone = _forget(articles)
        Passage.objects.bulk_create([passage for _, passage in kept], batch_size=1_000)
        rows = [
            PassageVector(passage=passage, model=model, vector=found[n])
            for model, found in vectors.items()
            for n, passage in kept
        ]
        PassageVector.objects.bulk_create(rows, batch_size=1_000)
        _write_words([passage.pk for _, passage in kept])
        change = {"generation": F("generation") + 1, "passages": F("passages") + len(kept) - gone}
        if not SearchIndex.objects.update(**change):  # a table that was emptied with all others heals itself
            SearchIndex.objects.get_or_create(pk=1, defaults={"generation": 1, "passages": Passage.objects.count()})
    return len(kept)


def _vectors(made: Sequence[Passage]) -> dict[str, Vectors]:
    """Vectors of passages by model; none of a model that fails, for its passages get theirs later."""
    found = {}
    for model in models_to_write() if made else []:
        with suppress(EmbeddingFailed):
            found[model.name] = model([_said(passage) for passage in made])
    return found


_COUNT = """
INSERT INTO knowledge_word AS word (language, stem, passages)
SELECT language, left(stem, 100), {sign} count(*) FROM knowledge_passage, unnest(tsvector_to_array(words)) stem
WHERE id = ANY(%s) GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (language, stem) DO UPDATE SET passages = word.passages + EXCLUDED.passages
"""
"""In the order of the words, so that two who count at once wait for each other and never cross."""


def _forget(articles: Sequence[int]) -> int:
    """Take the passages of articles away, and what was counted of their words."""
    found = list(Passage.objects.filter(article__in=articles).values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(_COUNT.format(sign="-"), [found])
    Passage.objects.filter(pk__in=found).delete()
    return len(found)


_RECOUNT = """
WITH counted AS (
    SELECT language, left(stem, 100) AS stem, count(*) AS passages
    FROM knowledge_passage, unnest(tsvector_to_array(words)) stem GROUP BY 1, 2),
gone AS (
    DELETE FROM knowledge_word word WHERE NOT EXISTS (
        SELECT FROM counted WHERE counted.language = word.language AND counted.stem = word.stem))
INSERT INTO knowledge_word AS word (language, stem, passages) SELECT * FROM counted
ON CONFLICT (language, stem) DO UPDATE SET passages = EXCLUDED.passages WHERE word.passages <> EXCLUDED.passages
"""


@transaction.atomic
def count_anew() -> None:
    """Count all words and passages, and drop words that are nowhere any more.

    Whoever indexes writes words before anything else, so the lock of their table keeps changes of passages out meanwhile;
    reading goes on.
    """
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE knowledge_word IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(_RECOUNT)
    SearchIndex.objects.update(generation=F("generation") + 1, passages=Passage.objects.count())


def _write_words(passages: Sequence[int]) -> None:
    """Have the database cut the texts into stems, and count in how many passages each is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE knowledge_passage SET words = to_tsvector(knowledge_words(language), text) WHERE id = ANY(%s)",
            [list(passages)],
        )
        cursor.execute(_COUNT.format(sign=""), [list(passages)])


def _said(passage: Passage) -> str:
    """What the model reads: a part of a body says little without what it is about."""
    return f"{passage.heading}. {passage.text}" if passage.heading else passage.text


def _passages(version: ArticleVersion) -> list[Passage]:
    article = version.article
    same = {
        "article": article,
        "version": version,
        "audience": article.audience,
        "language": article.language,
        "scope_id": article.scope_id,
        "edition": article.edition,
    }
    found = [Passage(kind=Passage.Kind.TITLE, text=version.title, **same)]
    asked = article.questions.order_by("pk").values_list("text", flat=True)
    found += [Passage(kind=Passage.Kind.QUESTION, position=n, text=text, **same) for n, text in enumerate(asked, 1)]
    for n, piece in enumerate(pieces(version.body), 1):
        heading = piece.heading or version.title
        found.append(Passage(kind=Passage.Kind.BODY, position=n, heading=heading, text=piece.text, **same))
    return found


def to_index() -> QuerySet[Article]:
    """Articles whose passages are not of their published version, or older than their ways to ask and their readers."""
    made = Passage.objects.filter(
        kind=Passage.Kind.TITLE,
        article=OuterRef("article"),
        version=OuterRef("pk"),
        edition=OuterRef("article__edition"),
    )
    live = ArticleVersion.objects.published().filter(~Exists(made))
    return Article.objects.kept().filter(pk__in=live.values("article"))


def to_forget() -> QuerySet[Article]:
    """Articles with passages that have none to have."""
    live = ArticleVersion.objects.published().filter(article=OuterRef("pk"))
    gone = Q(archived_at__isnull=False) | ~Exists(live)
    return Article.objects.filter(gone, Exists(Passage.objects.filter(article=OuterRef("pk"))))


def to_embed(model: Embedder) -> QuerySet[Passage]:
    """Passages without a vector of a model."""
    return Passage.objects.exclude(vectors__model=model.name)


def embed(model: Embedder, *, batch: int = BATCH) -> int:
    """Give one batch of passages their vectors; those of other models stay until all have one.

    Returns:
        how many were done; 0 when none was left.

    Raises:
        EmbeddingFailed
    """
    found = list(to_embed(model).order_by("pk")[:batch])
    vectors = model([_said(passage) for passage in found])
    with transaction.atomic():
        # An article that is indexed meanwhile has other passages by then, with vectors of their own.
        there = Passage.objects.select_for_update(no_key=True, skip_locked=True).filter(
            pk__in=[passage.pk for passage in found]
        )
        still = set(there.values_list("pk", flat=True))
        rows = [
            PassageVector(passage=passage, model=model.name, vector=vector)
            for passage, vector in zip(found, vectors, strict=True)
            if passage.pk in still
        ]
        PassageVector.objects.bulk_create(rows, ignore_conflicts=True)
    return len(found)
