"""Flags, people and calendars for tests of the ladder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from apps.core.models import Scope, User
from apps.core.roles import Role
from apps.escalation import calendars, clocks, flags, levels
from apps.escalation.ladder import ways
from apps.escalation.models import Calendar, Clock, OpenHours, RiskFlag, Team, Ticket
from tests.core.factories import ScopeFactory, person

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
_NUMBERS = count(1)

TO_RISK = {one.name: f"about {one.name}" for one in levels.delivered().to_risk}
TO_SUPPORT = {one.name: f"about {one.name}" for one in levels.delivered().to_support}


def raised(**changes: Any) -> RiskFlag:
    """A flag, raised through the service."""
    facts: dict[str, Any] = {
        "title": "Order #1001 waits",
        "description": "Unfulfilled for eight days",
        "level": 3,
        "source": f"tests:{next(_NUMBERS)}",
        "evidence": [],
        "scope": None,
        "raised_by": None,
        "now": NOON,
    }
    return flags.raise_flag(**(facts | changes))


def staff(scope: Scope | None = None, **names: str) -> dict[Role, User]:
    """One person of each role of the ladder, in a scope."""
    roles = (
        Role.SUPPORT_AGENT, Role.TEAM_LEAD, Role.SUPPORT_MANAGER, Role.SUPPORT_DIRECTOR, Role.RISK_MANAGER,
        Role.OPERATOR, Role.CONTENT_OWNER, Role.AUDITOR, Role.ADMINISTRATOR,
    )  # fmt: skip
    scopes = [scope] if scope else []
    return {role: person(role, *scopes) for role in roles}


def team(scope: Scope | None = None, calendar: Calendar | None = None) -> Team:
    """A team with the business calendar or its own."""
    scope = scope or ScopeFactory()
    return Team.objects.create(scope=scope, name=f"Team {scope.slug}", calendar=calendar or calendars.business())


def calendar(zone: str = "Europe/Berlin", hours: tuple[tuple[int, int], ...] = ((540, 720), (780, 1020))) -> Calendar:
    """Monday to Friday, with a break at noon."""
    number = next(_NUMBERS)
    made = Calendar.objects.create(slug=f"calendar-{number}", name=f"Calendar {number}", time_zone=zone)
    for weekday in range(5):
        for opens, closes in hours:
            OpenHours.objects.create(calendar=made, weekday=weekday, opens=opens, closes=closes)
    return made


def ticket(**fields: Any) -> Ticket:
    """A ticket as a row."""
    number = next(_NUMBERS)
    values = {"number": f"X-{number}", "subject": "Where is it?", "channel": "email", "status": "open"}
    return Ticket.objects.create(**{**values, "created_at": NOON, "updated_at": NOON, **fields})


def clock_of(flag: RiskFlag, target: str = Clock.Target.ACKNOWLEDGE) -> Clock:
    """The open clock of a flag."""
    return Clock.objects.get(flag=flag, target=target, status__in=clocks.OPEN)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def move_to(flag: RiskFlag, step: str, now: datetime = NOON) -> RiskFlag:
    """Bring a flag on to a step by the ladder's own ways, each taken by an administrator."""
    actor = person(Role.ADMINISTRATOR)
    for _ in range(10):
        flag.refresh_from_db()
        if flag.step == step:
            return flag
        on = next(one for one in ways(flag.step) if one.name not in ("reject", "close", "monitor", "send_back"))
        fields = TO_SUPPORT if on.handover == "to_support" else TO_RISK if on.handover else None
        flags.move(
            flag_id=flag.pk, seen_version=flag.version, transition=on.name, actor=actor, now=now, reason="On we go.",
            fields=fields,
        )  # fmt: skip
    raise AssertionError(f"The ladder does not lead to {step}.")
