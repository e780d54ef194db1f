"""What every write about a ticket has in common: who may, whether it is still what was seen, and the record.

Locks are taken in one order everywhere: tickets by id, then their team, then clocks, then the decision log.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from apps.core.decisions import Entry
from apps.core.errors import DomainError
from apps.core.models import User
from apps.escalation import clocks
from apps.escalation.binding import SCOPE, NotAllowed
from apps.escalation.models import Clock, Ticket, TicketEvent

VIEW = "escalation.view_ticket"
CREATE = "escalation.add_ticket"
WORK = "escalation.work_ticket"
SYSTEM = "system:tickets"

Status = Ticket.Status
WAITED_FOR = (Status.NEW, Status.OPEN)
UNDONE = (Status.NEW, Status.OPEN, Status.WAITING)


class TicketNotFound(DomainError):
    """There is no such ticket, or it is outside the person's scope; which of the two is not told."""

    code = "not_found"
    message = "There is no such ticket."
    status = 404


class TicketChanged(DomainError):
    """The ticket is not what the person looked at. ``version`` is the ticket's now."""

    code = "ticket_changed"
    message = "The ticket changed since you looked at it."
    status = 409

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__()


class WrongState(DomainError):
    """What was asked does not fit the ticket's state."""

    code = "wrong_state"
    message = "This cannot be done with a ticket in this state."
    status = 409


class CannotAssign(DomainError):
    """The person cannot work this ticket."""

    code = "cannot_assign"
    message = "This person cannot work this ticket."
    status = 422


class CannotMerge(DomainError):
    """The tickets cannot be merged."""

    code = "cannot_merge"
    message = "These tickets cannot be merged."
    status = 409


def authorise(actor: User, needs: str) -> None:
    """Refuse who may not see tickets, or not do this.

    Raises:
        NotAllowed: the person's role does not include it.
    """
    if not actor.is_active or not actor.has_perms([VIEW, needs]):
        raise NotAllowed


def locked(ticket_id: int, actor: User, needs: str = WORK) -> Ticket:
    """The ticket, locked until the transaction ends.

    Raises:
        TicketNotFound, NotAllowed: it is not there for this person, or the role does not include this.
    """
    return locked_many([ticket_id], actor, needs)[ticket_id]


def locked_many(ticket_ids: Collection[int], actor: User, needs: str = WORK) -> dict[int, Ticket]:
    """Tickets by id, locked in the order of their ids, so that two people never wait for each other in a circle.

    Raises:
        TicketNotFound, NotAllowed: as above, for any of them.
    """
    authorise(actor, needs)
    visible = Ticket.objects.visible_to(actor).filter(pk__in=ticket_ids).order_by("pk")
    found = {ticket.pk: ticket for ticket in visible.select_for_update(of=("self",), no_key=True)}
    if len(found) != len(set(ticket_ids)):
        raise TicketNotFound
    return found


def bind(ticket: Ticket, seen_version: int | None, states: Collection[str] = UNDONE) -> None:
    """Refuse if the ticket is not what was seen, or in none of these states.

    Args:
        seen_version: None for what needs no version.

    Raises:
        TicketChanged, WrongState: nothing was done.
    """
    if seen_version is not None and ticket.version != seen_version:
        raise TicketChanged(ticket.version)
    if ticket.status not in states:
        raise WrongState(f"The ticket is {ticket.get_status_display().lower()}.")


def save(ticket: Ticket, now: datetime, *fields: str) -> None:
    """Write changed fields, with the next version."""
    ticket.version += 1
    ticket.updated_at = now
    ticket.save(update_fields=[*fields, "version", "updated_at"])


def write_event(
    ticket: Ticket, kind: str, actor: User | None, now: datetime, reason: str = "", **data: Any
) -> TicketEvent:
    """Write on the ticket's timeline."""
    return TicketEvent.objects.create(ticket=ticket, kind=kind, at=now, actor=actor, reason=reason[:500], data=data)


def running(ticket: Ticket) -> dict[str, Clock]:
    """The clocks of a ticket that have not ended, by target."""
    return {clock.target: clock for clock in Clock.objects.filter(ticket=ticket, status__in=clocks.OPEN).order_by("pk")}


def entry(ticket: Ticket, actor: User | str | None, action: str, rationale: str = "", **payload: Any) -> Entry:
    """What stands in the decision log about a ticket."""
    return Entry(
        scope=SCOPE,
        actor=actor or SYSTEM,
        action=action,
        subject=f"ticket:{ticket.pk}",
        rationale=rationale,
        evidence_url=ticket_url(ticket.pk),
        payload={"version": ticket.version, "status": ticket.status, **payload},
    )


def ticket_url(ticket_id: int) -> str:
    """The page of a ticket."""
    return f"/admin/escalation/ticket/{ticket_id}/change/"
