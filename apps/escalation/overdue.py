"""What a clock that is due amounts to: which rungs are told, whom, in which words, and when to look again. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from apps.core.business_time import BusinessTimeError
from apps.core.models import Scope
from apps.core.notifications import News
from apps.core.roles import Role
from apps.escalation import calendars
from apps.escalation.calendars import Calendars
from apps.escalation.ladder import STAGES
from apps.escalation.levels import Allowance, Protocol
from apps.escalation.models import Calendar as CalendarRow
from apps.escalation.models import Clock, RiskFlag, Ticket
from apps.escalation.rungs import Audience, Staff, audience, circle, flag_url

Target = Clock.Target
# Of tickets: the assignee and the leads, then the managers. After them nobody is left to be told.
TICKET_RUNGS: tuple[tuple[Role, ...], ...] = ((Role.TEAM_LEAD,), (Role.SUPPORT_MANAGER,))
RETRY = timedelta(minutes=5)  # when a calendar cannot say


@dataclass(frozen=True, slots=True)
class Telling:
    """One rung that is told.

    Attributes:
        number: how often the clock was announced, this one included.
        audience: the people.
        news: for each of them.
        words: for the timeline.
    """

    number: int
    audience: Audience
    news: tuple[News, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a due clock: the rungs to tell, in order, and when the sweep looks again (None: not any more)."""

    clock: Clock
    tellings: tuple[Telling, ...]
    next_at: datetime | None


@dataclass
class Desk:
    """What one sweep knows: the protocol, who works where, and the calendars; read once for all of its clocks."""

    protocol: Protocol
    staff: Staff = field(default_factory=Staff)
    _calendars: Calendars | None = None
    _of_scopes: dict[int | None, int] = field(default_factory=dict)
    _rungs: dict[tuple[tuple[tuple[Role, ...], ...], int, int | None], Audience] = field(default_factory=dict)

    def calendar_of(self, scope: Scope | None) -> int:
        """The id of the business calendar of a scope."""
        key = scope.pk if scope else None
        if key not in self._of_scopes:
            self._of_scopes[key] = calendars.of_scope(scope).pk
        return self._of_scopes[key]

    def after(self, at: datetime, pace: Pace) -> datetime:
        """When the next rung's time is over; in five minutes if the calendar cannot say, for nobody may be forgotten."""
        if pace.calendar is None:
            return at + pace.working
        if self._calendars is None:
            self._calendars = Calendars(CalendarRow.objects.values_list("pk", flat=True))
        try:
            return self._calendars[pace.calendar].add(at, pace.working).due_at
        except (BusinessTimeError, KeyError):
            return at + RETRY

    def rung(self, rungs: tuple[tuple[Role, ...], ...], number: int, scope: Scope | None) -> Audience:
        """The people of a rung, looked up once."""
        key = (rungs, number % len(rungs), scope.pk if scope else None)
        if key not in self._rungs:
            self._rungs[key] = audience(rungs, number, scope, self.staff)
        return self._rungs[key]

    def judge(self, clock: Clock, now: datetime) -> Outcome:
        """What becomes of a clock that is due."""
        if clock.flag is not None:
            return self._of_flag(clock, clock.flag, now)
        assert clock.ticket is not None  # a clock belongs to a flag or to a ticket (constraint)
        return self._of_ticket(clock, clock.ticket, now)

    def _of_flag(self, clock: Clock, flag: RiskFlag, now: datetime) -> Outcome:
        if flag.step not in STAGES or flag.step != clock.step:
            return Outcome(clock, (), None)
        rungs = circle(self.protocol, flag.step)
        pace = self._pace(clock, flag)
        numbers, next_at = self._numbers(clock, pace, len(rungs), now)
        # Who owns the step was told when it began, except of what is only documented.
        told_before = clock.target == Target.ACKNOWLEDGE and flag.step != RiskFlag.Step.DOCUMENTED
        tellings = []
        for number in numbers:
            found = self.rung(rungs, number if told_before else number - 1, flag.scope)
            if number == 1 and clock.target == Target.STEP and flag.assignee and flag.assignee.is_active:
                found = found.joined_by(flag.assignee)
            tellings.append(Telling(number, found, _news(clock, flag, number, found), _words(clock, flag, found)))
        return Outcome(clock, tuple(tellings), next_at)

    def _of_ticket(self, clock: Clock, ticket: Ticket, now: datetime) -> Outcome:
        left = TICKET_RUNGS[clock.rung :]
        if not left or ticket.status not in ("new", "open"):
            return Outcome(clock, (), None)
        minutes = self.protocol.ticket_overdue
        pace = Pace(timedelta(minutes=minutes.minutes or 0), None if minutes.always else clock.calendar_id)
        numbers, next_at = self._numbers(clock, pace, len(left), now)
        tellings = []
        for number in numbers:
            found = audience(TICKET_RUNGS[number - 1 : number], 0, ticket.scope, self.staff)
            if number == 1 and ticket.assignee and ticket.assignee.is_active:
                found = found.joined_by(ticket.assignee)
            tellings.append(Telling(number, found, _ticket_news(clock, ticket, number, found), found.words()))
        return Outcome(clock, tuple(tellings), next_at if numbers[-1] < len(TICKET_RUNGS) else None)

    def _pace(self, clock: Clock, flag: RiskFlag) -> Pace | None:
        if clock.target == Target.ACKNOWLEDGE:
            return Pace(clock.allowed, clock.calendar_id)
        time = self.protocol.interval(flag.level, flag.step)
        return self._of(time, flag.scope) if time else None

    def _of(self, time: Allowance, scope: Scope | None) -> Pace:
        return Pace(timedelta(minutes=time.minutes or 0), None if time.always else self.calendar_of(scope))

    def _numbers(self, clock: Clock, pace: Pace | None, most: int, now: datetime) -> tuple[list[int], datetime | None]:
        """Which announcements are due, and when the next one is.

        After an outage every rung whose time has passed is told at once, in order, but none twice: at most one round. From
        there the times count from now.
        """
        numbers = [clock.rung + 1]
        if pace is None:
            return numbers, None
        assert clock.next_deadline_at is not None  # that is what made it due
        at = self.after(clock.next_deadline_at, pace)
        while at <= now and len(numbers) < most:
            numbers.append(numbers[-1] + 1)
            at = self.after(at, pace)
        return numbers, at if at > now else self.after(now, pace)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a rung has: working time of a calendar, or of every hour if there is none."""

    working: timedelta
    calendar: int | None


def _words(clock: Clock, flag: RiskFlag, told: Audience) -> str:
    what = "Nobody has acknowledged" if clock.target == Target.ACKNOWLEDGE else f"Overdue: {flag.get_step_display()}"
    return f"{what}. {told.words()}"


def _news(clock: Clock, flag: RiskFlag, number: int, told: Audience) -> tuple[News, ...]:
    what = "Not acknowledged" if clock.target == Target.ACKNOWLEDGE else f"Overdue, {flag.get_step_display()}"
    title = f"{what}: {flag.get_level_display()}: {flag.title}"
    body = f"{_words(clock, flag, told)}\n\n{flag.description}"
    key = dedupe_key(clock, number)
    urgent, insist = flag.level >= RiskFlag.Level.HIGH, flag.level == RiskFlag.Level.CRITICAL
    url = flag_url(flag.pk)
    return tuple(News(person, title, body, key, url, urgent, insist) for person in told.people)


def _ticket_news(clock: Clock, ticket: Ticket, number: int, told: Audience) -> tuple[News, ...]:
    title = f"Overdue, {clock.get_target_display().lower()}: {ticket.number} {ticket.subject}"
    body = f"It was due at {clock.due_at:%Y-%m-%d %H:%M} UTC."
    urgent = ticket.priority == Ticket.Priority.URGENT
    url = f"/admin/escalation/ticket/{ticket.pk}/change/"
    return tuple(News(person, title, body, dedupe_key(clock, number), url, urgent) for person in told.people)


def dedupe_key(clock: Clock, number: int) -> str:
    """Names an announcement, so that nobody gets it twice."""
    return f"clock:{clock.pk}:{number}"


def event_data(telling: Telling, late: timedelta) -> dict[str, Any]:
    """An announcement as it stands in events."""
    return {"rung": telling.number, "late_seconds": round(late.total_seconds()), **telling.audience.data()}
