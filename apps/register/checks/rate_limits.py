"""Rate limits: configured, counted, and answered with 429."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import SystemRandom
from uuid import uuid4

from django.conf import settings as project
from django.urls import reverse
from limits import parse
from pydantic import Field

from apps.core.ratelimit import forget
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Reply, Site, in_process

MOST_KNOCKS = 600
NEEDED = ("login_address", "login_account", "api_user", "api_address", "webhooks")


class Settings(CheckSettings):
    """What a limit must not exceed."""

    login_per_minute: float = Field(
        10, gt=0, le=600, title="Sign-ins", description="Attempts to sign in per account and minute, at most."
    )


@check(
    slug="rate-limits",
    title="Too many requests are answered with 429",
    every=timedelta(hours=6),
    settings=Settings,
    mitigation="See that RATE_LIMITS names every limit, and that Valkey, which counts them, answers.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Tries to sign in as somebody who does not exist, once oftener than is allowed, from an address kept for examples."""
    limits = project.RATE_LIMITS
    failures = [f"There is no limit {name}." for name in NEEDED if name not in limits]
    if failures:
        return concluded("", failures=failures, facts={"limits": limits})
    allowed = parse(limits["login_account"])
    per_minute = allowed.amount / allowed.get_expiry() * 60
    if per_minute > settings.login_per_minute:
        failures.append(f"{per_minute:g} attempts to sign in a minute are allowed for one account.")
    if allowed.amount >= MOST_KNOCKS:
        failures.append(
            f"{allowed.amount:,} attempts at once are allowed for one account; not tried whether more are not."
        )
        return concluded("", failures=failures, facts={"limits": limits})
    replies = _knock(allowed.amount + 1)
    last = replies[-1]
    early = [reply.status for reply in replies[:-1]]
    if last.status != 429:
        failures.append(f"Attempt {len(replies)} to sign in was answered {last.status}, not 429: nothing is counted.")
    elif not last.header("retry-after").isdigit():
        failures.append("The refusal does not say in Retry-After when to come again.")
    if 429 in early:
        failures.append(f"Attempt {early.index(429) + 1} was refused already, before the limit of {allowed.amount}.")
    return concluded(
        f"Attempt {len(replies)} to sign in was refused, to be repeated after {last.header('retry-after')} s; "
        f"{len(limits)} limits are set.",
        failures=failures,
        facts={"limits": limits, "answers": [*early, last.status], "retryAfter": last.header("retry-after")},
        query=f"POST {reverse('admin:login')} ×{len(replies)} in this process",
    )


def _knock(times: int) -> list[Reply]:
    """Attempts without a password, which cost no hashing. Their counts are removed, whatever happens."""
    account, address = f"check-{uuid4().hex}", f"198.51.100.{SystemRandom().randint(1, 254)}"  # RFC 5737
    try:
        form = {"username": account, "password": ""}
        return [in_process("POST", reverse("admin:login"), form=form, address=address) for _ in range(times)]
    finally:
        forget("login_account", account)
        forget("login_address", address)
