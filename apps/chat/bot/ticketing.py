"""A conversation that goes on as a ticket, because nobody is there or a tool is down."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db.models import Q

from apps.chat.binding import moved
from apps.chat.bot import intake
from apps.chat.bot.summary import summary_of
from apps.chat.conversations import turn_over
from apps.chat.models import Conversation, Event, Handoff
from apps.chat.saying import locked
from apps.escalation import routing, tickets
from apps.escalation.binding import MissingInformation
from apps.escalation.models import Category, Team, Ticket
from apps.escalation.ticket_binding import WrongState, running
from apps.escalation.ticket_clocks import ANSWERS

NOT_GIVEN = "Not given"
URGENT_REASONS = (Handoff.Reason.ANGER, Handoff.Reason.RISK)


def make_ticket(conversation: Conversation, handoff: Handoff | None, team: Team | None, now: datetime) -> Ticket:
    """Make (or add to) the conversation's ticket and resolve the conversation as going on there.

    Called while holding the conversation's row lock. What was not answered stands as not given, so that a ticket is never
    refused for what a customer would not say.
    """
    known = dict(handoff.fields) if handoff else intake.known(conversation, intake.messages_of(conversation))
    category = handoff.category if handoff else conversation.category
    reason = handoff.reason if handoff else Handoff.Reason.WISH.value
    ticket = ticket_of(conversation, category, team, known, reason, now)
    if handoff is not None:
        handoff.ticket, handoff.closed_at = ticket, now
        handoff.save(update_fields=["ticket", "closed_at"])
    conversation = locked(conversation.pk)  # its counters as they are now
    conversation.ticket = ticket
    conversation.save(update_fields=["ticket"])
    turn_over(conversation, now)
    conversation.state, conversation.resolution = Conversation.State.RESOLVED, Conversation.Resolution.TICKET
    conversation.resolved_at, conversation.waiting_since = now, None
    moved(
        conversation, now, kind=Event.Kind.STATE, by=None, what="resolved", resolution="ticket", ticket=ticket.number,
        text="",
    )  # fmt: skip
    return ticket


def ticket_of(
    conversation: Conversation, category: Category | None, team: Team | None, known: Mapping[str, str], reason: str,
    now: datetime,
) -> Ticket:  # fmt: skip
    """The conversation's ticket with what was said last: the open one, or a new one."""
    words = "\n".join(intake.messages_of(conversation))[-tickets.MAX_MESSAGE :]
    before = Ticket.objects.filter(Q(source=_first(conversation)) | Q(source__startswith=f"{_first(conversation)}:"))
    latest = before.order_by("-pk").values_list("pk", flat=True).first()
    if latest and (grown := _added(latest, words, now)):
        return grown
    try:
        return _created(conversation, category, team, known, reason, words, now)
    except MissingInformation:
        # A category may ask for what no field here can hold; without one, the team still gets the words.
        return _created(conversation, None, team, known, reason, words, now)


def _added(ticket_id: int, words: str, now: datetime) -> Ticket | None:
    """The ticket with the new words, if it still takes any."""
    try:
        return tickets.receive(ticket_id=ticket_id, text=words or NOT_GIVEN, now=now).ticket
    except WrongState:
        return None


def _created(
    conversation: Conversation, category: Category | None, team: Team | None, known: Mapping[str, str], reason: str,
    words: str, now: datetime,
) -> Ticket:  # fmt: skip
    required = set(category.required_fields if category else ())
    facts = {name: known.get(name, "") or (NOT_GIVEN if name in required else "") for name in intake.FIELDS}
    routed, _why = routing.team_of(category, conversation.scope)
    about = next(iter(known.get("summary", "").splitlines()), "") or conversation.subject
    ticket = tickets.create(
        subject=(about or f"Chat conversation {conversation.pk}")[:200],
        channel=Ticket.Channel.CHAT,
        requester_name=facts["requester_name"],
        requester_contact=facts["requester_contact"],
        category=category,
        summary=_summary(conversation, reason, known),
        order_reference=facts["order_reference"],
        priority=Ticket.Priority.HIGH if reason in URGENT_REASONS else None,
        source=_source(conversation),
        message=words,
        scope=conversation.scope if routed or team is None else team.scope,
        now=now,
    )
    tickets.add_link(ticket_id=ticket.pk, target=f"conversation:{conversation.pk}", actor=None, now=now)
    return ticket


def _summary(conversation: Conversation, reason: str, known: Mapping[str, str]) -> str:
    """Without the contact, which has a field of its own."""
    return summary_of(
        conversation, reason, {name: value for name, value in known.items() if name in ("summary", "order_reference")}
    )


def _source(conversation: Conversation) -> str:
    """One ticket for each matter: the first has the conversation's name, later ones say which context."""
    taken = Ticket.objects.filter(source=_first(conversation)).exists()
    return f"{_first(conversation)}:{conversation.context}" if taken else _first(conversation)


def _first(conversation: Conversation) -> str:
    return f"conversation:{conversation.pk}"


def promised(ticket: Ticket) -> datetime | None:
    """By when the ticket's own clock wants it answered, if its category sets a time."""
    clocks = running(ticket)
    return next((clocks[target].due_at for target in ANSWERS if target in clocks), None)
