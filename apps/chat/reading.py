"""Reading a conversation: events after ``seq`` is the one way for first load, reconnect, repair of gaps and polling."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from apps.chat.models import Conversation, Event

PAGE = 200

_NEWS = """
    SELECT w.id, c.seq, c.state, c.staff_read_seq, e.*
    FROM unnest(%s::bigint[], %s::bigint[]) AS w(id, after)
    JOIN chat_conversation c ON c.id = w.id
    LEFT JOIN LATERAL (
        SELECT v.seq, v.kind, v.author, v.text, v.data, v.at, v.client_id,
            coalesce(nullif(u.first_name, ''), u.username) AS name
        FROM chat_event v LEFT JOIN core_user u ON u.id = v.user_id
        WHERE v.conversation_id = w.id AND v.seq > w.after AND v.seq <= c.seq AND NOT v.internal
        ORDER BY v.seq LIMIT %s
    ) e ON true
    ORDER BY w.id, e.seq
"""


@dataclass(slots=True)
class News:
    """What a customer has not seen of a conversation.

    Attributes:
        events: as they are sent, in the order of ``seq``.
        seq: up to here nothing is missing once ``events`` are read; events for staff alone are skipped.
        last: the conversation's last seq; if ``seq`` is less, there is more to read.
    """

    events: list[dict[str, Any]]
    seq: int
    last: int
    state: str
    staff_read_seq: int


def events_after(conversation: Conversation, seq: int, *, customer: bool, limit: int = PAGE) -> tuple[list[Event], int]:
    """Events after ``seq``, in order, and the seq up to which nothing is missing then.

    The number is read before the events. Both are asked apart, so an event stored in between would otherwise be counted
    as read and never be.
    """
    last = Conversation.objects.values_list("seq", flat=True).get(pk=conversation.pk)
    events = conversation.events.after(seq).filter(seq__lte=last).select_related("user")
    found = list((events.for_customer() if customer else events)[:limit])
    return found, found[-1].seq if len(found) == limit else max(last, 0)


def news_after(wanted: Mapping[int, int], limit: int = PAGE) -> dict[int, News]:
    """The same for several conversations at once, for customers, by one statement.

    Args:
        wanted: the seq that is known, by the key of the conversation.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NEWS, [list(wanted), list(wanted.values()), limit])
        rows = cursor.fetchall()
    found: dict[int, News] = {}
    for pk, last, state, staff_read, seq, kind, author, text, data, at, client_id, name in rows:
        news = found.setdefault(pk, News([], last, last, state, staff_read))
        if seq is not None:
            news.events.append(rendered(seq, kind, author, name or "", text, data, at, client_id))
    for news in found.values():
        if len(news.events) == limit:
            news.seq = news.events[-1]["seq"]
    return found


def shown(event: Event, *, customer: bool = True) -> dict[str, Any]:
    """An event as it is sent to browsers; staff also see who of them it was and what customers do not."""
    name = (event.user.first_name or event.user.username) if event.user else ""
    answer = rendered(
        event.seq, event.kind, event.author, name, event.text, event.data, event.at, event.client_id, customer=customer
    )
    if not customer:
        answer |= {"internal": event.internal, "user": event.user_id}
    return answer


# What bot and desk note in the data of an event for themselves; a customer's browser gets nothing else than these.
_FOR_CUSTOMERS = frozenset(
    {"articles", "choices", "choice", "form", "reply_to", "masked", "file", "what", "state", "team", "name", "score",
     "resolution", "language", "ticket", "answer_by", "rate", "verification"}
)  # fmt: skip


def rendered(
    seq: int,
    kind: str,
    author: str,
    name: str,
    text: str,
    data: dict[str, Any] | str,
    at: datetime,
    client_id: object,
    *,
    customer: bool = True,
) -> dict[str, Any]:
    """The same from an event's columns.

    Args:
        data: also as the JSON text that Django's cursors give.
    """
    known: dict[str, Any] = json.loads(data) if isinstance(data, str) else data
    facts = {key: value for key, value in known.items() if key in _FOR_CUSTOMERS} if customer else known
    answer: dict[str, Any] = {
        "seq": seq,
        "kind": kind,
        "author": author,
        "name": str(facts.get("name") or name),
        "text": text,
        "data": facts,
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    if client_id is not None and (author == Event.Author.CUSTOMER or not customer):
        answer["client_id"] = str(client_id)
    return answer
