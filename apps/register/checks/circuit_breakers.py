"""Circuit breakers: no integration is cut off."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.core import breaker
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site

MOST_NAMED = 20


@check(
    slug="circuit-breakers",
    title="The circuits of all integrations are closed",
    every=timedelta(minutes=5),
    mitigation="Follow the runbook “An integration is failing”.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Reads the state of every integration's circuit breaker from Valkey."""
    states = breaker.states()
    named = {state: [name for name, found in states.items() if found == state] for state in set(states.values())}
    broken, probing = named.get(breaker.OPEN, []), named.get(breaker.HALF_OPEN, [])
    return concluded(
        f"All {len(states)} circuits that ever counted a failure are closed." if states else "No circuit ever opened.",
        failures=[f"Cut off after repeated failures: {_some(broken)}."] if broken else [],
        warnings=[f"About to be tried again: {_some(probing)}."] if probing else [],
        facts={"known": len(states), "open": broken[:MOST_NAMED], "halfOpen": probing[:MOST_NAMED]},
        query="breaker states in Valkey",
    )


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
