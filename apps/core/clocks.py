"""Deadline clocks as append-only events: what is left, when it is due, and why.

Pure: the events are given, nothing is stored. The rules:

- A clock starts once, may be held (``pause``) and go on (``resume``), may change its policy while it runs or is held, and
  ends when its goal is met, whether it runs or is held. After that nothing more happens to it; who reopens, starts another.
- Events stand in the order in which they were appended, and their times may not go back; equal times are allowed.
- Only open time of the calendar counts, and only while the clock runs. It falls due when the allowance is used up.
- A policy change applies the new allowance and calendar from the start of the clock, as if they had always held, and keeps
  the held time: stretches in which the clock was held stay out. A stricter policy can therefore be overdue at once.
- While a clock is held it has no due time, unless the allowance had been used up before.

What does not fit is refused with a stable code: ``not_started``, ``already_started``, ``already_paused``, ``not_paused``,
``already_met``, ``out_of_order``, ``naive_time``, ``no_policy``, ``needless_policy``, ``bad_allowance``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from apps.core.business_time import Calendar, Deadline, Step
from apps.core.business_time.trace import collapse, in_words, spoken, step

NOTHING = timedelta()
MICROSECOND = timedelta(microseconds=1)
MOST = 40  # steps of a trace


class ClockError(ValueError):
    """A refused event. ``code`` is stable and for programs; the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


class Kind(StrEnum):
    """What can happen to a clock; the values are what is stored."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    POLICY_CHANGE = "policy_change"
    MET = "met"


class Phase(StrEnum):
    """What a clock does now."""

    RUNNING = "running"
    HELD = "held"
    MET = "met"


@dataclass(frozen=True)
class Policy:
    """How much working time there is, by which calendar. ``name`` is for people.

    Raises:
        ClockError: ``bad_allowance`` if the allowance is negative.
    """

    name: str
    allowance: timedelta
    calendar: Calendar

    def __post_init__(self) -> None:
        if self.allowance < NOTHING:
            raise ClockError("bad_allowance", "A clock cannot be given less than no time.")


@dataclass(frozen=True)
class Event:
    """One thing that happened to a clock.

    Args:
        kind: what happened.
        at: an aware time.
        policy: comes with a start and a policy change, and with nothing else.
        reason: for people.

    Raises:
        ClockError: ``naive_time``, ``no_policy``, ``needless_policy``.
    """

    kind: Kind
    at: datetime
    policy: Policy | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.at.tzinfo is None or self.at.utcoffset() is None:
            raise ClockError("naive_time", f"{self.at} has no time zone.")
        brings = self.kind in (Kind.START, Kind.POLICY_CHANGE)
        if brings and self.policy is None:
            raise ClockError("no_policy", f"A {self.kind} event needs a policy.")
        if not brings and self.policy is not None:
            raise ClockError("needless_policy", f"A {self.kind} event has no policy.")


@dataclass(frozen=True)
class Spell:
    """A stretch in which the clock ran or was held; open-ended while that lasts."""

    start: datetime
    end: datetime | None = None
    reason: str = ""


@dataclass(frozen=True)
class Change:
    """A policy change: when, what held before, why."""

    at: datetime
    before: Policy
    reason: str


@dataclass(frozen=True)
class Clock:
    """What the events add up to. Made by ``fold`` and ``apply``.

    The methods that take ``now`` read a time before the last event as that event's: a machine's clock may step back, and
    looking at a clock must not fail then. They and ``due`` may raise ``BusinessTimeError`` as the calendar does.

    Attributes:
        phase: what it does now.
        policy: the one that holds now.
        started_at, last_at: times of the first and the last event.
        runs, holds: when it ran and when it was held.
        changes: of the policy.
        met_at: when the goal was met.
    """

    phase: Phase
    policy: Policy
    started_at: datetime
    last_at: datetime
    runs: tuple[Spell, ...]
    holds: tuple[Spell, ...] = ()
    changes: tuple[Change, ...] = ()
    met_at: datetime | None = None

    def used(self, now: datetime) -> timedelta:
        """Working time that the runs took."""
        now = max(now, self.last_at)
        between = self.policy.calendar.working_between
        return sum((between(run.start, run.end or now) for run in self.runs), NOTHING)

    def remaining(self, now: datetime) -> timedelta:
        """Working time that is left; negative when overdue."""
        return self.policy.allowance - self.used(now)

    def held(self, now: datetime) -> timedelta:
        """Real time, open or not, during which the clock was held."""
        now = max(now, self.last_at)
        return sum(((hold.end or now) - hold.start for hold in self.holds), NOTHING)

    def due(self) -> Deadline | None:
        """When the allowance is used up; ``None`` if that cannot be said while it is held, or was not reached."""
        found = self._due()
        return found[1] if found else None

    @property
    def due_at(self) -> datetime | None:
        """The time of ``due``, in UTC."""
        deadline = self.due()
        return deadline.due_at if deadline else None

    def is_overdue(self, now: datetime) -> bool:
        """Whether the allowance was used up before the goal was met; met at the due time itself is in time."""
        due_at = self.due_at
        if due_at is None:
            return False
        return self.met_at > due_at if self.met_at else max(now, self.last_at) >= due_at

    def _due(self) -> tuple[Spell, Deadline] | None:
        """The run in which the allowance is used up, and the deadline in it."""
        calendar, left = self.policy.calendar, self.policy.allowance
        for run in self.runs:
            used = calendar.working_between(run.start, run.end) if run.end else NOTHING
            if run.end is None or used >= left:
                return run, calendar.add(run.start, left)
            left -= used
        return None

    @property
    def trace(self) -> tuple[Step, ...]:
        """Why it is due when it is, ready for JSON: start, runs, holds, policy changes, the calendar's part, the goal."""
        return _told(self, self._due())


def fold(events: Iterable[Event]) -> Clock:
    """What events in the order of their appending add up to.

    Raises:
        ClockError: for the first event that does not fit; ``not_started`` if there is none.
    """
    clock: Clock | None = None
    for event in events:
        clock = apply(clock, event)
    if clock is None:
        raise ClockError("not_started", "This clock has not been started.")
    return clock


def apply(clock: Clock | None, event: Event) -> Clock:
    """The clock after one more event. Ask this before appending; a refused event must not be stored.

    Raises:
        ClockError: see the module.
    """
    if clock is None:
        if event.kind is not Kind.START or event.policy is None:
            raise ClockError("not_started", f"A clock that was not started cannot take a {event.kind} event.")
        return Clock(Phase.RUNNING, event.policy, event.at, event.at, runs=(Spell(event.at),))
    _check(clock, event)
    clock = replace(clock, last_at=event.at)
    if event.kind is Kind.PAUSE:
        hold = Spell(event.at, reason=event.reason)
        return replace(clock, phase=Phase.HELD, runs=_ended(clock.runs, event.at), holds=(*clock.holds, hold))
    if event.kind is Kind.RESUME:
        run = Spell(event.at)
        return replace(clock, phase=Phase.RUNNING, runs=(*clock.runs, run), holds=_ended(clock.holds, event.at))
    if event.policy is not None:
        change = Change(event.at, clock.policy, event.reason)
        return replace(clock, policy=event.policy, changes=(*clock.changes, change))
    runs, holds = _ended(clock.runs, event.at), _ended(clock.holds, event.at)
    return replace(clock, phase=Phase.MET, runs=runs, holds=holds, met_at=event.at)


def _check(clock: Clock, event: Event) -> None:
    if event.at < clock.last_at:
        raise ClockError("out_of_order", f"{event.at} lies before the last event at {clock.last_at}.")
    if clock.phase is Phase.MET:
        raise ClockError("already_met", f"The goal was met; no {event.kind} event can follow.")
    if event.kind is Kind.START:
        raise ClockError("already_started", "This clock was started before.")
    if event.kind is Kind.PAUSE and clock.phase is Phase.HELD:
        raise ClockError("already_paused", "This clock is held already.")
    if event.kind is Kind.RESUME and clock.phase is Phase.RUNNING:
        raise ClockError("not_paused", "This clock is running.")


def _ended(spells: tuple[Spell, ...], at: datetime) -> tuple[Spell, ...]:
    """The last of the spells ends, if it still lasts."""
    if not spells or spells[-1].end is not None:
        return spells
    return (*spells[:-1], replace(spells[-1], end=at))


Told = Iterator[tuple[datetime, tuple[Step, ...]]]


def _told(clock: Clock, due: tuple[Spell, Deadline] | None) -> tuple[Step, ...]:
    """Put what happened in order of time; the run that decides is told by the calendar, step by step."""
    told = sorted((*_policies(clock), *_runs(clock, due), *_holds(clock)), key=lambda each: each[0])
    if clock.met_at:
        told += [_line(clock, "met", clock.met_at, f"goal met, {_balance(clock, clock.met_at)}")]
    return collapse([line for _, lines in told for line in lines], MOST)


def _line(
    clock: Clock, kind: str, at: datetime, text: str, used: timedelta = NOTHING
) -> tuple[datetime, tuple[Step, ...]]:
    local = at.astimezone(clock.policy.calendar.zone)
    return at, (step(kind, local.toordinal(), f"{spoken(local)} {text}", used // MICROSECOND),)


def _until(clock: Clock, end: datetime) -> str:
    return f"to {spoken(end.astimezone(clock.policy.calendar.zone))}"


def _balance(clock: Clock, now: datetime) -> str:
    left = clock.remaining(now)
    return f"{in_words(left)} left" if left >= NOTHING else f"{in_words(-left)} late"


def _policies(clock: Clock) -> Told:
    policies = [*(change.before for change in clock.changes), clock.policy]
    words = [f"{in_words(policy.allowance)} of {policy.calendar.name}, {policy.name}" for policy in policies]
    yield _line(clock, "start", clock.started_at, f"starts: {words[0]}")
    for change, after in zip(clock.changes, words[1:], strict=True):
        why = f" ({change.reason})" if change.reason else ""
        yield _line(clock, "policy", change.at, f"policy changes to {after}, counted from the start{why}")


def _runs(clock: Clock, due: tuple[Spell, Deadline] | None) -> Told:
    for run in clock.runs:
        if due and run is due[0]:
            # After the policies, because the last of them is the one that it counts by.
            last = clock.changes[-1].at if clock.changes else run.start
            yield max(run.start, last), due[1].trace
        elif run.end:
            used = clock.policy.calendar.working_between(run.start, run.end)
            yield _line(clock, "run", run.start, f"{_until(clock, run.end)} used {in_words(used)}", used)


def _holds(clock: Clock) -> Told:
    for hold in clock.holds:
        why = f": {hold.reason}" if hold.reason else ""
        words = f"{_until(clock, hold.end)} held" if hold.end else f"held since then, {_balance(clock, hold.start)}"
        yield _line(clock, "hold", hold.start, words + why)
