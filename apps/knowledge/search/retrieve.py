"""Articles that may answer a question, with what speaks for each.

Two ways find candidates, in one query each: the nearest vectors (HNSW), and the passages that have the question's rarest
words (GIN over stems). A word that no passage has is taken for the one that looks most like it (trigrams), and each word
stands for its synonyms too. Whoever may not read an article does not find it by either way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

from django.db import connection

from apps.knowledge.models import Synonym
from apps.knowledge.search.embedding import Embedder, Vectors

NEAR, SHARING = 40, 40
"""Passages that each way brings."""
ARTICLES = 30
"""Articles that are looked at closely."""
SCANNED, SCANNED_ALONE = 1_500, 3_000
"""A question's words are sought from the rarest on, until so many passages would be read (more, where words are all there
is); if already the rarest is in more, only with another word beside it."""
EF_SEARCH = 80
"""How wide the vectors' index searches: at 80 it missed less than one of a hundred nearest."""
LIKE = 0.45
"""Similarity of trigrams from which a word may be a misspelt other one."""
SYNONYM = 0.8
"""What a synonym counts, beside 1 for the word itself."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks, as far as it decides what is found.

    Attributes:
        internal: whether articles for staff are found.
        scopes: ids of the scopes that the reader belongs to, or None for all; articles of no scope are for everybody.
        language: only articles in this language, or any if empty.
    """

    internal: bool = False
    scopes: tuple[int, ...] | None = ()
    language: str = ""


@dataclass(frozen=True)
class Words:
    """A question's stems with their weights (inverse passage frequency), the rarest first; and those nobody uses.

    Attributes:
        meant: for each stem, the stems that count as it, with how much.
    """

    weights: dict[str, float]
    counts: dict[str, int]
    meant: dict[str, dict[str, float]]
    unknown: tuple[str, ...] = ()

    @cached_property
    def total(self) -> float:
        """What all of the question's words weigh, those that nobody uses included."""
        return sum(self.weights.values())

    @cached_property
    def meaning(self) -> dict[str, list[tuple[str, float]]]:
        """For each stem of a passage the words of the question that it counts as, with how much."""
        found: dict[str, list[tuple[str, float]]] = {}
        for word, stems in self.meant.items():
            for stem, share in stems.items():
                found.setdefault(stem, []).append((word, share))
        return found


@dataclass(slots=True)
class Candidate:
    """An article that may answer.

    Attributes:
        near: cosine of the nearest title or way to ask; 0 without vectors.
        near_some: mean cosine of the three nearest of them.
        near_body: cosine of the nearest part of the body.
        shared: share of the question's weight of words that the best title or way to ask has.
        shared_body: the same of the best part of the body.
        precise: share of that title's words which the question has.
    """

    article: int
    version: int
    passage: int = 0
    near: float = 0.0
    near_some: float = 0.0
    near_body: float = 0.0
    shared: float = 0.0
    shared_body: float = 0.0
    precise: float = 0.0
    _asked: list[float] = field(default_factory=list)
    _best: float = -1.0

    def features(self) -> list[float]:
        """What the ranking weighs, in the order of :data:`FEATURES`."""
        return [getattr(self, name) for name in FEATURES]


FEATURES = ("near", "near_some", "near_body", "shared", "shared_body", "precise")

_WORDS = """
WITH asked AS (SELECT DISTINCT left(stem, 100) AS stem
               FROM unnest(tsvector_to_array(to_tsvector(knowledge_words(%(language)s), %(text)s))) stem)
SELECT asked.stem, coalesce(word.passages, 0), meant.stem, meant.passages,
       (SELECT passages FROM knowledge_searchindex)
FROM asked
LEFT JOIN knowledge_word word ON word.stem = asked.stem AND word.language = %(language)s AND word.passages > 0
LEFT JOIN LATERAL (
    SELECT other.stem, other.passages FROM knowledge_word other
    WHERE word.id IS NULL AND length(asked.stem) > 3 AND asked.stem !~ '[0-9]'
      AND other.language = %(language)s AND other.passages > 0 AND other.stem %% asked.stem
    ORDER BY similarity(other.stem, asked.stem) DESC, other.passages DESC LIMIT 1) meant ON true
"""
_MAY = """
    (%(internal)s OR passage.audience = 'public')
    AND (%(every_scope)s OR passage.scope_id IS NULL OR passage.scope_id = ANY(%(scopes)s))
    AND (%(only)s = '' OR passage.language = %(only)s)
"""
_NEAR = f"""
    SELECT article_id, row_number() OVER (ORDER BY distance) AS place FROM (
        SELECT passage.article_id, vector.vector <#> %(vector)s::halfvec AS distance
        FROM knowledge_passagevector vector JOIN knowledge_passage passage ON passage.id = vector.passage_id
        WHERE vector.model = %(model)s AND {_MAY}
        ORDER BY vector.vector <#> %(vector)s::halfvec LIMIT %(near)s) found
"""  # noqa: S608 - only constants of this module
_SHARING = f"""
    SELECT article_id, row_number() OVER (ORDER BY weight DESC, length) AS place FROM (
        SELECT passage.article_id, length(passage.words) AS length, {{weight}} AS weight
        FROM knowledge_passage passage
        WHERE passage.words @@ %(rare)s::tsquery AND {_MAY}
        ORDER BY weight DESC, length LIMIT %(sharing)s) found
"""  # noqa: S608
_HAS = "CASE WHEN passage.words @@ %(stem{n})s::tsquery THEN %(weight{n})s ELSE 0 END"
"""A constant query each, which is read once; of a list it would be read for each passage again."""
_LOOK = """
WITH found AS ({ways}),
chosen AS (SELECT article_id FROM found GROUP BY article_id ORDER BY min(place), article_id LIMIT %(articles)s)
SELECT passage.article_id, passage.version_id, passage.id, passage.kind, length(passage.words),
       {cosine},
       ARRAY(SELECT stem FROM unnest(tsvector_to_array(passage.words)) stem WHERE stem = ANY(%(stems)s::text[]))
FROM chosen JOIN knowledge_passage passage USING (article_id) {vectors}
"""


def words(text: str, language: str) -> Words:
    """A question's words as the index knows them.

    Args:
        text: the question.
        language: of the articles that are sought.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WORDS, {"language": language, "text": text.replace("\x00", " ")})
        rows = cursor.fetchall()
    weights, counts, meant, unknown = {}, {}, {}, []
    for stem, count, other, other_count, passages in rows:
        passages, count = max(1, passages or 1), count or other_count or 0
        weights[stem] = math.log(1 + (passages - count + 0.5) / (count + 0.5)) if count <= passages else 0.0
        if count:
            meant[stem] = {other or stem: 1.0}
            counts[other or stem] = count
        else:
            unknown.append(stem)
    _add_synonyms(meant, counts, language)
    return Words(weights, counts, meant, tuple(unknown))


def _add_synonyms(meant: dict[str, dict[str, float]], counts: dict[str, int], language: str) -> None:
    known = [stem for stems in meant.values() for stem in stems]
    groups = Synonym.objects.filter(language=language, stems__overlap=known).values_list("stems", flat=True)
    for group in groups:
        for stems in meant.values():
            if any(stem in group and share == 1.0 for stem, share in stems.items()):
                for other in group:
                    stems.setdefault(other, SYNONYM)
                    counts.setdefault(other, 1)


def candidates(
    text: str, reader: Reader, model: Embedder | None, vector: Vectors | None = None
) -> tuple[list[Candidate], Words]:
    """The articles that may answer a question, in no order, and its words.

    Args:
        text: the question.
        reader: who asks.
        model: what makes vectors, or None to go by words alone.
        vector: of the text by that model, if it is known already.

    Raises:
        EmbeddingFailed: the model does not run; words alone may still find something.
    """
    asked = words(text, reader.language or "en")
    if vector is None or model is None:
        vector = model([text])[0] if model else None
    rows = _rows(asked, reader, model.name if model else "", vector)
    found: dict[int, Candidate] = {}
    for article, version, passage, kind, length, cosine, stems in rows:
        candidate = found.setdefault(article, Candidate(article, version))
        _weigh(candidate, passage, kind, max(0.0, float(cosine or 0.0)), _share(asked, stems), length, len(stems))
    for candidate in found.values():
        nearest = sorted(candidate._asked, reverse=True)[:3]
        candidate.near_some = sum(nearest) / len(nearest) if nearest else 0.0
    return list(found.values()), asked


def _weigh(candidate: Candidate, passage: int, kind: str, cosine: float, share: float, length: int, stems: int) -> None:
    if kind == "body":
        candidate.near_body = max(candidate.near_body, cosine)
        candidate.shared_body = max(candidate.shared_body, share)
        if cosine + share > candidate._best:
            candidate._best, candidate.passage = cosine + share, passage
        return
    candidate._asked.append(cosine)
    candidate.near = max(candidate.near, cosine)
    if share > candidate.shared:
        candidate.shared, candidate.precise = share, stems / max(1, length)


def _share(asked: Words, stems: Iterable[str]) -> float:
    """How much of the question's weight of words a passage has."""
    best: dict[str, float] = {}
    for stem in stems:
        for word, share in asked.meaning.get(stem, ()):
            if share > best.get(word, 0.0):
                best[word] = share
    return sum(asked.weights[word] * share for word, share in best.items()) / asked.total if asked.total else 0.0


def _rows(asked: Words, reader: Reader, model: str, vector: Vectors | None) -> Sequence[tuple[Any, ...]]:
    most = SCANNED if vector is not None else SCANNED_ALONE
    rare = _rarest(asked, most)
    stems = sorted({stem for meant in asked.meant.values() for stem in meant})
    weight = {stem: asked.weights[word] * s for word, meant in asked.meant.items() for stem, s in meant.items()}
    sharing = _SHARING.format(weight=" + ".join(_HAS.format(n=n) for n in range(len(stems))) or "0")
    ways = [way for way, there in ((_NEAR, vector is not None), (sharing, rare)) if there]
    if not ways:
        return []
    facts: dict[str, Any] = {
        "internal": reader.internal,
        "every_scope": reader.scopes is None,
        "scopes": list(reader.scopes or ()),
        "only": reader.language,
        "model": model,
        "vector": None if vector is None else "[" + ",".join(f"{number:.5f}" for number in vector) + "]",
        "near": NEAR,
        "sharing": SHARING,
        "articles": ARTICLES,
        "stems": stems,
        "rare": _sought(rare, stems, asked, most),
    }
    for n, stem in enumerate(stems):
        facts |= {f"stem{n}": _quoted(stem), f"weight{n}": weight[stem]}
    look = _LOOK.format(
        ways=" UNION ALL ".join(f"({way})" for way in ways),
        cosine="-(vector.vector <#> %(vector)s::halfvec)" if vector is not None else "NULL",
        vectors="LEFT JOIN knowledge_passagevector vector ON vector.passage_id = passage.id AND vector.model = %(model)s"
        if vector is not None
        else "",
    )
    with connection.cursor() as cursor:
        # For this transaction or connection both are only about how well the index searches, never about what is right.
        cursor.execute(f"SET hnsw.ef_search = {EF_SEARCH}; SET hnsw.iterative_scan = relaxed_order")
        cursor.execute(look, facts)
        return cursor.fetchall()


def _rarest(asked: Words, most: int) -> list[str]:
    """The words to seek by: from the rarest on, until too many passages would have to be read; one in any case."""
    stems = {stem for meant in asked.meant.values() for stem in meant}
    order = sorted(stems, key=lambda stem: asked.counts.get(stem, 0))
    read = accumulate(asked.counts.get(stem, 0) for stem in order)
    return [
        stem for place, (stem, passages) in enumerate(zip(order, read, strict=True)) if not place or passages <= most
    ]


def _sought(rare: Sequence[str], stems: Sequence[str], asked: Words, most: int) -> str:
    """The condition on passages, for ``tsquery``."""
    if len(rare) == 1 < len(stems) and asked.counts.get(rare[0], 0) > most:
        others = " | ".join(_quoted(stem) for stem in stems if stem != rare[0])
        return f"{_quoted(rare[0])} & ({others})"
    return " | ".join(_quoted(stem) for stem in rare)


def _quoted(stem: str) -> str:
    return "'" + stem.replace("\\", "\\\\").replace("'", "''") + "'"
