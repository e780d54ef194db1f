"""Health: the web server answers, and has all that it needs."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from pydantic import Field

from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site, SiteSilent

LIVE, READY = "/health/live", "/health/ready"


class Settings(CheckSettings):
    """How often it is asked."""

    times: int = Field(5, ge=1, le=50, title="Times", description="How often it is asked; every answer must come.")


@check(
    slug="site-answers",
    title="The site answers and has what it needs",
    every=timedelta(minutes=5),
    settings=Settings,
    later=True,
    mitigation="See which part /health/ready names, and the web server's log; PROBE_URL must lead to the web server.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Asks the web server over HTTP whether it is alive, several times, and whether database, Valkey and migrations are ready."""
    try:
        alive = [site.over_http(LIVE).status for _ in range(settings.times)]
        ready = site.over_http(READY)
    except SiteSilent as error:
        return concluded("", failures=[f"{error}."], query=f"GET {READY}")
    parts = _parts(ready.text)
    missing = sorted(name for name, words in parts.items() if words != "ok")
    failures = []
    if missing or ready.status != 200:
        failures.append(f"Not ready: {', '.join(missing) or ready.status}.")
    lost = sum(status != 200 for status in alive)
    if lost:
        failures.append(f"{lost} of {settings.times} questions whether it is alive were not answered with 200.")
    return concluded(
        f"It answered {settings.times} times and has {', '.join(sorted(parts))}.",
        failures=failures,
        facts={"alive": alive, "ready": ready.status, "parts": parts},
        query=f"GET {LIVE} ×{settings.times}, GET {READY}",
    )


def _parts(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    parts = found.get("parts") if isinstance(found, dict) else None
    return {str(name): str(words) for name, words in parts.items()} if isinstance(parts, dict) else {}
