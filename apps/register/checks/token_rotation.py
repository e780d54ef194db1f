"""API tokens: none is older than it should be, and none lies about unused."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q
from pydantic import Field

from apps.core.models import ApiToken
from apps.core.numbers import plural
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site

MOST_NAMED = 10


class Settings(CheckSettings):
    """How old a token may be."""

    rotate_days: int = Field(90, ge=1, le=366, title="Rotate", description="Days after which a token must be replaced.")
    unused_days: int = Field(
        60, ge=1, le=366, title="Unused", description="Days after which a token that nobody uses should be revoked."
    )


@check(
    slug="token-rotation",
    title="API tokens are replaced in time",
    every=timedelta(hours=12),
    settings=Settings,
    mitigation="Make a new token, put it where the old one is used, and revoke the old one under API tokens.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Reads the age of every token that still lets somebody in, when it was last used, and whether its holder is active."""
    alive = ApiToken.objects.alive(now)
    old = alive.filter(created__lt=now - timedelta(days=settings.rotate_days))
    edge = now - timedelta(days=settings.unused_days)
    unused = alive.filter(created__lt=edge).filter(Q(last_used_at=None) | Q(last_used_at__lt=edge))
    orphans = alive.filter(user__is_active=False)
    endless = ApiToken.objects.filter(expiry=None)
    counts = {name: rows.count() for name, rows in
              (("alive", alive), ("old", old), ("unused", unused), ("inactiveHolder", orphans), ("endless", endless))}  # fmt: skip
    failures, warnings = [], []
    if counts["old"]:
        failures.append(f"{plural(counts['old'], 'token is', 'tokens are')} older than {settings.rotate_days} days.")
    if counts["endless"]:
        failures.append(f"{plural(counts['endless'], 'token never ends', 'tokens never end')}.")
    if counts["inactiveHolder"]:
        warnings.append(
            f"{plural(counts['inactiveHolder'], 'token belongs', 'tokens belong')} to people who are not active any more."
        )
    if counts["unused"]:
        warnings.append(
            f"{plural(counts['unused'], 'token was', 'tokens were')} not used for {settings.unused_days} days."
        )
    keys = [token.token_key for token in old.order_by("created")[:MOST_NAMED]]
    return concluded(
        f"{plural(counts['alive'], 'token is', 'tokens are')} alive, none older than {settings.rotate_days} days.",
        failures=failures,
        warnings=warnings,
        facts=counts | {"oldest": keys, "limitDays": settings.rotate_days},
        query="API tokens that are alive",
    )
