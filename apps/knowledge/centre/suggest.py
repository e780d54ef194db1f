"""What a reader may be about to ask, while it is typed."""

from __future__ import annotations

import re
from typing import Any

from django.db import connection

from apps.knowledge.answers import find
from apps.knowledge.calibration import current_settings
from apps.knowledge.centre.contents import Link, in_order, live
from apps.knowledge.search.retrieve import Reader

MOST = 6
SHORTEST = 2
"""Characters from which something is suggested."""
LONGEST = 200
"""Characters that are looked at."""
ALIKE = 0.35
"""Cosine of a title, or share of common words, from which an article is suggested although its words are others."""
_WORD = re.compile(r"\w+")

# The last word may be unfinished. Titles before other ways to ask, then the shortest, which says least beside the words.
_BEGINNING = """
    SELECT article_id FROM knowledge_passage passage
    WHERE kind IN ('title', 'question')
      AND words @@ (plainto_tsquery(knowledge_words(%(language)s), %(whole)s)
                    && to_tsquery(knowledge_words(%(language)s), %(begun)s))
      AND (%(internal)s OR audience = 'public')
      AND (%(every_scope)s OR scope_id IS NULL OR scope_id = ANY(%(scopes)s))
      AND (%(only)s = '' OR language = %(only)s)
    GROUP BY article_id ORDER BY bool_or(kind = 'title') DESC, min(length(text)), article_id LIMIT %(most)s
"""


def suggestions(text: str, reader: Reader) -> tuple[Link, ...]:
    """Up to :data:`MOST` articles: those whose titles have the words and the beginning of the last one, then those that the
    search finds; nothing is kept of what was typed."""
    text = " ".join(text.replace("\x00", " ").split())[:LONGEST]
    if len(text) < SHORTEST:
        return ()
    order = _begun(text, reader) or _beginning(text, reader)
    if len(order) < MOST:
        ranked = find(text, reader, current_settings()).ranked
        order += [one.article for one, _ in ranked if max(one.near, one.shared) >= ALIKE and one.article not in order]
    return in_order(order[:MOST], reader)


def _beginning(text: str, reader: Reader) -> list[int]:
    """Articles whose titles begin so: for words that are in nearly every question, such as "how do"."""
    found = live(reader).filter(title__istartswith=text).order_by("title", "pk")
    return list(found.values_list("article_id", flat=True)[:MOST])


def _begun(text: str, reader: Reader) -> list[int]:
    said = _WORD.findall(text)
    if not said:
        return []
    facts: dict[str, Any] = {
        "language": reader.language or "en",
        "whole": " ".join(said[:-1]),
        "begun": f"'{said[-1]}':*",
        "internal": reader.internal,
        "every_scope": reader.scopes is None,
        "scopes": list(reader.scopes or ()),
        "only": reader.language,
        "most": MOST,
    }
    with connection.cursor() as cursor:
        cursor.execute(_BEGINNING, facts)
        return [article for (article,) in cursor.fetchall()]
