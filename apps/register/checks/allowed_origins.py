"""Allowed origins: only named sites may call the API from a browser."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings as project

from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site

STRANGER = "https://stranger.invalid"
PATH = "/api/schema/"


@check(
    slug="allowed-origins",
    title="Only named origins may call the API",
    every=timedelta(hours=1),
    mitigation="Name the origins in CORS_ALLOWED_ORIGINS and CSRF_TRUSTED_ORIGINS, without wildcards, and restart.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Asks the API as a page of a foreign origin would, by a request and by a preflight, and reads the lists of origins."""
    lists = {"CORS_ALLOWED_ORIGINS": project.CORS_ALLOWED_ORIGINS, "CSRF_TRUSTED_ORIGINS": project.CSRF_TRUSTED_ORIGINS}
    failures = [f"{name} holds a wildcard." for name, origins in lists.items() if any("*" in one for one in origins)]
    if any("*" in host for host in project.ALLOWED_HOSTS):
        failures.append("ALLOWED_HOSTS holds a wildcard.")
    if getattr(project, "CORS_ALLOW_ALL_ORIGINS", False):
        failures.append("CORS_ALLOW_ALL_ORIGINS is on.")
    if getattr(project, "CORS_ALLOWED_ORIGIN_REGEXES", []):
        failures.append("Origins are allowed by pattern; name them instead.")
    seen = {}
    for method in ("GET", "OPTIONS"):
        reply = site.ask(method, PATH, headers={"Origin": STRANGER, "Access-Control-Request-Method": "POST"})
        allowed = reply.header("access-control-allow-origin")
        seen[f"{method} {PATH}"] = {"status": reply.status, "allowOrigin": allowed or "none", "asked": reply.via}
        if allowed in {"*", STRANGER}:
            failures.append(f"{method} {PATH} allows the foreign origin {STRANGER}.")
        if "access-control-allow-credentials" in reply.headers and allowed:
            failures.append("Credentials are allowed from it.")
    return concluded(
        f"A foreign origin is allowed nothing; {len(project.CORS_ALLOWED_ORIGINS)} origins are named.",
        failures=failures,
        facts={"named": list(project.CORS_ALLOWED_ORIGINS), "answers": seen},
        query=f"GET and OPTIONS {PATH} with Origin {STRANGER}",
    )
