"""TLS and cookies: the site is served by TLS alone, and its cookies cannot be read or sent elsewhere."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings as project
from django.urls import reverse
from pydantic import Field

from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site, SiteSilent


class Settings(CheckSettings):
    """What counts as safe."""

    hsts_days: int = Field(
        180, ge=1, le=3650, title="HSTS", description="Days for which browsers must remember to use TLS, at least."
    )
    session_hours: int = Field(24, ge=1, le=720, title="Session", description="Hours a session may last, at most.")


@check(
    slug="tls-and-cookies",
    title="TLS alone, and cookies that stay with the site",
    every=timedelta(hours=6),
    settings=Settings,
    mitigation="Serve the site by TLS (SITE_URL=https://..., RISKDESK_ENV=production); see docs/operate.md.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Asks for the login page by TLS and without, and reads its cookies, headers and where it leads."""
    path = reverse("admin:login")
    reply = site.ask("GET", path)
    failures = (
        [] if project.SITE_URL.startswith("https://") else [f"The site is served at {project.SITE_URL}, without TLS."]
    )
    cookies = {}
    for name, cookie in reply.cookies.items():
        flags = {key: bool(cookie[key]) for key in ("secure", "httponly")}
        cookies[name] = {**flags, "samesite": cookie["samesite"] or "not set"}
        if not cookie["secure"]:
            failures.append(f"The cookie {name} may be sent without TLS.")
        if not cookie["httponly"]:
            failures.append(f"Scripts can read the cookie {name}.")
        if cookie["samesite"] not in {"Lax", "Strict"}:
            failures.append(f"The cookie {name} is sent with requests from other sites.")
    if not reply.cookies:
        failures.append("The login page sets no cookie, so forms are not protected.")
    if not (project.SESSION_COOKIE_SECURE and project.SESSION_COOKIE_HTTPONLY):
        failures.append("The session's cookie is not limited to TLS and to the server.")
    if settings.session_hours * 3600 < project.SESSION_COOKIE_AGE:
        failures.append(f"A session lasts {project.SESSION_COOKIE_AGE / 3600:.0f} hours.")
    if project.SITE_URL.startswith("https://"):
        failures += _over_tls(site, path, reply.header("strict-transport-security"), settings)
    return concluded(
        "The site is served by TLS alone; its cookies are limited to it.",
        failures=failures,
        facts={"siteUrl": project.SITE_URL, "asked": reply.via, "cookies": cookies,
               "hsts": reply.header("strict-transport-security") or "none"},
        query=f"GET {path}",
    )  # fmt: skip


def _over_tls(site: Site, path: str, hsts: str, settings: Settings) -> list[str]:
    found = []
    seconds = [part.split("=")[1].strip() for part in hsts.split(";") if part.strip().startswith("max-age=")]
    if not seconds or not seconds[0].isdigit() or int(seconds[0]) < settings.hsts_days * 86_400:
        found.append(f"Browsers are not told for {settings.hsts_days} days to use TLS.")
    try:
        plain = site.ask("GET", path, secure=False)
    except SiteSilent:  # nothing listens without TLS
        return found
    if plain.status not in {301, 308} or not plain.header("location").startswith("https://"):
        found.append(f"Without TLS the site answers {plain.status} instead of leading to https.")
    return found
