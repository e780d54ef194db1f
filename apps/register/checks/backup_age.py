"""Backups: one was taken lately."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from apps.register import reported
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


class Settings(CheckSettings):
    """When a backup is old."""

    hours: int = Field(26, ge=1, le=24 * 60, title="Hours", description="Hours after which a backup is too old.")


@check(
    slug="backup-age",
    title="A backup was taken lately",
    every=timedelta(hours=1),
    settings=Settings,
    mitigation="Take a backup and record it: manage.py record_backup FILE (docs/operate.md, “Backup and restore”).",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Reads when the last backup was recorded by ``manage.py record_backup``; an unrecorded one does not count."""
    found = reported.last("backup", now=now)
    if found is None:
        return concluded("", failures=["No backup was ever recorded."], query="decision log, backup_recorded")
    hours = (now - found.happened_at).total_seconds() / 3600
    limit = settings.hours
    return concluded(
        f"The last backup is {hours:.0f} hours old; at most {limit} are allowed.",
        failures=[f"The last backup is {hours:.0f} hours old; at most {limit} are allowed."] if hours > limit else [],
        facts={"hours": round(hours, 1), "limitHours": limit, "backup": dict(found.facts), "decision": found.seq},
        query="decision log, backup_recorded",
    )
