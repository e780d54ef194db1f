"""Writes about tickets: making them, what is said, corrections, links. What moves them is in ``ticket_moves``.

Each is one transaction. Texts are redacted before they are stored; the raw text is nowhere kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from apps.core.decisions import record
from apps.core.models import Scope, User
from apps.core.redaction import redact
from apps.escalation import outgoing, reports, routing, ticket_clocks
from apps.escalation.binding import MissingInformation, said
from apps.escalation.models import Category, Ticket, TicketLink, TicketMessage
from apps.escalation.ticket_binding import (
    CREATE,
    UNDONE,
    Status,
    WrongState,
    authorise,
    bind,
    entry,
    locked,
    save,
    write_event,
)
from apps.escalation.ticket_moves import assign, close, merge, reopen, resolve, resume, wait, withdraw

__all__ = [
    "add_link", "assign", "close", "create", "edit", "merge", "note", "receive", "reopen", "reply", "resolve", "resume",
    "wait", "withdraw",
]  # fmt: skip

Kind = TicketMessage.Kind
MAX_MESSAGE = 10_000
CONTACT = ("requester_name", "requester_contact")
# What people may correct, and what a category may require of it.
EDITABLE = (*CONTACT, "subject", "summary", "order_reference", "priority", "tags", "category")
REQUIRABLE = (*CONTACT, "summary", "order_reference")


@transaction.atomic
def create(
    *,
    subject: str,
    channel: str,
    requester_name: str = "",
    requester_contact: str = "",
    category: Category | None = None,
    summary: str = "",
    order_reference: str = "",
    priority: int | None = None,
    source: str = "",
    message: str = "",
    scope: Scope | None = None,
    actor: User | None = None,
    now: datetime,
) -> Ticket:
    """Make a ticket, start its clocks and route it; or return the one that the same source made before.

    Args:
        category: says what the ticket needs, who answers it, and in which time.
        source: what it is made from, such as ``conversation:17``; one ticket per source.
        message: the customer's first words.
        scope: the store or team it belongs to; the team's own if None.
        actor: who makes it; None for the system.

    Raises:
        MissingInformation: what is missing or cannot be stored, by field.
        NotAllowed: the person may not make tickets.
    """
    if actor:
        authorise(actor, CREATE)
    if source and (made := Ticket.objects.filter(source=source).first()):
        return made
    texts = {
        "subject": subject, "summary": summary, "order_reference": order_reference, "requester_name": requester_name,
        "requester_contact": requester_contact,
    }  # fmt: skip
    ticket = _drafted(texts, now, channel=channel, category=category, priority=priority, source=source, scope=scope)
    # The unique constraint on the source settles the race of two requests; the loser takes the winner's ticket.
    made, created = _insert(ticket)
    if not created:
        return made
    write_event(ticket, "created", actor, now, f"From {ticket.get_channel_display()}.", category=ticket.category_id)
    _begin(ticket, message, now)
    record(entry(ticket, actor, "ticket_created", "", channel=channel, assignee=ticket.assignee_id))
    return ticket


def _drafted(texts: Mapping[str, str], now: datetime, *, priority: int | None, **facts: Any) -> Ticket:
    """A ticket that is complete and has its number and scope, but is not written yet.

    Raises:
        MissingInformation: what is missing or cannot be stored, by field.
    """
    words = {name: _kept(name, value) for name, value in texts.items()}
    ticket = Ticket(priority=priority or Ticket.Priority.NORMAL, created_at=now, updated_at=now, **facts, **words)
    _check(ticket)
    team, _ = routing.team_of(ticket.category, ticket.scope)
    ticket.scope = ticket.scope or (team.scope if team else None)
    ticket.number = _next_number()
    return ticket


def _begin(ticket: Ticket, message: str, now: datetime) -> None:
    """What follows for a new ticket: its first words are kept and looked at, somebody gets it, and its clocks begin."""
    if message.strip():
        _say(ticket, Kind.CUSTOMER, None, said(message, "message", "", MAX_MESSAGE), None, now)
    else:
        _observe(ticket, f"ticket:{ticket.pk}", f"{ticket.subject}\n{ticket.summary}", now)
    routing.route(ticket, now)
    ticket_clocks.begin(ticket, now)
    outgoing.publish(outgoing.of_ticket(ticket, "ticket.created", now))


def _insert(ticket: Ticket) -> tuple[Ticket, bool]:
    if not ticket.source:
        ticket.save(force_insert=True)
        return ticket, True
    Ticket.objects.bulk_create([ticket], ignore_conflicts=True)
    found = Ticket.objects.get(source=ticket.source)
    if found.number != ticket.number:
        return found, False
    ticket.pk = found.pk
    ticket._state.adding = False
    return ticket, True


def _next_number() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('escalation_ticket_number')")
        return f"T-{cursor.fetchone()[0]}"


def _kept(name: str, value: Any) -> Any:
    """A value without what must not be kept; contact fields keep how to reach the person."""
    if not isinstance(value, str):
        return value
    policy = "contact" if name in CONTACT else "message"
    text = redact(value.replace("\x00", "").strip(), policy).text
    return " ".join(text.split()) if name == "subject" else text


def _check(ticket: Ticket) -> None:
    """Refuse what cannot be stored, and what the category needs and does not get.

    Raises:
        MissingInformation: what is wrong, by field.
    """
    wrong: dict[str, list[str]] = {}
    try:
        ticket.clean_fields(exclude=("number", "scope", "team", "assignee", "merged_into"))
    except ValidationError as error:
        wrong |= error.message_dict
    needed = ticket.category.required_fields if ticket.category else []
    for name in REQUIRABLE:
        if name in needed and not str(getattr(ticket, name)).strip():
            wrong.setdefault(name, []).append(f"{ticket.category} needs it.")
    if wrong:
        raise MissingInformation("The ticket is not complete.", fields=wrong)


@transaction.atomic
def reply(
    *,
    ticket_id: int,
    text: str,
    actor: User,
    now: datetime,
    seen_version: int | None = None,
    then_wait: bool = False,
    key: UUID | None = None,
) -> TicketMessage:
    """Answer the customer.

    Args:
        seen_version: the version that was looked at; None answers whatever was said meanwhile.
        then_wait: the customer has to say something now, and the clocks are held until then.
        key: of this click; the same key again returns the same message.

    Raises:
        MissingInformation, TicketChanged, WrongState, NotAllowed, TicketNotFound: nothing was done.
    """
    ticket = locked(ticket_id, actor)
    text = said(text, "text", "Write an answer.", MAX_MESSAGE)
    if before := _said_before(ticket, key, Kind.AGENT, actor):
        return before
    bind(ticket, seen_version)
    message = _say(ticket, Kind.AGENT, actor, text, key, now)
    ticket_clocks.answered(ticket, now, actor)
    ticket.first_responded_at = ticket.first_responded_at or now
    if then_wait:
        ticket_clocks.hold(ticket, now, reason="Waiting for the customer", actor=actor)
    else:
        ticket_clocks.resume(ticket, now, reason="Answered", actor=actor)
    ticket.status = Status.WAITING if then_wait else Status.OPEN
    save(ticket, now, "status", "first_responded_at")
    write_event(ticket, "answered", actor, now, message=message.pk, waiting=then_wait)
    if then_wait and ticket.team:
        routing.fill(ticket.team, now)
    outgoing.publish(outgoing.of_ticket(ticket, "ticket.answered", now))
    record(entry(ticket, actor, "ticket_answered", "", reply=message.pk))
    return message


@transaction.atomic
def receive(*, ticket_id: int, text: str, now: datetime, key: UUID | None = None) -> TicketMessage:
    """Take in what the customer wrote: a waiting or resolved ticket is open again, and an answer is due.

    A merged ticket passes it on to the one that it was merged into.

    Raises:
        MissingInformation: there is no text.
        WrongState: the ticket is closed; a new one has to be made.
    """
    ticket = _receiving(ticket_id)
    text = said(text, "text", "There is no text.", MAX_MESSAGE)
    if before := _said_before(ticket, key, Kind.CUSTOMER, None):
        return before
    bind(ticket, None, (*UNDONE, Status.RESOLVED))
    message = _say(ticket, Kind.CUSTOMER, None, text, key, now)
    reopened = ticket.status == Status.RESOLVED
    if ticket.status in (Status.WAITING, Status.RESOLVED):
        ticket.status = Status.OPEN
    ticket.resolved_at = None
    save(ticket, now, "status", "resolved_at")
    if reopened:
        write_event(ticket, "reopened", None, now, "The customer wrote again.")
        ticket_clocks.again(ticket, now, None)
        record(entry(ticket, None, "ticket_reopened", "The customer wrote again."))
    else:
        ticket_clocks.asked(ticket, now)
    outgoing.publish(outgoing.of_ticket(ticket, "ticket.received", now))
    return message


def _receiving(ticket_id: int) -> Ticket:
    ticket = Ticket.objects.select_for_update(of=("self",), no_key=True).get(pk=ticket_id)
    return _receiving(ticket.merged_into_id) if ticket.merged_into_id else ticket


@transaction.atomic
def note(*, ticket_id: int, text: str, actor: User, now: datetime, key: UUID | None = None) -> TicketMessage:
    """Write a line for colleagues. The ticket's version stays, for nothing that is decided upon changes.

    Raises:
        MissingInformation, NotAllowed, TicketNotFound: nothing was done.
    """
    ticket = locked(ticket_id, actor)
    text = said(text, "text", "Write something.", MAX_MESSAGE)
    if before := _said_before(ticket, key, Kind.NOTE, actor):
        return before
    return _say(ticket, Kind.NOTE, actor, text, key, now)


def _said_before(ticket: Ticket, key: UUID | None, kind: str, author: User | None) -> TicketMessage | None:
    """The message that the same click made before; looked up while the ticket is locked.

    Raises:
        WrongState: the key was another message's.
    """
    before = TicketMessage.objects.filter(ticket=ticket, client_key=key).first() if key else None
    if before and (before.kind, before.author_id) != (kind, author.pk if author else None):
        raise WrongState("This key was used for another message.")
    return before


def _say(ticket: Ticket, kind: str, author: User | None, text: str, key: UUID | None, now: datetime) -> TicketMessage:
    kept = redact(text.replace("\x00", ""))
    message = TicketMessage.objects.create(
        ticket=ticket, kind=kind, author=author, body=kept.text, masked=kept.masked, client_key=key, created_at=now
    )
    if kind == Kind.CUSTOMER:
        _observe(ticket, f"ticket_message:{message.pk}", kept.text, now)
    return message


def _observe(ticket: Ticket, source: str, text: str, now: datetime) -> None:
    """Have the indicators of risks see what the customer says, after commit."""
    reports.observe(
        source=source,
        text=text,
        customer=ticket.requester_contact or ticket.requester_name or ticket.number,
        category=ticket.category.slug if ticket.category else "",
        scope=ticket.scope,
        at=now,
        subject=f"ticket:{ticket.pk}",
    )


@transaction.atomic
def edit(*, ticket_id: int, seen_version: int, fields: Mapping[str, Any], actor: User, now: datetime) -> Ticket:
    """Correct a ticket. Another category brings its own times, and its team if that is another one.

    Args:
        fields: of :data:`EDITABLE`.

    Raises:
        TicketChanged, WrongState, MissingInformation, NotAllowed, TicketNotFound: nothing was done.
    """
    ticket = locked(ticket_id, actor)
    bind(ticket, seen_version)
    if unknown := sorted(set(fields) - set(EDITABLE)):
        raise MissingInformation(fields={name: ["This cannot be changed."] for name in unknown})
    kept = {name: _kept(name, value) for name, value in fields.items()}
    changed = [name for name, value in kept.items() if getattr(ticket, name) != value]
    if not changed:
        return ticket
    for name in changed:
        setattr(ticket, name, kept[name])
    _check(ticket)
    save(ticket, now, *changed)
    write_event(ticket, "edited", actor, now, f"Changed: {', '.join(changed)}.", fields=changed)
    if "category" in changed:
        _reroute(ticket, actor, now)
    record(entry(ticket, actor, "ticket_edited", "", fields=changed))
    return ticket


def _reroute(ticket: Ticket, actor: User, now: datetime) -> None:
    before = ticket.team
    team, _ = routing.team_of(ticket.category, ticket.scope)
    if team and before and team != before:
        routing.lock_teams(team, before)  # both at once: somebody may be moving a ticket the other way
    if team and team != before:
        routing.route(ticket, now)
    ticket_clocks.change(ticket, now, reason="Category changed", actor=actor)
    for target in (ticket_clocks.Target.FIRST_RESPONSE, ticket_clocks.Target.RESOLUTION):
        if target != ticket_clocks.Target.FIRST_RESPONSE or ticket.first_responded_at is None:
            ticket_clocks.start(ticket, target, now, actor)
    if before and team != before:
        routing.fill(before, now)


@transaction.atomic
def add_link(*, ticket_id: int, target: str, actor: User | None, now: datetime) -> TicketLink:
    """Note that a ticket has to do with something else, such as ``risk_flag:4``. Called twice, it is there once.

    Raises:
        MissingInformation: the target is not ``kind:id``.
        NotAllowed, TicketNotFound: the person may not.
    """
    if actor:
        locked(ticket_id, actor)
    kind, _, key = target.partition(":")
    if not kind.isidentifier() or not key or len(target) > 100:
        raise MissingInformation(fields={"target": ["kind:id, such as risk_flag:4."]})
    found, _ = TicketLink.objects.get_or_create(
        ticket_id=ticket_id, target=target, defaults={"created_by": actor, "created_at": now}
    )
    return found
