"""Known vulnerabilities: the locked packages were looked up lately, and none is vulnerable."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings as project
from pydantic import Field

from apps.register import reported
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.checks.dependencies_pinned import LOCK
from apps.register.probing import Site


class Settings(CheckSettings):
    """When an audit is old."""

    days: int = Field(
        8, ge=1, le=90, title="Days", description="Days after which the packages must be looked up again."
    )


@check(
    slug="dependency-audit",
    title="The packages have no known vulnerability",
    every=timedelta(hours=6),
    settings=Settings,
    mitigation="Run pip-audit --format=json and manage.py record_audit FILE; update what is vulnerable (`make lock`).",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Reads what ``manage.py record_audit`` recorded last, and whether it was of the lock file that is in use now."""
    found = reported.last("dependency_audit", now=now)
    if found is None:
        return concluded("", failures=["The packages were never looked up."], query="decision log")
    days = (now - found.happened_at).days
    known = found.facts.get("vulnerabilities", [])
    failures, warnings = [], []
    if known:
        failures.append(f"{len(known)} vulnerabilities are known: {', '.join(known[:10])}.")
    if days > settings.days:
        failures.append(f"The packages were looked up {days} days ago; at most {settings.days} are allowed.")
    if found.facts.get("lock_sha256") != lock_digest():
        warnings.append(f"{LOCK} changed since they were looked up.")
    return concluded(
        f"{found.facts.get('packages', 0)} packages were looked up {days} days ago; no vulnerability is known.",
        failures=failures,
        warnings=warnings,
        facts={"days": days, "audit": dict(found.facts), "decision": found.seq},
        query="decision log, dependency_audit_recorded",
    )


def lock_digest() -> str:
    """SHA-256 of the lock file in use; empty if there is none."""
    path = Path(project.BASE_DIR) / LOCK
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
