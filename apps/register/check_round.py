"""A look by all checks at once that somebody asked for: each a task of its own, so that workers share them, and how far
they are.

What is kept of it is the moment at which it was asked for; how far it is, the results tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache

from apps.register.models import CheckResult
from apps.register.runs import enabled_checks

PATIENCE = timedelta(minutes=10)
"""So long is waited for; tasks that no worker took by then are gone (see the tasks' ``expires``)."""
_KEY = "register:round"


@dataclass(frozen=True, slots=True)
class Round:
    """A look by all checks.

    Attributes:
        asked_at: when it was asked for.
        of: how many checks look.
        done: how many have looked since.
        over: whether nothing more is waited for.
    """

    asked_at: datetime
    of: int
    done: int
    over: bool


def begin(now: datetime) -> bool:
    """Begin a look by all checks. False if one is going on; then the caller asks for nothing more."""
    going = latest(now)
    if going is not None and going.over:
        cache.delete(_KEY)
    return bool(cache.add(_KEY, now.isoformat(), PATIENCE.total_seconds() * 2))


def give_up() -> None:
    """Forget the look that was begun, for no worker could be asked."""
    cache.delete(_KEY)


def latest(now: datetime) -> Round | None:
    """The look that was asked for last, for twenty minutes; None if there is none."""
    kept = cache.get(_KEY)
    if not kept:
        return None
    asked_at = datetime.fromisoformat(kept)
    wanted = enabled_checks()
    done = CheckResult.objects.filter(latest=True, check_slug__in=wanted, checked_at__gte=asked_at).count()
    return Round(asked_at, len(wanted), done, done >= len(wanted) or now - asked_at > PATIENCE)
