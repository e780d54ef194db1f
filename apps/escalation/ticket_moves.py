"""What moves tickets: assigning, waiting, resolving, opening again, closing, merging duplicates.

Each is one transaction with its record in the decision log, carries the version that was seen and is refused if the ticket
changed meanwhile; the same click again changes nothing and returns the ticket. Reasons are redacted before they are stored.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.core.decisions import record
from apps.core.models import User
from apps.core.redaction import redact
from apps.core.scope import may_work_in
from apps.escalation import outgoing, routing, ticket_clocks
from apps.escalation.binding import said
from apps.escalation.models import Team, Ticket, TicketEvent, TicketLink
from apps.escalation.ticket_binding import (
    UNDONE,
    VIEW,
    WORK,
    CannotAssign,
    CannotMerge,
    Status,
    WrongState,
    bind,
    entry,
    locked,
    locked_many,
    running,
    save,
    write_event,
)

MAX_REASON = 500


@transaction.atomic
def assign(
    *, ticket_id: int, seen_version: int, assignee: User | None, actor: User, now: datetime, reason: str = ""
) -> Ticket:
    """Give a ticket to somebody, or back to the queue. Capacity is for routing; a person may exceed it knowingly.

    Raises:
        CannotAssign: the person does not work tickets, or not in this one's scope.
        TicketChanged, WrongState, NotAllowed, TicketNotFound: nothing was done.
    """
    ticket = locked(ticket_id, actor)
    if _repeated(ticket, "assigned", actor, seen_version):
        return ticket
    bind(ticket, seen_version)
    if assignee and not (assignee.has_perms([VIEW, WORK]) and may_work_in(assignee, ticket.scope)):
        raise CannotAssign
    before = ticket.assignee_id
    if before == (assignee.pk if assignee else None):
        return ticket
    ticket.assignee = assignee
    if assignee and ticket.status == Status.NEW:
        ticket.status = Status.OPEN
    save(ticket, now, "assignee", "status")
    why = _kept(reason) or (f"{actor} gave it to {assignee}." if assignee else f"{actor} gave it back.")
    event = write_event(
        ticket, "assigned", actor, now, why, seen=seen_version, before=before,
        assignee=assignee.pk if assignee else None,
    )  # fmt: skip
    if assignee and assignee != actor:
        routing.tell(ticket, assignee, event.pk, why)
    _free(ticket.team if before and assignee else None, now)
    outgoing.publish(outgoing.of_ticket(ticket, "ticket.assigned", now))
    record(entry(ticket, actor, "ticket_assigned", why, before=before, assignee=ticket.assignee_id))
    return ticket


@transaction.atomic
def wait(*, ticket_id: int, seen_version: int, actor: User, reason: str, now: datetime) -> Ticket:
    """Say that the customer has to do something first; the clocks are held until the customer writes.

    Raises:
        MissingInformation, TicketChanged, WrongState, NotAllowed, TicketNotFound: nothing was done.
    """
    ticket = locked(ticket_id, actor)
    if _repeated(ticket, "waiting", actor, seen_version):
        return ticket
    bind(ticket, seen_version, (Status.NEW, Status.OPEN))
    reason = _kept(said(reason, "reason", "What the customer has to do.", MAX_REASON))
    ticket_clocks.hold(ticket, now, reason=reason, actor=actor)
    return _moved(ticket, Status.WAITING, "waiting", actor, now, reason, seen_version)


@transaction.atomic
def resume(*, ticket_id: int, seen_version: int, actor: User, reason: str = "", now: datetime) -> Ticket:
    """Go on without the customer's answer.

    Raises:
        TicketChanged, WrongState, NotAllowed, TicketNotFound: nothing was done.
    """
    ticket = locked(ticket_id, actor)
    if _repeated(ticket, "resumed", actor, seen_version):
        return ticket
    bind(ticket, seen_version, (Status.WAITING,))
    reason = _kept(reason) or "Resumed"
    ticket_clocks.resume(ticket, now, reason=reason, actor=actor)
    return _moved(ticket, Status.OPEN, "resumed", actor, now, reason, seen_version)


@transaction.atomic
def resolve(*, ticket_id: int, seen_version: int, actor: User, reason: str, now: datetime) -> Ticket:
    """Say that a ticket is done, and how. Its clocks end, and whoever has room gets the next one.

    Raises:
        MissingInformation, TicketChanged, WrongState, NotAllowed, TicketNotFound: nothing was done.
    """
    ticket = locked(ticket_id, actor)
    if _repeated(ticket, "resolved", actor, seen_version):
        return ticket
    bind(ticket, seen_version)
    reason = _kept(said(reason, "reason", "How it was resolved.", MAX_REASON))
    ticket_clocks.end(ticket, now, reason="Resolved", actor=actor, met=True)
    ticket.resolved_at = now
    return _moved(ticket, Status.RESOLVED, "resolved", actor, now, reason, seen_version)


@transaction.atomic
def reopen(*, ticket_id: int, seen_version: int, actor: User, reason: str, now: datetime) -> Ticket:
    """Take up a resolved or closed ticket again; it needs an answer and a resolution anew.

    Raises:
        MissingInformation, TicketChanged, WrongState, NotAllowed, TicketNotFound: nothing was done.
    """
    ticket = locked(ticket_id, actor)
    if _repeated(ticket, "reopened", actor, seen_version):
        return ticket
    bind(ticket, seen_version, (Status.RESOLVED, Status.CLOSED))
    reason = _kept(said(reason, "reason", "Why it is taken up again.", MAX_REASON))
    ticket.resolved_at = None
    ticket_clocks.again(ticket, now, actor)
    return _moved(ticket, Status.OPEN, "reopened", actor, now, reason, seen_version)


@transaction.atomic
def close(*, ticket_id: int, seen_version: int, actor: User, now: datetime, reason: str = "") -> Ticket:
    """Close a resolved ticket: what the customer writes from now on is a new one.

    Raises:
        TicketChanged, WrongState, NotAllowed, TicketNotFound: nothing was done.
    """
    ticket = locked(ticket_id, actor)
    if _repeated(ticket, "closed", actor, seen_version):
        return ticket
    bind(ticket, seen_version, (Status.RESOLVED,))
    return _moved(ticket, Status.CLOSED, "closed", actor, now, _kept(reason), seen_version)


@transaction.atomic
def withdraw(*, ticket_id: int, reason: str, now: datetime) -> Ticket:
    """Close a ticket that the product made and that is not needed any more; once more changes nothing.

    Raises:
        WrongState: somebody has answered it, so it is people's to close.
    """
    ticket = Ticket.objects.select_for_update(of=("self",), no_key=True).get(pk=ticket_id)
    if ticket.status == Status.CLOSED:
        return ticket
    bind(ticket, None, (Status.NEW, Status.OPEN))
    if ticket.first_responded_at is not None:
        raise WrongState(f"{ticket.number} has been answered; whoever answers it closes it.")
    ticket_clocks.end(ticket, now, reason="Withdrawn", actor=None, met=False)
    ticket.resolved_at = now
    return _moved(ticket, Status.CLOSED, "withdrawn", None, now, _kept(reason), ticket.version)


def _kept(reason: str) -> str:
    """A reason as it may be kept: redacted, and no longer than it may be."""
    return redact(reason.replace("\x00", "").strip()).text[:MAX_REASON]


def _moved(
    ticket: Ticket, status: Ticket.Status, kind: str, actor: User | None, now: datetime, reason: str, seen_version: int
) -> Ticket:
    """Put a ticket into a state, with its event, its news and its record."""
    before, ticket.status = ticket.status, status
    save(ticket, now, "status", "resolved_at")
    write_event(ticket, kind, actor, now, reason, seen=seen_version, before=before)
    _free(ticket.team, now)
    outgoing.publish(outgoing.of_ticket(ticket, f"ticket.{kind}", now))
    record(entry(ticket, actor, f"ticket_{kind}", reason, before=before))
    return ticket


def _free(team: Team | None, now: datetime) -> None:
    """Hands may have become free: give the team's waiting tickets to them."""
    if team:
        routing.fill(team, now)


def _repeated(ticket: Ticket, kind: str, actor: User, seen_version: int) -> bool:
    """Whether the same person did this before, having seen the same version: a double click."""
    if ticket.version == seen_version:
        return False
    return TicketEvent.objects.filter(ticket=ticket, kind=kind, actor=actor, data__seen=seen_version).exists()


@transaction.atomic
def merge(*, ticket_id: int, seen_version: int, into_id: int, actor: User, reason: str = "", now: datetime) -> Ticket:
    """Merge a duplicate into another ticket of the same scope, and return that one.

    The duplicate keeps its messages and its history, and passes on what the customer still writes to it; the other one
    gets its links and tags, and its order if it has none. If the duplicate's customer waits for an answer, the other
    one's clock of answers runs.

    Raises:
        CannotMerge: the same ticket, one that is not open, or one of another scope.
        TicketChanged, WrongState, NotAllowed, TicketNotFound: nothing was done.
    """
    if ticket_id == into_id:
        raise CannotMerge("A ticket cannot be merged into itself.")
    found = locked_many([ticket_id, into_id], actor)
    ticket, into = found[ticket_id], found[into_id]
    if ticket.merged_into_id == into.pk:
        return into
    bind(ticket, seen_version, (*UNDONE, Status.RESOLVED))
    if into.status not in UNDONE:
        raise CannotMerge(f"{into.number} is {into.get_status_display().lower()}.")
    if ticket.scope_id != into.scope_id:
        raise CannotMerge("The tickets belong to different scopes.")
    waits = bool(set(running(ticket)) & set(ticket_clocks.ANSWERS))
    ticket_clocks.end(ticket, now, reason=f"Merged into {into.number}", actor=actor, met=False)
    ticket.status, ticket.merged_into = Status.MERGED, into
    # Those that were merged into the duplicate follow it, so that there is never a chain.
    Ticket.objects.filter(merged_into=ticket).update(merged_into=into)
    save(ticket, now, "status", "merged_into")
    if waits:
        into.status = Status.OPEN  # this customer has answered, there
    _take_over(ticket, into, actor, now)
    if waits:
        ticket_clocks.asked(into, now)
    why = _kept(reason)
    write_event(ticket, "merged", actor, now, why or f"Into {into.number}.", seen=seen_version, into=into.pk)
    write_event(into, "merged_in", actor, now, why or f"{ticket.number} is the same.", merged=ticket.pk)
    _free(ticket.team, now)
    outgoing.publish(outgoing.of_ticket(ticket, "ticket.merged", now))
    record(entry(ticket, actor, "ticket_merged", why, into=into.pk))
    return into


def _take_over(ticket: Ticket, into: Ticket, actor: User, now: datetime) -> None:
    into.tags = list(dict.fromkeys([*into.tags, *ticket.tags]))
    into.order_reference = into.order_reference or ticket.order_reference
    into.priority = max(into.priority, ticket.priority)
    save(into, now, "status", "tags", "order_reference", "priority")
    links = [
        TicketLink(ticket=into, target=target, created_at=now, created_by=actor)
        for target in ticket.links.values_list("target", flat=True)
    ]
    TicketLink.objects.bulk_create(links, ignore_conflicts=True)
