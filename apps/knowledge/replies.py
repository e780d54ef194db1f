"""What agents replied to those whose questions no article answers: what a draft starts from.

A question says where it was asked, such as ``ticket:12``. Each kind of place has a reader of replies; apps above this one add
theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from apps.core.models import User
from apps.core.numbers import whole
from apps.escalation.models import Ticket, TicketMessage
from apps.knowledge.models import AskedQuestion, Gap

MOST = 10
LONGEST = 1_000
"""Characters of a reply that are taken over."""
Read = Callable[[User, Sequence[int]], Iterable[str]]
"""Given who looks and the ids of places, the redacted replies that this person may see, the latest first."""
readers: dict[str, Read] = {}


def replies_to(gap: Gap, user: User) -> list[str]:
    """Replies to the questions of a gap, without repetitions."""
    places: dict[str, list[int]] = defaultdict(list)
    asked = AskedQuestion.objects.visible_to(user).filter(gap=gap).order_by("-asked_at")
    for source in asked.values_list("source", flat=True)[:200]:
        kind, _, key = source.partition(":")
        number = whole(key)
        if kind in readers and number is not None:
            places[kind].append(number)
    found = [text.strip()[:LONGEST] for kind, keys in places.items() for text in readers[kind](user, keys)]
    return list(dict.fromkeys(text for text in found if text))[:MOST]


def _of_tickets(user: User, keys: Sequence[int]) -> Iterable[str]:
    tickets = Ticket.objects.visible_to(user).filter(pk__in=keys)
    said = TicketMessage.objects.filter(ticket__in=tickets, kind=TicketMessage.Kind.AGENT)
    return list(said.order_by("-created_at").values_list("body", flat=True)[:MOST])


readers["ticket"] = _of_tickets
