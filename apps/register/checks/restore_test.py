"""Restore tests: a backup was restored and compared lately."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from apps.register import reported
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


class Settings(CheckSettings):
    """When a restore test is old."""

    days: int = Field(92, ge=1, le=730, title="Days", description="Days after which a backup must be restored again.")


@check(
    slug="restore-test",
    title="A backup was restored and compared lately",
    every=timedelta(hours=6),
    settings=Settings,
    mitigation="Restore a backup into a database beside this one, then manage.py record_restore_test DATABASE_URL.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Reads when ``manage.py record_restore_test`` last compared a restored database with this one."""
    found = reported.last("restore_test", now=now)
    if found is None:
        return concluded("", failures=["No backup was ever restored and compared."], query="decision log")
    days = (now - found.happened_at).days
    failures = []
    if days > settings.days:
        failures.append(f"The last restore test was {days} days ago; at most {settings.days} are allowed.")
    if not found.facts.get("whole"):
        failures.append("The restored database was not whole.")
    return concluded(
        f"A backup was restored {days} days ago: its {found.facts.get('decisions', 0)} decisions and "
        f"{found.facts.get('tables', 0)} tables were as they should be.",
        failures=failures,
        facts={"days": days, "limitDays": settings.days, "test": dict(found.facts), "decision": found.seq},
        query="decision log, restore_test_recorded",
    )
