"""Who gets a ticket: the category's team, and in it the person with the fewest open tickets who has room for one more.

Only people count who are available, have the category's skill if it needs one, work in the ticket's scope and hold a role
that works tickets. Outside the team's hours tickets wait; a minute's task and everybody whose hands become free take those
that wait, the most urgent first and among equals the one that has waited longest. Each decision says why.

A decision is taken while the team and each of its members are locked, so that two tickets that arrive at once cannot both
take the last room, neither of one team nor of two teams that a person works in. What a person has in hand for one team
counts for the other, too. Teams are locked before people, and both in the order of their keys, so nobody waits in a ring.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet

from apps.core.business_time.opening import BusinessTimeError
from apps.core.decisions import record
from apps.core.models import Scope, User
from apps.core.notifications import notify
from apps.core.scope import may_work_in
from apps.escalation import calendars
from apps.escalation.models import Category, Member, Team, Ticket
from apps.escalation.ticket_binding import SYSTEM, VIEW, WAITED_FOR, WORK, entry, save, ticket_url, write_event

KIND = "tickets"
_IN_HAND = 7_331_843  # first key of an advisory lock, any constant
_LOCK_PEOPLE = """
    SELECT pg_advisory_xact_lock(%s, member.person)
    FROM (SELECT DISTINCT (user_id %% 2147483648)::int AS person FROM escalation_member WHERE team_id = ANY(%s) ORDER BY 1) AS member
"""
MOST_WAITING = 200  # tickets that are looked at when hands become free; those behind them have a turn a minute later


@dataclass(frozen=True, slots=True)
class Standing:
    """How a member of a team stands for a ticket.

    Attributes:
        open: tickets in hand; those that wait for their customers do not count.
        why_not: why the ticket is not for this person; empty if it could be.
    """

    user: User
    open: int
    capacity: int
    why_not: str = ""

    def data(self) -> dict[str, Any]:
        """As it stands in an event."""
        found = {"user": self.user.pk, "open": self.open, "capacity": self.capacity}
        return found | ({"why_not": self.why_not} if self.why_not else {})


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a ticket goes, and why."""

    team: Team | None
    assignee: User | None
    reason: str
    standings: tuple[Standing, ...] = ()


def team_of(category: Category | None, scope: Scope | None) -> tuple[Team | None, str]:
    """The team that answers, and why: the category's, otherwise the scope's."""
    if category and category.team and category.team.active:
        return category.team, f"{category.team} answers {category}."
    team = Team.objects.filter(scope=scope, active=True).first() if scope else None
    if team:
        return team, f"{team} answers for {scope}."
    what = f"No team answers {category}" if category else "It has no category, and no team answers for its scope"
    return None, f"{what}; somebody has to assign it."


def closed_until(team: Team, now: datetime) -> datetime | None:
    """When a closed team opens; None if it is open now.

    Raises:
        BusinessTimeError: its calendar cannot be read, or never opens any more.
    """
    calendar = calendars.of(team.calendar)
    return None if calendar.is_open(now) else calendar.next_opening(now)


def standings(team: Team, category: Category | None, scope: Scope | None) -> tuple[Standing, ...]:
    """How each member of a team stands for a ticket, the one who gets it first."""
    members = list(
        team.members.select_related("user").annotate(skilled=Count("skills", filter=Q(skills=category), distinct=True))
        if category
        else team.members.select_related("user")
    )
    people = [member.user_id for member in members]
    in_hand = Ticket.objects.filter(assignee__in=people, status__in=WAITED_FOR).order_by()
    loads = dict(in_hand.values_list("assignee").annotate(Count("pk")))
    found = []
    for member in members:
        load = loads.get(member.user_id, 0)
        found.append(Standing(member.user, load, member.capacity, _why_not(member, load, category, scope)))
    return tuple(sorted(found, key=_rank))


def _rank(one: Standing) -> tuple[bool, int, float, int]:
    """Who can comes first, then who has the fewest in hand, then whose hands are emptiest for their size."""
    return bool(one.why_not), one.open, one.open / one.capacity, one.user.pk


def _why_not(member: Member, load: int, category: Category | None, scope: Scope | None) -> str:
    if not member.available or not member.user.is_active:
        return "not available"
    if category and category.needs_skill and not member.skilled:  # type: ignore[attr-defined]  # annotated above
        return f"lacks the skill {category}"
    if load >= member.capacity:
        return "no room"
    if not member.user.has_perms([VIEW, WORK]):
        return "holds no role that works tickets"
    return "" if may_work_in(member.user, scope) else "does not work in its scope"


def decide(team: Team, category: Category | None, scope: Scope | None, now: datetime) -> Decision:
    """Which member of a team gets a ticket now. Called while the team is locked."""
    try:
        opens = closed_until(team, now)
    except BusinessTimeError as error:
        return Decision(team, None, f"It waits: the hours of {team} cannot be read ({error.code}).")
    if opens:
        zone = calendars.of(team.calendar).zone
        return Decision(team, None, f"It waits: {team} is closed until {opens.astimezone(zone):%a %d %b %H:%M %Z}.")
    found = standings(team, category, scope)
    if not found or found[0].why_not:
        return Decision(team, None, f"It waits: {_nobody(found)} in {team}.", found)
    best = found[0]
    others = sum(not one.why_not for one in found) - 1
    among = f", the fewest of {others + 1} who could take it" if others else ", the only one who could take it"
    reason = f"{best.user} has {best.open} of {best.capacity} tickets in hand{among}."
    return Decision(team, best.user, reason, found)


def _nobody(found: Sequence[Standing]) -> str:
    if not found:
        return "there is nobody"
    reasons = [one.why_not for one in found]
    if "no room" in reasons:
        return "nobody has room"
    return f"nobody can take it ({', '.join(sorted(set(reasons)))})"


def locked_team(team: Team) -> Team:
    """The team, locked, so that the room of its members is counted by one decision at a time."""
    return lock_teams(team)[team.pk]


def lock_teams(*teams: Team) -> dict[int, Team]:
    """Lock teams and everybody who works in them until the transaction ends; who needs several locks them at once."""
    rows = Team.objects.select_related("calendar").select_for_update(of=("self",), no_key=True)
    found: dict[int, Team] = {team.pk: team for team in rows.filter(pk__in={team.pk for team in teams}).order_by("pk")}
    # Not their rows: whoever edits a person, or names one as an assignee, has no need to wait.
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_PEOPLE, [_IN_HAND, list(found)])
    return found


def route(ticket: Ticket, now: datetime) -> Decision:
    """Give a ticket its team and, if somebody has room, its assignee; in the caller's transaction, with the reason."""
    team, why = team_of(ticket.category, ticket.scope)
    decision = Decision(None, None, why)
    if team:
        decision = decide(locked_team(team), ticket.category, ticket.scope, now)
        decision = replace(decision, reason=f"{why} {decision.reason}")
    ticket.team = decision.team
    _give(ticket, decision, now)
    return decision


def _give(ticket: Ticket, decision: Decision, now: datetime) -> None:
    ticket.assignee = decision.assignee
    if decision.assignee and ticket.status == Ticket.Status.NEW:
        ticket.status = Ticket.Status.OPEN
    save(ticket, now, "team", "assignee", "status")
    event = write_event(
        ticket, "routed" if decision.assignee else "queued", None, now, decision.reason,
        team=decision.team.pk if decision.team else None,
        assignee=decision.assignee.pk if decision.assignee else None,
        considered=[one.data() for one in decision.standings[:50]],
    )  # fmt: skip
    if decision.assignee:
        tell(ticket, decision.assignee, event.pk, decision.reason)


def tell(ticket: Ticket, person: User, event: int, reason: str) -> None:
    """Tell somebody that a ticket is theirs."""
    notify(
        kind=KIND,
        recipients=[person],
        title=f"{ticket.number} is yours: {ticket.subject}",
        body=reason,
        url=ticket_url(ticket.pk),
        dedupe_key=f"ticket:{ticket.pk}:assigned:{event}",
        urgent=ticket.priority == Ticket.Priority.URGENT,
    )


@transaction.atomic
def fill(team: Team, now: datetime) -> list[Ticket]:
    """Give waiting tickets of a team to members who have room, and return them.

    Tickets that somebody is working on at this moment are passed over; they have their turn a minute later.
    """
    team = locked_team(team)
    given: list[Ticket] = []
    waiting = waiting_for(team).select_related("category__team", "scope")
    stuck: set[tuple[int | None, int | None]] = set()
    for ticket in list(waiting.select_for_update(of=("self",), skip_locked=True, no_key=True)[:MOST_WAITING]):
        kind = (ticket.category_id, ticket.scope_id)
        if kind in stuck:
            continue
        decision = decide(team, ticket.category, ticket.scope, now)
        if decision.assignee is None:
            stuck.add(kind)  # what nobody could take for this ticket, nobody can take for its like
            continue
        minutes = int((now - ticket.created_at).total_seconds() // 60)
        _give(ticket, replace(decision, reason=f"Its turn after {minutes} min. {decision.reason}"), now)
        given.append(ticket)
    for ticket in given:
        record(entry(ticket, SYSTEM, "ticket_assigned", "Its turn.", assignee=ticket.assignee_id))
    return given


def waiting_for(team: Team) -> QuerySet[Ticket]:
    """Tickets of a team that nobody has, the most urgent first, among equals the one that has waited longest."""
    rows: QuerySet[Ticket] = Ticket.objects.filter(team=team, assignee=None, status__in=WAITED_FOR)
    return rows.order_by("-priority", "created_at", "pk")


def fill_all(now: datetime) -> int:
    """Give waiting tickets of all teams, as when a team opens or a member comes back. Returns how many."""
    return sum(len(fill(team, now)) for team in _teams_with_waiting())


def _teams_with_waiting() -> Iterable[Team]:
    waiting = Ticket.objects.filter(assignee=None, status__in=WAITED_FOR, team__isnull=False)
    return Team.objects.filter(pk__in=waiting.values("team")).order_by("pk")
