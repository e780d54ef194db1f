"""How alike two messages are: the cosine of their words, each weighed by how rare it is among the reports of late.

How rare words are is read from PostgreSQL's own statistics of the column that holds them (most common elements, refreshed
by autovacuum), so that no table of counts has to be kept and locked. Before there are statistics, all words weigh the same.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db import connection

from apps.escalation.phrases import WORDING

MOST = 200
"""Distinct words of a message that count; a longer one is told apart by its beginning."""
FEW = 200
"""Below so many reports the statistics say nothing about words."""

_WORD = re.compile(r"[^\W_]+")
_ENDINGS = ("ings", "ing", "edly", "ed", "ies", "es", "s", "ly")
_SHORTEST = 3  # letters that a word keeps without its ending
_STOP = frozenset((WORDING / "common.en.txt").read_text(encoding="utf-8").split())


def words(text: str) -> list[int]:
    """The distinct words of a text that carry meaning, without endings, as numbers of 32 bits."""
    stems = (_stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP)
    found: dict[int, None] = {}
    for stem in stems:
        if len(stem) < 100:
            found[zlib.crc32(stem.encode()) - 2**31] = None
        if len(found) == MOST:
            break
    return list(found)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
            return word[: -len(ending)]
    return word


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """How often words are.

    Attributes:
        reports: of how many reports the statistics speak.
        shares: of the more common words, which share of the reports holds them.
    """

    reports: float = 0
    shares: Mapping[int, float] = field(default_factory=dict)

    @property
    def telling(self) -> bool:
        """Whether there are enough reports to say which words are rare."""
        return self.reports >= FEW

    def often(self, word: int) -> float:
        """In about how many reports a word is."""
        return self.shares.get(word, 0.0) * self.reports

    def weight(self, word: int) -> float:
        """What a word weighs: 1 if it is everywhere, more the rarer it is."""
        if not self.telling:
            return 1.0
        return math.log((1 + self.reports) / (1 + self.often(word))) + 1

    def length(self, some: Iterable[int]) -> float:
        """The length of a message as a vector of its words."""
        return math.sqrt(sum(self.weight(word) ** 2 for word in some))

    def alike(self, some: Iterable[int], others: Iterable[int]) -> float:
        """The cosine of two messages, 0 to 1."""
        left, right = set(some), set(others)
        shared = sum(self.weight(word) ** 2 for word in left & right)
        return shared / (self.length(left) * self.length(right)) if shared else 0.0


def vocabulary() -> Vocabulary:
    """What PostgreSQL's statistics say about the words of the reports in the window."""
    with connection.cursor() as cursor:
        cursor.execute(_STATISTICS)
        row = cursor.fetchone()
    if row is None or row[1] is None:
        return Vocabulary()
    reports, elements, frequencies = row
    return Vocabulary(reports, dict(zip(elements, frequencies, strict=False)))  # three bounds follow the frequencies


# A word that left the window is null and not among them.
_STATISTICS = """
    SELECT greatest(c.reltuples, 0) * (1 - s.null_frac), s.most_common_elems::text::int[], s.most_common_elem_freqs
    FROM pg_stats s JOIN pg_class c ON c.relname = s.tablename AND c.relnamespace = s.schemaname::regnamespace
    WHERE s.schemaname = current_schema() AND s.tablename = 'escalation_report' AND s.attname = 'words'
"""
