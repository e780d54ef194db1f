"""The ticket desk of the demonstration: teams with their hours, categories, prepared answers, and a week of tickets.

Everything goes through the services, in the order in which it happened, so that routing, deadlines and timelines are real.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from apps.core.business_time import Calendar as Hours
from apps.core.business_time.public_holidays import propose
from apps.core.models import Scope, User
from apps.escalation import calendars, tickets
from apps.escalation.models import Calendar, CalendarDay, CannedReply, Category, Member, OpenHours, Team, Ticket

HOUR = timedelta(hours=1)
WEEK = tuple((weekday, opens, closes) for weekday in range(5) for opens, closes in ((540, 750), (780, 1080)))
SATURDAY = ((5, 600, 840),)


@dataclass(frozen=True, slots=True)
class Place:
    """A team: its store, its hours, and who works there with how much room."""

    scope: str
    name: str
    zone: str
    country: str
    hours: tuple[tuple[int, int, int], ...]
    members: tuple[tuple[str, int], ...]


PLACES = (
    Place("northlight", "Northlight support", "Europe/London", "GB", WEEK + SATURDAY, (("agent", 6), ("lead", 3))),
    Place("fjord", "Fjord support", "Europe/Oslo", "NO", WEEK, (("manager", 3),)),
)

# Slug, name, what it needs, hours until the first answer, further ones, resolution.
CATEGORIES = (
    ("delivery", "Delivery", ("requester_contact", "order_reference"), 2, 4, 16),
    ("refund", "Refund or return", ("requester_contact", "order_reference", "summary"), 2, 4, 24),
    ("product", "Question about a product", (), 4, 8, 24),
    ("account", "Account and privacy", ("requester_name", "requester_contact", "summary"), 1, 2, 8),
    ("complaint", "Complaint", ("requester_contact", "summary"), 1, 2, 8),
)

REPLIES = (
    ("We are looking into it", "Dear {requester},\n\nthank you for writing. We are looking into {ticket} and will be back "
     "today.\n\n{agent}", ""),
    ("Where is my parcel", "Dear {requester},\n\nyour order {order} is with the carrier. We have asked them where it is and "
     "will tell you by tomorrow noon.\n\n{agent}", "delivery"),
    ("Refund on its way", "Dear {requester},\n\nwe have refunded {order}. Banks take three to five working days.\n\n{agent}",
     "refund"),
    ("Please send a photo", "Dear {requester},\n\ncould you send us a photo of what arrived? Then we can replace it at once."
     "\n\n{agent}", "refund"),
    ("Your data", "Dear {requester},\n\nwe take this seriously. A colleague who is responsible for data protection looks into "
     "{ticket} now.\n\n{agent}", "account"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Story:
    """A ticket and what became of it.

    Attributes:
        ago: hours since it came in; moved back to when its team was open.
        then: "new", "answered", "waiting", "asked" (the customer wrote again), "resolved", or "same" as the one before.
    """

    scope: str
    category: str
    subject: str
    words: str
    who: str
    contact: str
    order: str = ""
    ago: float = 1
    then: str = "new"
    priority: int = 2


STORIES = (
    Story("northlight", "delivery", "Parcel has not arrived", "My lamp should have been here on Monday. Order #1012.",
          "Nora Quist", "nora.quist@example.com", "#1012", 150, "resolved"),
    Story("northlight", "refund", "Lamp arrived broken", "The glass of my lamp was broken. I want my money back.",
          "Tom Hale", "tom.hale@example.com", "#1019", 100, "waiting"),
    Story("northlight", "product", "Which bulb fits the Polar lamp?", "Does it take E27 bulbs?",
          "Ines Duarte", "ines.duarte@example.com", "", 76, "resolved", 1),
    Story("fjord", "delivery", "Tent still not shipped", "I need the tent for the weekend. Where is it?",
          "Kari Moen", "kari.moen@example.com", "#2004", 52, "asked", 3),
    Story("northlight", "complaint", "Third time I write", "Nobody answers me. I will post this everywhere.",
          "Joan Peel", "joan.peel@example.com", "", 30, "answered", 3),
    Story("northlight", "delivery", "Tracking has not moved for days", "The tracking number 1Z999AA10123456784 stands still.",
          "Sam Okoro", "sam.okoro@example.com", "#1024", 27, "answered"),
    Story("northlight", "delivery", "Tracking stands still, order 1024", "Tracking of #1024 stands still, please look.",
          "Sam Okoro", "+44 7911 123456", "#1024", 26, "same"),
    Story("fjord", "refund", "Returned boots, no refund yet", "I sent the boots back two weeks ago.",
          "Lars Vik", "lars.vik@example.com", "#2011", 25, "answered"),
    Story("northlight", "account", "Somebody else's order in my account", "I see the name and address of another customer.",
          "Priya Nair", "priya.nair@example.com", "", 6, "new", 4),
    Story("northlight", "refund", "Charged twice", "You took 89.00 twice from my card 4111 1111 1111 1111.",
          "Mo Farid", "mo.farid@example.com", "#1031", 5, "asked", 3),
    Story("fjord", "product", "Is the jacket waterproof?", "For heavy rain, I mean.",
          "Anna Lie", "anna.lie@example.com", "", 4, "new", 1),
    Story("northlight", "delivery", "Change of address", "Please send order #1033 to my office instead.",
          "Ruth Adler", "ruth.adler@example.com", "#1033", 3, "new"),
)  # fmt: skip


@transaction.atomic
def load_desk(*, now: datetime) -> bool:
    """Load teams and tickets, all or none.

    Returns:
        False if there are teams already, or no stores to make them for.
    """
    scopes = {scope.slug: scope for scope in Scope.objects.filter(slug__in=[place.scope for place in PLACES])}
    if Team.objects.exists() or len(scopes) != len(PLACES):
        return False
    people = {user.username: user for user in User.objects.filter(is_staff=True)}
    teams = {place.scope: _team(place, scopes[place.scope], people, now) for place in PLACES}
    _categories()
    _tickets(teams, people["lead"], now)
    return True


def _team(place: Place, scope: Scope, people: dict[str, User], now: datetime) -> Team:
    calendar = Calendar.objects.create(slug=f"{place.scope}-desk", name=f"{place.name} hours", time_zone=place.zone)
    OpenHours.objects.bulk_create(
        OpenHours(calendar=calendar, weekday=weekday, opens=opens, closes=closes)
        for weekday, opens, closes in place.hours
    )
    # Proposed, not active: a person decides on which of them the team is closed.
    CalendarDay.objects.bulk_create(
        CalendarDay(calendar=calendar, day=one.day, name=one.reason[:120], source=f"holidays {place.country}")
        for one in propose(place.country, now.year)
        if not one.half
    )
    team = Team.objects.create(scope=scope, name=place.name, calendar=calendar)
    for username, capacity in place.members:
        if username in people:
            Member.objects.create(team=team, user=people[username], capacity=capacity)
    return team


def _categories() -> None:
    made = {}
    for slug, name, needs, first, further, done in CATEGORIES:
        made[slug] = Category.objects.create(
            slug=slug, name=name, required_fields=list(needs), first_response=first * HOUR,
            next_response=further * HOUR, resolution=done * HOUR,
        )  # fmt: skip
    CannedReply.objects.bulk_create(
        CannedReply(title=title, body=body, category=made.get(slug)) for title, body, slug in REPLIES
    )


def _tickets(teams: dict[str, Team], lead: User, now: datetime) -> None:
    before: Ticket | None = None
    for story in STORIES:
        hours = calendars.of(teams[story.scope].calendar)
        at = _open(hours, now - story.ago * HOUR)
        ticket = tickets.create(
            subject=story.subject,
            channel=Ticket.Channel.EMAIL if "@" in story.contact else Ticket.Channel.PHONE,
            requester_name=story.who,
            requester_contact=story.contact,
            category=Category.objects.get(slug=story.category),
            summary=story.words,
            order_reference=story.order,
            priority=story.priority,
            source=f"demo:{story.subject[:60]}",
            message=story.words,
            scope=teams[story.scope].scope,
            now=at,
        )
        _goes_on(ticket, story, before, lead, at, now)
        before = ticket


def _goes_on(ticket: Ticket, story: Story, before: Ticket | None, lead: User, at: datetime, now: datetime) -> None:
    actor = ticket.assignee or lead
    later = [min(at + hours * HOUR, now) for hours in (0.5, 1, 2)]
    if story.then == "same" and before:
        tickets.merge(
            ticket_id=ticket.pk, seen_version=ticket.version, into_id=before.pk, actor=lead, reason="The same parcel.",
            now=later[0],
        )  # fmt: skip
        return
    if story.then != "new":
        words = "We are looking into it and will be back today."
        tickets.reply(ticket_id=ticket.pk, text=words, actor=actor, now=later[0], then_wait=story.then == "waiting")
    if story.then == "asked":
        tickets.receive(ticket_id=ticket.pk, text="Is there any news?", now=later[1])
    if story.then == "resolved":
        seen = Ticket.objects.get(pk=ticket.pk).version
        tickets.resolve(ticket_id=ticket.pk, seen_version=seen, actor=actor, reason="Done.", now=later[2])


def _open(hours: Hours, at: datetime) -> datetime:
    """The latest moment not after this one at which a team works, to half an hour."""
    for _ in range(2 * 24 * 14):
        if hours.is_open(at):
            return at
        at -= HOUR / 2
    return at
