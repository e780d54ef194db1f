"""Pages of the escalation: the board, flags, tickets, reviews, and what is set up for them."""

from apps.escalation.admin import (
    clusters,
    documents,
    flags,
    indicators,
    phrases,
    proposals,
    reviews,
    sent,
    setup,
    tickets,
)
from apps.escalation.admin.shared import level_tone, source_url, source_words

__all__ = [
    "clusters", "documents", "flags", "indicators", "level_tone", "phrases", "proposals", "reviews", "sent", "setup",
    "source_url", "source_words", "tickets",
]  # fmt: skip
