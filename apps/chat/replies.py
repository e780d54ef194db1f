"""What people replied in conversations where no article answered: articles are drafted from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apps.chat.models import Conversation, Event
from apps.core.models import User
from apps.knowledge import replies


def of_conversations(user: User, keys: Sequence[int]) -> Iterable[str]:
    """Agents' words in conversations that a person may see, the latest first; no private notes."""
    seen = Conversation.objects.visible_to(user).filter(pk__in=keys)
    said = Event.objects.filter(
        conversation__in=seen, author=Event.Author.AGENT, kind=Event.Kind.MESSAGE, internal=False
    )
    return list(said.exclude(text="").order_by("-at").values_list("text", flat=True)[: replies.MOST])


def offer() -> None:
    """Have gaps read them."""
    replies.readers["conversation"] = of_conversations
