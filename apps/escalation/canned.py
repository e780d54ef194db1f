"""Prepared answers, filled in for a ticket."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.db.models import Q, QuerySet

from apps.core.models import User
from apps.escalation.models import CannedReply, Ticket

_NAME = re.compile(r"\{(requester|ticket|agent|subject|order)\}")


def rendered(reply: CannedReply, *, ticket: Ticket, agent: User) -> str:
    """The text of a prepared answer for a ticket."""
    values = {
        "requester": ticket.requester_name or "customer",
        "ticket": ticket.number,
        "agent": agent.get_full_name() or agent.get_username(),
        "subject": ticket.subject,
        "order": ticket.order_reference or "your order",
    }
    return filled(reply, values)


def filled(reply: CannedReply, values: Mapping[str, str]) -> str:
    """The text of a prepared answer, with requester, ticket, agent, subject and order filled in.

    Names in braces are replaced once; what they stand for is never read again, and other braces stay as they are, so that
    a customer's name cannot bring in anything.
    """
    return _NAME.sub(lambda found: values[found[1]], reply.body)


def offered(ticket: Ticket) -> QuerySet[CannedReply]:
    """Prepared answers for a ticket: those of its category and those of none."""
    return CannedReply.objects.filter(Q(category=None) | Q(category=ticket.category_id)).order_by("title")
