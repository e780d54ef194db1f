"""How far a customer has got and read; several conversations by one statement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from apps.chat.models import Conversation

What = Literal["got", "read"]

# Nobody has read what was not said yet, and nothing is read back.
_MARK = """
    UPDATE chat_conversation c SET {column} = least(w.seq, c.seq)
    FROM (SELECT l.id, w.seq FROM unnest(%s::bigint[], %s::int[]) AS w(id, seq)
          JOIN chat_conversation l ON l.id = w.id ORDER BY l.id FOR NO KEY UPDATE OF l) AS w
    WHERE c.id = w.id AND c.{column} < least(w.seq, c.seq)
    RETURNING c.*
"""
_STATEMENTS = {what: _MARK.format(column=f"customer_{what}_seq") for what in ("got", "read")}


def mark(seqs: Mapping[int, int], what: What) -> list[Conversation]:
    """Note how far; rows are locked in the order of their keys, like everywhere, so that nobody waits in a circle.

    Args:
        seqs: by the key of the conversation.

    Returns:
        The conversations for which that is news.
    """
    return list(Conversation.objects.raw(_STATEMENTS[what], [list(seqs), list(seqs.values())]))
