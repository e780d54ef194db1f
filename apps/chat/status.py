"""How a conversation stands: who has it, its place in the queue, the wait to be expected, and until when somebody answers.

What is expected comes from what was measured: how long the last customers of the same team waited, and how fast its queue
moved. Where too little was measured nothing is expected, and nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil
from statistics import median
from typing import Any

from django.core.cache import cache
from django.db.models import F
from redis import RedisError

from apps.chat.binding import State, called
from apps.chat.models import Conversation, Handoff
from apps.core.business_time import Calendar
from apps.core.business_time.opening import BusinessTimeError
from apps.escalation import calendars
from apps.escalation.models import Team

FIRST_ANSWER = timedelta(hours=1)
"""Working time until a person's first answer, where the category says none."""
LOOKS_BACK = timedelta(days=14)
MOST, FEWEST = 60, 5
"""Hand-offs that the expectation is made from; with fewer there is none."""
SAME_SPELL = timedelta(hours=1)
"""Two customers taken within this time of each other belong to one spell of work; longer gaps are breaks."""
KEPT = 60
"""Seconds that the pace of a team is kept."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a team's queue moved lately, in minutes of working time.

    Attributes:
        wait: the median time until a customer was taken.
        step: the median time between two customers taken.
    """

    wait: float
    step: float


@dataclass(frozen=True, slots=True)
class Status:
    """How a conversation stands for its customer.

    Attributes:
        queue_position: 1 is next; None unless it waits.
        expected_wait_minutes: None where too little was measured, or the team is closed.
        open: whether the team works now; None where its hours cannot be read.
        answer_by: until when a person answers, by the calendar of the team; None once one did.
        opens_at: when a closed team opens.
    """

    state: str
    assignee_name: str
    queue_position: int | None
    expected_wait_minutes: int | None
    open: bool | None
    answer_by: datetime | None
    opens_at: datetime | None

    def data(self) -> dict[str, Any]:
        """As JSON takes it."""
        found = asdict(self)
        return found | {name: found[name].isoformat() if found[name] else None for name in ("answer_by", "opens_at")}


def status_of(conversation: Conversation, now: datetime) -> Status:
    """How a conversation stands at ``now``."""
    hours = hours_of(conversation)
    is_open, opens_at = _opening(hours, now)
    position = queue_position(conversation)
    return Status(
        state=conversation.state,
        assignee_name=called(conversation.assignee)
        if conversation.assignee and conversation.state == State.PERSON
        else "",
        queue_position=position,
        expected_wait_minutes=expected_wait(conversation, position, now) if position and is_open else None,
        open=is_open,
        answer_by=answer_by(conversation, hours, now),
        opens_at=opens_at,
    )


def hours_of(conversation: Conversation) -> Calendar | None:
    """When those who answer a conversation work: its team, else that of its site, else business hours; None if unreadable."""
    team = conversation.team or conversation.site.team
    with suppress(BusinessTimeError):
        return calendars.of(team.calendar if team else calendars.business())
    return None


def queue_position(conversation: Conversation) -> int | None:
    """How many customers of the same team are taken before and with this one; None unless it waits."""
    if conversation.state != State.WAITING or conversation.waiting_since is None:
        return None
    since = conversation.waiting_since
    same = Conversation.objects.filter(state=State.WAITING, team=conversation.team_id)
    if conversation.team_id is None:
        same = same.filter(scope=conversation.scope_id)
    return (
        same.filter(waiting_since__lt=since).count() + same.filter(waiting_since=since, pk__lte=conversation.pk).count()
    )


def expected_wait(conversation: Conversation, position: int, now: datetime) -> int | None:
    """Minutes until a waiting customer is probably taken; None where too little was measured."""
    pace = pace_of(conversation.team, now)
    if pace is None:
        return None
    waited = (now - (conversation.waiting_since or now)) / timedelta(minutes=1)
    return max(1, ceil(max(pace.wait - waited, position * pace.step)))


def pace_of(team: Team | None, now: datetime) -> Pace | None:
    """How fast a team took customers lately; kept for :data:`KEPT` seconds."""
    key = f"chat:pace:{team.pk if team else 0}"
    with suppress(RedisError):
        kept = cache.get(key)
        if kept is not None:
            return Pace(*kept) if kept else None
    found = measured(team, now)
    with suppress(RedisError):
        cache.set(key, (found.wait, found.step) if found else (), KEPT)
    return found


def measured(team: Team | None, now: datetime) -> Pace | None:
    """The pace from the last hand-offs that a team accepted."""
    rows = Handoff.objects.filter(
        team=team, accepted_at__isnull=False, accepted_at__gte=now - LOOKS_BACK, accepted_at__lte=now
    )
    # Given from hand to hand nobody waited; and a matter that a team gave back to its own queue waited there once.
    waited = rows.filter(accepted_at__gt=F("requested_at")).order_by("-accepted_at")
    latest = waited.values_list("conversation", "context", "requested_at", "accepted_at")[:MOST]
    first = {(talk, context): (asked, taken) for talk, context, asked, taken in latest if taken}
    times = sorted(first.values(), key=lambda pair: pair[1], reverse=True)
    if len(times) < FEWEST:
        return None
    with suppress(BusinessTimeError):
        calendar = calendars.of(team.calendar if team else calendars.business())
        waits = [calendar.working_between(asked, taken) / timedelta(minutes=1) for asked, taken in times]
        return Pace(median(waits), _step([taken for _, taken in times]))
    return None


def _step(taken: Sequence[datetime]) -> float:
    """Minutes between two customers, from the times at which they were taken, the latest first."""
    gaps = [later - earlier for later, earlier in pairwise(taken)]
    of_work = [gap / timedelta(minutes=1) for gap in gaps if gap <= SAME_SPELL]
    return median(of_work) if of_work else 0.0


def answer_by(conversation: Conversation, hours: Calendar | None, now: datetime) -> datetime | None:
    """Until when a person answers first, in working time since the customer began to wait; else since now."""
    return first_answer_due(conversation, hours, waits_since(conversation) or now)


def first_answer_due(conversation: Conversation, hours: Calendar | None, since: datetime | None) -> datetime | None:
    """Until when a person's first words are promised to who waits since then.

    None once they were said, when the conversation is resolved, and where the hours cannot be read.
    """
    if since is None or hours is None or conversation.first_response_at or conversation.state == State.RESOLVED:
        return None
    allowed = (conversation.category and conversation.category.first_response) or FIRST_ANSWER
    with suppress(BusinessTimeError):
        return hours.add(since, allowed).due_at
    return None


def waits_since(conversation: Conversation) -> datetime | None:
    """Since when a customer waits for a person's first words; None if for none, or they were said."""
    if conversation.first_response_at or conversation.state in (State.BOT, State.RESOLVED):
        return None
    if conversation.waiting_since:
        return conversation.waiting_since
    asked = conversation.handoffs.filter(context=conversation.context).order_by("requested_at").first()
    return asked.requested_at if asked else None


def _opening(hours: Calendar | None, now: datetime) -> tuple[bool | None, datetime | None]:
    if hours is None:
        return None, None
    if hours.is_open(now):
        return True, None
    with suppress(BusinessTimeError):
        return False, hours.next_opening(now)
    return False, None
