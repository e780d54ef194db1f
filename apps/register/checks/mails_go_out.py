"""Notifications: mails go out, and none waits for long."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from apps.core.models import Delivery
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


class Settings(CheckSettings):
    """What is bearable."""

    hours: int = Field(24, ge=1, le=720, title="Hours", description="Hours of mails that are looked at.")
    waiting_minutes: int = Field(
        30, ge=1, le=1440, title="Waiting", description="Minutes after which a mail that still waits is late."
    )


@check(
    slug="mails-go-out",
    title="Mails go out",
    every=timedelta(minutes=15),
    settings=Settings,
    mitigation="Read the last error under Deliveries; see EMAIL_URL, and whether a worker runs.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Counts the mails of the last hours that were sent, given up, or still wait."""
    mails = Delivery.objects.filter(
        channel="email", notification__created_at__gte=now - timedelta(hours=settings.hours)
    )
    sent, failed = mails.filter(status="sent").count(), mails.filter(status="failed").count()
    patience = timedelta(minutes=settings.waiting_minutes)
    late = Delivery.objects.filter(
        channel="email", status="pending", notification__created_at__lt=now - patience
    ).count()
    failures = [f"{failed} mails of {settings.hours} hours were given up."] if failed else []
    if late:
        failures.append(f"{late} mails have waited for more than {settings.waiting_minutes} minutes.")
    return concluded(
        f"{sent} mails went out in {settings.hours} hours; none was given up or waits.",
        failures=failures,
        facts={"sent": sent, "failed": failed, "late": late},
        query="deliveries by e-mail",
    )
