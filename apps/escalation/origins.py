"""What a flag can be raised from, and what the form of the flag is filled with then.

Each app that has something to raise flags from says in its ``origins.py``-like module how it is read; those that lie above
this app register themselves with :func:`origin`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.core.models import Scope, User
from apps.escalation.models import RiskFlag, Ticket, TicketLink, TicketMessage

VIEW_TICKET = "escalation.view_ticket"
_LAST = 5  # messages that the form begins with


@dataclass(frozen=True, slots=True)
class Origin:
    """What a flag is raised from.

    Attributes:
        scope: of the flag; None for the company.
        facts: what the form begins with, by field.
        references: ``kind:id`` of what belongs to it.
        evidence: entries as action cards keep them.
    """

    scope: Scope | None
    facts: dict[str, Any]
    references: tuple[str, ...] = ()
    evidence: tuple[dict[str, Any], ...] = field(default=())


Find = Callable[[User, int], "Origin | None"]
Linked = Callable[[RiskFlag, int, User, datetime], None]
_known: dict[str, tuple[Find, Linked | None]] = {}


def origin(kind: str, find: Find, linked: Linked | None = None) -> None:
    """Say how rows of a kind are read.

    Args:
        find: given a person and a key, what is raised from it; None where the person may not see it.
        linked: called after the flag was raised, in the same transaction.
    """
    _known[kind] = (find, linked)


def find_origin(source: str, user: User) -> Origin | None:
    """What a source such as ``ticket:4`` is; None if there is no such thing, or not for this person."""
    kind, _, key = source.partition(":")
    if kind not in _known or not key.isdigit() or len(key) > 18:
        return None
    return _known[kind][0](user, int(key))


def tell_origin(flag: RiskFlag, actor: User, now: datetime) -> None:
    """Let the flag's origin know of it."""
    kind, _, key = flag.source.partition(":")
    linked = _known.get(kind, (None, None))[1]
    if linked and key.isdigit():
        linked(flag, int(key), actor, now)


def _ticket(user: User, key: int) -> Origin | None:
    if not user.has_perm(VIEW_TICKET):
        return None
    ticket: Ticket | None = Ticket.objects.visible_to(user).select_related("scope").filter(pk=key).first()
    if ticket is None:
        return None
    said = ticket.messages.filter(kind=TicketMessage.Kind.CUSTOMER).order_by("-id")[:_LAST]
    facts = {
        "title": ticket.subject,
        "description": ticket.summary or "\n\n".join(message.body for message in reversed(said)),
        "affected_count": 1,
        "affected_customers": ticket.requester_name,
        "communications": "\n".join(
            f"{message.created_at:%Y-%m-%d %H:%M} {message.get_kind_display()}: {message.body[:200]}"
            for message in reversed(ticket.messages.exclude(kind=TicketMessage.Kind.NOTE).order_by("-id")[:_LAST])
        ),
    }
    entry = {
        "source": "ticket", "query": ticket.number, "at": ticket.updated_at.isoformat(),
        "data": {"subject": ticket.subject, "channel": ticket.get_channel_display(), "priority": ticket.get_priority_display()},
    }  # fmt: skip
    return Origin(ticket.scope, facts, (f"ticket:{ticket.pk}",), (entry,))


def _ticket_linked(flag: RiskFlag, key: int, actor: User, now: datetime) -> None:
    TicketLink.objects.get_or_create(
        ticket_id=key, target=f"risk_flag:{flag.pk}", defaults={"created_at": now, "created_by": actor}
    )


origin("ticket", _ticket, _ticket_linked)
