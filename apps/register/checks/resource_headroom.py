"""Resources: disk, memory of Valkey and connections of the database have room."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings as project
from django.db import connection
from pydantic import Field

from apps.core import valkey
from apps.core.metrics import QUEUES
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


class Settings(CheckSettings):
    """How full is too full."""

    warn: float = Field(0.8, gt=0, lt=1, title="Warn", description="Share in use (0 to 1) from which it warns.")
    fail: float = Field(0.95, gt=0, le=1, title="Fail", description="Share in use (0 to 1) from which it fails.")
    queue: int = Field(1000, ge=1, le=1_000_000, title="Queue", description="Waiting tasks from which it fails.")


@dataclass(frozen=True, slots=True)
class Resource:
    """Something of which there is only so much."""

    name: str
    used: int
    limit: int

    @property
    def share(self) -> float:
        return self.used / self.limit if self.limit else 0.0


@check(
    slug="resource-headroom",
    title="Disk, memory and connections have room",
    every=timedelta(minutes=15),
    settings=Settings,
    mitigation="Make room, or raise the limit: the disk of var, Valkey's maxmemory, PostgreSQL's max_connections.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Measures the disk of this process, Valkey's memory, the database's connections, and the tasks that wait."""
    found = list(measure())
    waiting = sum(int(valkey.client().llen(queue)) for queue in QUEUES)
    full = [f"{one.name}: {one.share:.0%} of {one.limit:,}" for one in found if one.share >= settings.fail]
    nearly = [
        f"{one.name}: {one.share:.0%} of {one.limit:,}" for one in found if settings.warn <= one.share < settings.fail
    ]
    failures = [f"In use: {', '.join(full)}."] if full else []
    if waiting >= settings.queue:
        failures.append(f"{waiting:,} tasks wait for a worker.")
    return concluded(
        f"In use: {', '.join(f'{one.name} {one.share:.0%}' for one in found)}; {waiting} tasks wait.",
        failures=failures,
        warnings=[f"In use: {', '.join(nearly)}."] if nearly else [],
        facts={"resources": {one.name: {"used": one.used, "limit": one.limit} for one in found}, "waiting": waiting},
        query="disk, INFO memory, pg_stat_activity",
    )


def measure() -> Iterator[Resource]:
    """What is in use, and how much there is. Memory without a limit is left out."""
    media = Path(project.MEDIA_ROOT)
    disk = shutil.disk_usage(next(folder for folder in (media, *media.parents) if folder.exists()))
    yield Resource("disk", disk.total - disk.free, disk.total)
    memory = valkey.client().info("memory")
    if memory["maxmemory"]:
        yield Resource("memory of Valkey", int(memory["used_memory"]), int(memory["maxmemory"]))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
            " current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
        )
        used, limit = cursor.fetchone()
    yield Resource("connections of the database", int(used), int(limit))
