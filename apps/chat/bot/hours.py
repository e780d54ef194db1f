"""Whether people are there to answer, when they are again, and by when an answer is promised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils import formats
from django.utils.translation import gettext as _

from apps.chat.models import ChatSite, Conversation
from apps.chat.telling import those_there
from apps.core.business_time import BusinessTimeError, Calendar
from apps.escalation import calendars, routing
from apps.escalation.models import Category, Team

PROMISE = timedelta(hours=8)
"""Working time in which a ticket is answered first where its category says nothing."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a team can take a conversation now.

    Attributes:
        team: who answers; None if nobody is named for it.
        open: within the team's hours.
        staffed: somebody of the team is available who may answer.
        opens_at: when it opens next, if it is closed and ever does.
        answer_by: by when a ticket that is made now is answered first, if that can be said.
        zone: in which its hours are told.
    """

    team: Team | None
    open: bool
    staffed: bool
    opens_at: datetime | None
    answer_by: datetime | None
    zone: ZoneInfo

    @property
    def there(self) -> bool:
        """Somebody can answer now."""
        return self.open and self.staffed


def team_for(conversation: Conversation, category: Category | None = None) -> Team | None:
    """Who answers a conversation: as escalation routes it, otherwise the site's own team."""
    category = category or conversation.category
    team, _why = routing.team_of(category, None)
    site: ChatSite = conversation.site
    own = site.team if site.team and site.team.active else None
    return team or own or routing.team_of(None, conversation.scope)[0]


def presence(team: Team | None, category: Category | None, now: datetime) -> Presence:
    """How a team stands at a moment. Hours that cannot be read count as closed."""
    calendar = calendars.of(team.calendar if team else calendars.business())
    try:
        is_open = calendar.is_open(now)
        opens_at = None if is_open else calendar.next_opening(now)
    except BusinessTimeError:
        return Presence(team, False, False, None, None, calendar.zone)
    return Presence(
        team, is_open, bool(those_there(team)), opens_at, _answer_by(calendar, category, now), calendar.zone
    )


def _answer_by(calendar: Calendar, category: Category | None, now: datetime) -> datetime | None:
    working = category.first_response if category and category.first_response else PROMISE
    try:
        return calendar.add(now, working).due_at
    except BusinessTimeError:
        return None


def told(at: datetime, zone: ZoneInfo) -> str:
    """A moment in words, in the zone of the team, such as ``Monday, 2 March 2026, 09:00 (Europe/Berlin)``."""
    local = at.astimezone(zone)
    return f"{formats.date_format(local, 'l, j F Y, H:i')} ({zone.key})"


def words(team: Team | None, now: datetime) -> str:
    """The answer to a question about business hours."""
    here = presence(team, None, now)
    calendar = calendars.of(team.calendar if team else calendars.business())
    week = _week(calendar)
    if here.open:
        first = _("Our team is there now.")
    elif here.opens_at:
        first = _("Our team is not there at the moment. It is back on %(when)s.") % {
            "when": told(here.opens_at, here.zone)
        }
    else:
        first = _("Our team is not there at the moment.")
    return f"{first} {week}".strip()


def _week(calendar: Calendar) -> str:
    if calendar.always_open:
        return _("It answers around the clock.")
    days = []
    for weekday in range(7):
        intervals = calendar.weekly.get(weekday, ())
        if intervals:
            hours = ", ".join(
                f"{start // 60:02}:{start % 60:02}–{end // 60:02}:{end % 60:02}" for start, end in intervals
            )
            days.append((weekday, hours))
    if not days:
        return ""
    spans = "; ".join(f"{_days(first, last)} {hours}" for first, last, hours in _merged(days))
    return _("Hours (%(zone)s): %(hours)s.") % {"zone": calendar.time_zone, "hours": spans}


def _merged(days: list[tuple[int, str]]) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    for weekday, hours in days:
        if found and found[-1][1] == weekday - 1 and found[-1][2] == hours:
            found[-1] = (found[-1][0], weekday, hours)
        else:
            found.append((weekday, weekday, hours))
    return found


def _days(first: int, last: int) -> str:
    names = [
        _("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday"),
    ]  # fmt: skip
    return names[first] if first == last else f"{names[first]}–{names[last]}"
