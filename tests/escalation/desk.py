"""A team with members and categories, and tickets made through the service."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apps.core.models import User
from apps.core.roles import Role
from apps.escalation import tickets
from apps.escalation.models import Category, Member, Team, Ticket
from tests.core.factories import person
from tests.escalation.factories import NOON, team

HOUR = timedelta(hours=1)


def category(of: Team | None = None, **fields: Any) -> Category:
    """A category with an answer in one hour, further ones in two, and a resolution in eight."""
    number = Category.objects.count() + 1
    times = {"first_response": HOUR, "next_response": 2 * HOUR, "resolution": 8 * HOUR}
    values = {"slug": f"category-{number}", "name": f"Category {number}", "team": of, **times, **fields}
    made: Category = Category.objects.create(**values)
    return made


def member(of: Team, capacity: int = 8, *, role: Role = Role.SUPPORT_AGENT, **fields: Any) -> User:
    """An agent of a team."""
    user = person(role, of.scope)
    Member.objects.create(team=of, user=user, capacity=capacity, **fields)
    return user


def made(**fields: Any) -> Ticket:
    """A ticket, made through the service."""
    values = {"subject": "Where is my order?", "channel": "email", "requester_contact": "joe@example.com"}
    return tickets.create(**{**values, "now": NOON, **fields})


def desk(people: int = 1, capacity: int = 8) -> tuple[Team, Category, list[User]]:
    """A team that is open at noon, its category and its members."""
    own = team()
    return own, category(own), [member(own, capacity) for _ in range(people)]
