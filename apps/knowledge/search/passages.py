"""Published versions cut into passages that can be found, and kept so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog
from django.db import connection, transaction
from django.db.models import F, QuerySet
from markdown_it import MarkdownIt

from apps.knowledge.models import Article, ArticleVersion, Passage, PassageVector, SearchIndex
from apps.knowledge.search.embedding import Embedder, embedder

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
    model = embedder()
    vectors = model([_said(passage) for passage in made]) if model else None
    with transaction.atomic():
        # Held until the end, so that two who index the same article do it one after the other.
        list(Article.objects.select_for_update().filter(pk__in=articles).order_by("pk").values_list("pk"))
        current = set(live.values_list("pk", flat=True))
        kept = [(n, passage) for n, passage in enumerate(made) if passage.version_id in current]
        gone = _forget(articles)
        Passage.objects.bulk_create([passage for _, passage in kept], batch_size=1_000)
        if model is not None and vectors is not None:
            rows = [PassageVector(passage=p, model=model.name, vector=vectors[n]) for n, p in kept]
            PassageVector.objects.bulk_create(rows, batch_size=1_000)
        _write_words([passage.pk for _, passage in kept])
        change = {"generation": F("generation") + 1, "passages": F("passages") + len(kept) - gone}
        SearchIndex.objects.update(**change)
    return len(kept)


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
    }
    found = [Passage(kind=Passage.Kind.TITLE, text=version.title, **same)]
    asked = article.questions.order_by("pk").values_list("text", flat=True)
    found += [Passage(kind=Passage.Kind.QUESTION, position=n, text=text, **same) for n, text in enumerate(asked, 1)]
    for n, piece in enumerate(pieces(version.body), 1):
        heading = piece.heading or version.title
        found.append(Passage(kind=Passage.Kind.BODY, position=n, heading=heading, text=piece.text, **same))
    return found


def to_index() -> QuerySet[Article]:
    """Articles with a published version that is not what their passages are made from."""
    live = ArticleVersion.objects.published().exclude(passages__isnull=False)
    return Article.objects.kept().filter(versions__in=live).distinct()


def to_embed(model: Embedder) -> QuerySet[Passage]:
    """Passages without a vector of a model."""
    return Passage.objects.exclude(vectors__model=model.name)


def embed(model: Embedder, *, batch: int = BATCH) -> int:
    """Give one batch of passages their vectors; those of other models stay until all have one.

    Returns:
        how many were done; 0 when none was left.
    """
    found = list(to_embed(model).order_by("pk")[:batch])
    vectors = model([_said(passage) for passage in found])
    rows = [
        PassageVector(passage=passage, model=model.name, vector=vector)
        for passage, vector in zip(found, vectors, strict=True)
    ]
    PassageVector.objects.bulk_create(rows, ignore_conflicts=True)
    return len(found)
