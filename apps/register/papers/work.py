"""What the writers of an import share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from django.utils import timezone

from apps.core.models import User
from apps.register.models import Control
from apps.register.papers.plan import Comparison
from apps.register.papers.scales import Scales
from apps.register.papers.shapes import Paper
from apps.register.rights import Actor, person

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Work:
    """A comparison that is being written, who writes it, and rows that it names.

    Attributes:
        reason: of scores whose document gives none.
        users, controls: by user name, and keys by slug.
        progress: called with risks written so far, and of how many.
    """

    found: Comparison
    actor: Actor
    now: datetime
    reason: str
    progress: Progress
    users: dict[str, User]
    controls: dict[str, int]

    @property
    def person(self) -> User | None:
        return person(self.actor)

    @property
    def paper(self) -> Paper:
        return self.found.resolved.paper

    @property
    def scales(self) -> Scales:
        return self.found.resolved.scales

    @classmethod
    def of(cls, found: Comparison, *, actor: Actor, now: datetime, reason: str, progress: Progress) -> Work:
        """Look up once what the whole import names."""
        paper = found.resolved.paper
        people: list[Any] = [paper, *paper.actions, *paper.risks]
        people += [mitigation for risk in paper.risks for mitigation in risk.mitigations]
        users = User.objects.filter(username__in={one.owner for one in people if one.owner})
        return cls(
            found, actor, now, reason, progress, {user.username: user for user in users},
            dict(Control.objects.values_list("slug", "pk")),
        )  # fmt: skip


def day(text: str | None) -> date | None:
    """A date of a paper; readers saw to it that it is one."""
    return date.fromisoformat(text) if text else None


def moment(text: str | None) -> datetime | None:
    """A date or moment of a paper; a date means its beginning here, and a moment without a zone is one of here."""
    if not text:
        return None
    found = datetime.combine(date.fromisoformat(text), time()) if len(text) == 10 else datetime.fromisoformat(text)
    return timezone.make_aware(found) if timezone.is_naive(found) else found
