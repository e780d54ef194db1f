"""The response times of a ticket, on the clocks that the ladder uses: first answer, next answers, resolution.

The times are the ticket's category's, in the hours of its team. While the customer has to answer, all of them are held.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.core.business_time.opening import BusinessTimeError
from apps.core.models import User
from apps.escalation import calendars, clocks
from apps.escalation.models import Calendar, Clock, Ticket, TicketMessage
from apps.escalation.ticket_binding import running, write_event

Target = Clock.Target
ANSWERS = (Target.FIRST_RESPONSE, Target.NEXT_RESPONSE)


def begin(ticket: Ticket, now: datetime) -> None:
    """Start the clocks of a new ticket."""
    start(ticket, Target.FIRST_RESPONSE, now)
    start(ticket, Target.RESOLUTION, now)


def start(ticket: Ticket, target: Clock.Target, now: datetime, actor: User | None = None) -> None:
    """Start one clock, if the category sets a time for it and it does not run already."""
    allowed = _allowed(ticket, target)
    if allowed is None or target.value in running(ticket):
        return
    name = f"{target.label} of {ticket.category}"
    calendar = _calendar(ticket)
    try:
        clocks.start(
            ticket=ticket, target=target, calendar=calendar, allowed=allowed, now=now, reason=name, actor=actor
        )
    except BusinessTimeError as error:
        # A customer's ticket is not refused for a calendar that never opens; its page says that the deadline is missing.
        why = f"No deadline for {target.label.lower()}: the hours of {calendar} cannot be read ({error.code})."
        write_event(ticket, "no_deadline", None, now, why, target=target.value)


def answered(ticket: Ticket, now: datetime, actor: User) -> None:
    """The customer got an answer."""
    for target, clock in running(ticket).items():
        if target in ANSWERS:
            clocks.meet(clock=clock, now=now, reason="Answered", actor=actor)


def asked(ticket: Ticket, now: datetime) -> None:
    """The customer wrote: held clocks go on, and an answer is due."""
    resume(ticket, now, reason="The customer answered")
    if not set(running(ticket)) & set(ANSWERS):
        start(ticket, Target.NEXT_RESPONSE if ticket.first_responded_at else Target.FIRST_RESPONSE, now)


def hold(ticket: Ticket, now: datetime, *, reason: str, actor: User) -> None:
    """Hold all clocks, as while waiting for the customer."""
    for clock in running(ticket).values():
        if clock.status == Clock.Status.RUNNING:
            clocks.pause(clock=clock, now=now, reason=reason, actor=actor)


def resume(ticket: Ticket, now: datetime, *, reason: str, actor: User | None = None) -> None:
    """Let held clocks go on."""
    for clock in running(ticket).values():
        if clock.status == Clock.Status.PAUSED:
            clocks.resume(clock=clock, now=now, reason=reason, actor=actor)


def end(ticket: Ticket, now: datetime, *, reason: str, actor: User | None, met: bool) -> None:
    """End all clocks: met, or with nothing to meet any more."""
    for clock in running(ticket).values():
        (clocks.meet if met else clocks.cancel)(clock=clock, now=now, reason=reason, actor=actor)


def again(ticket: Ticket, now: datetime, actor: User | None) -> None:
    """Start what a reopened ticket needs: its resolution, and an answer if the customer wrote last."""
    start(ticket, Target.RESOLUTION, now, actor)
    if waits_for_answer(ticket):
        start(ticket, Target.NEXT_RESPONSE if ticket.first_responded_at else Target.FIRST_RESPONSE, now, actor)


def waits_for_answer(ticket: Ticket) -> bool:
    """Whether the customer wrote last."""
    said = TicketMessage.objects.filter(ticket=ticket).exclude(kind=TicketMessage.Kind.NOTE)
    kind: str | None = said.order_by("-id").values_list("kind", flat=True).first()
    return kind != TicketMessage.Kind.AGENT if kind else ticket.first_responded_at is None


def change(ticket: Ticket, now: datetime, *, reason: str, actor: User | None) -> None:
    """Give the clocks the times of another category or the hours of another team, counted from their start."""
    calendar = _calendar(ticket)
    for target, clock in running(ticket).items():
        allowed = _allowed(ticket, Target(target))
        if allowed is None:
            clocks.cancel(clock=clock, now=now, reason=reason, actor=actor)
        elif (allowed, calendar.pk) != (clock.allowed, clock.calendar_id):
            name = f"{Target(target).label} of {ticket.category}"
            clocks.change_policy(
                clock=clock, calendar=calendar, allowed=allowed, now=now, reason=reason, name=name, actor=actor
            )


def _allowed(ticket: Ticket, target: Clock.Target) -> timedelta | None:
    category = ticket.category
    if category is None:
        return None
    times = {
        Target.FIRST_RESPONSE: category.first_response,
        Target.NEXT_RESPONSE: category.next_response,
        Target.RESOLUTION: category.resolution,
    }
    return times.get(target)


def _calendar(ticket: Ticket) -> Calendar:
    return ticket.team.calendar if ticket.team else calendars.of_scope(ticket.scope)
