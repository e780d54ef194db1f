"""The protocol's risk tags: a ticket that a flag was raised from carries the flag's level and indicator, and the link to it."""

from __future__ import annotations

from datetime import datetime

from apps.core.models import User
from apps.escalation.models import RiskFlag, Ticket, TicketLink
from apps.escalation.ticket_binding import save, write_event

LEVEL, INDICATOR = "risk-level-", "risk-"
MOST = 50
"""Tickets of one flag; a flag of a large cluster names the newest reports only."""


def tags_of(flag: RiskFlag) -> list[str]:
    """``risk-level-4``, ``risk-data``."""
    return [f"{LEVEL}{flag.level}", *([f"{INDICATOR}{flag.indicator.replace('_', '-')}"] if flag.indicator else [])]


def tag_tickets(flag: RiskFlag, *, actor: User | None, now: datetime) -> int:
    """Tag and link the tickets that a flag was raised from or names, of its own scope; a former level's tag goes. In the
    caller's transaction, after the flag's row.

    Returns:
        How many tickets changed.
    """
    named = (flag.source, *flag.references)
    keys = {int(key) for kind, _, key in (one.partition(":") for one in named) if kind == "ticket" and _whole(key)}
    rows = Ticket.objects.filter(pk__in=keys, scope=flag.scope_id).order_by("pk")
    changed = 0
    for ticket in rows.select_for_update(of=("self",), no_key=True)[:MOST]:
        TicketLink.objects.get_or_create(
            ticket=ticket, target=f"risk_flag:{flag.pk}", defaults={"created_at": now, "created_by": actor}
        )
        kept = [tag for tag in ticket.tags if not tag.startswith(LEVEL)]
        tags = [*kept, *(tag for tag in tags_of(flag) if tag not in kept)]
        if tags != ticket.tags:
            ticket.tags = tags
            save(ticket, now, "tags")
            write_event(ticket, "flagged", actor, now, f"Risk flag {flag.pk}, level {flag.get_level_display()}.")
            changed += 1
    return changed


def _whole(key: str) -> bool:
    return key.isascii() and key.isdigit() and len(key) < 18
