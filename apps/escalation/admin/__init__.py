"""Pages of the escalation: the board, flags, tickets, reviews, and what is set up for them."""

from apps.escalation.admin import flags, reviews, tickets
from apps.escalation.admin.shared import level_tone, source_url, source_words

__all__ = ["flags", "level_tone", "reviews", "source_url", "source_words", "tickets"]
