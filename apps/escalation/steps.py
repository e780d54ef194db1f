"""What begins and ends with a step of the ladder: its deadline, the wait for an acknowledgement, and who is told."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from apps.core.business_time import BusinessTimeError
from apps.core.models import User
from apps.escalation import calendars, clocks
from apps.escalation.ladder import ENDS, STAGES
from apps.escalation.levels import Allowance, Protocol
from apps.escalation.models import Calendar, Clock, RiskFlag
from apps.escalation.rungs import tell_of_step

logger = structlog.get_logger(__name__)
Target = Clock.Target
A_DAY = 8 * 60  # minutes: the same business day, where no calendar says when that ends


def begin(
    flag: RiskFlag,
    protocol: Protocol,
    now: datetime,
    *,
    actor: User | None,
    dedupe_key: str,
    news: str,
    looked_at: bool = False,
) -> None:
    """Start the clocks of the flag's step and tell those whose turn it is; in the caller's transaction.

    Args:
        looked_at: somebody kept the flag where it is, so nobody has to acknowledge it and nobody is told.
    """
    if flag.step in ENDS or flag.step == RiskFlag.Step.PROPOSED:
        return
    stage = STAGES[flag.step]
    name = f"protocol {protocol.number}, level {flag.level}"
    deadline = protocol.allowance(flag.level, flag.step)
    if deadline:
        _start(flag, Target.STEP, deadline, now, actor, f"{flag.get_step_display()}, {name}", protocol)
    if looked_at:
        return
    interval = protocol.interval(flag.level, flag.step)
    if interval and stage.acknowledged:
        _start(flag, Target.ACKNOWLEDGE, interval, now, actor, f"Acknowledgement, {name}", protocol)
    if flag.step != RiskFlag.Step.DOCUMENTED:
        tell_of_step(flag, protocol, now, dedupe_key=dedupe_key, news=news)


def end(flag: RiskFlag, now: datetime, *, actor: User | None, reason: str, met: bool = True) -> None:
    """End the clocks of the flag's step. Called while the flag is locked, before its step is changed.

    Args:
        met: whether what they waited for was done; if not, nobody has to do it any more.
    """
    for clock in running(flag):
        if met:
            clocks.meet(clock=clock, now=now, reason=reason, actor=actor)
        else:
            clocks.cancel(clock=clock, now=now, reason=reason, actor=actor)


def change_level(flag: RiskFlag, protocol: Protocol, now: datetime, *, actor: User, reason: str) -> None:
    """Give the clocks of a step that stays the times of another level, counted from their start."""
    times = {
        Target.STEP.value: protocol.allowance(flag.level, flag.step),
        Target.ACKNOWLEDGE.value: protocol.interval(flag.level, flag.step),
    }
    for clock in running(flag):
        time = times.get(clock.target)
        if time is None:
            clocks.cancel(clock=clock, now=now, reason=reason, actor=actor)
            continue
        calendar, allowed = _counted(flag, time, clock.started_at)
        clocks.change_policy(
            clock=clock, calendar=calendar, allowed=allowed, now=now, reason=reason, actor=actor,
            name=f"level {flag.level}",
        )  # fmt: skip
    known = set(Clock.objects.filter(flag=flag, step=flag.step).values_list("target", flat=True))
    for target, time in times.items():
        if time and target not in known and (target == Target.STEP or STAGES[flag.step].acknowledged):
            _start(flag, target, time, now, actor, f"protocol {protocol.number}, level {flag.level}", protocol)


def running(flag: RiskFlag) -> list[Clock]:
    """The clocks of a flag that have not ended."""
    return list(Clock.objects.filter(flag=flag, status__in=clocks.OPEN).order_by("pk"))


def _counted(flag: RiskFlag, time: Allowance, start: datetime) -> tuple[Calendar, timedelta]:
    """The calendar by which a time of the protocol counts for a flag, and the working time that it means from ``start`` on.

    A risk is not turned away for a calendar that cannot be read or never opens; its time counts around the clock then, and
    the trace of the deadline says by which calendar it counts.
    """
    calendar = calendars.always() if time.always else calendars.of_scope(flag.scope)
    try:
        desk = calendars.of(calendar)
        working = time.working(desk, start)
        desk.add(start, working)
    except BusinessTimeError as error:
        logger.error("calendar_unusable", calendar=calendar.slug, code=error.code, flag=flag.pk)
        return calendars.always(), timedelta(minutes=time.minutes or A_DAY)
    return calendar, working


def _start(
    flag: RiskFlag, target: str, time: Allowance, now: datetime, actor: User | None, name: str, protocol: Protocol
) -> Clock:
    calendar, allowed = _counted(flag, time, now)
    return clocks.start(
        flag=flag,
        target=target,
        step=flag.step,
        calendar=calendar,
        allowed=allowed,
        now=now,
        reason=name,
        actor=actor,
        data={"protocol": protocol.number, "level": flag.level, "time": str(time)},
    )
