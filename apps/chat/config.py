"""What a widget is told about its site, and about who it talks to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.chat.models import ChatSite, Conversation
from apps.chat.saying import LONGEST as LONGEST_MESSAGE
from apps.chat.status import status_of
from apps.chat.uploads import ACCEPTED, LARGEST

PING_MS = 25_000
"""A widget sends a ping when it heard nothing for so long; proxies close sockets that say nothing for a minute."""


def config_of(site: ChatSite) -> dict[str, Any]:
    """How a site's chat looks, greets and behaves."""
    return {
        "name": site.name,
        "greeting": site.greeting,
        "quick_replies": site.quick_replies,
        "colour": site.colour,
        "language": site.language,
        "has_bot": site.has_bot,
        "looks_up_orders": site.looks_up_orders,
        "longest_message": LONGEST_MESSAGE,
        "ping_ms": PING_MS,
        "max_bytes": LARGEST,
        "accept": list(ACCEPTED),
    }


def status_for(conversation: Conversation, now: datetime) -> dict[str, Any]:
    """Who the customer talks to, and how long a person will take."""
    return status_of(conversation, now).data()
