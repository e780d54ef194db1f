"""Access control: who has not signed in sees nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern
from pydantic import Field

from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site, in_process

REFUSALS = frozenset({301, 302, 401, 403, 404, 405, 429})


class Settings(CheckSettings):
    """What is meant for strangers."""

    public: tuple[str, ...] = Field(
        (
            "/health/",
            "/static/",
            "/admin/login/",
            "/admin/logout/",
            "/metrics",
            "/help/",
            "/robots.txt",
            "/api/knowledge/",
            "/chat/demo/",
        ),
        title="Public",
        description="Beginnings of addresses that are meant for strangers; /metrics asks for a token of its own.",
    )


@check(
    slug="strangers-refused",
    title="Who has not signed in sees nothing",
    every=timedelta(hours=6),
    settings=Settings,
    later=True,
    mitigation="Give the view its permission: a ScopedAdmin, or a DRF view with the default permission classes.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Asks for every address of the site without having signed in; each must refuse or lead to the login page."""
    asked, seen, broken = 0, [], []
    for path in sorted(set(addresses(get_resolver(), "/"))):
        if path.startswith(settings.public):
            continue
        asked += 1
        reply = in_process("GET", path)
        if reply.status >= 500:
            broken.append(f"{path} {reply.status}")
        elif reply.status not in REFUSALS:
            seen.append(f"{path} {reply.status}")
    live = site.ask("GET", "/admin/")
    if live.status not in REFUSALS:
        seen.append(f"/admin/ {live.status} (asked over {live.via})")
    failures = [f"Shown to strangers: {', '.join(seen[:10])}."] if seen else []
    if broken:
        failures.append(f"Breaks for strangers: {', '.join(broken[:10])}.")
    return concluded(
        f"{asked} addresses refuse strangers, or ask them to sign in.",
        failures=failures,
        facts={"asked": asked, "shown": seen, "broken": broken},
        query="GET of every address without a session",
    )


def addresses(resolver: URLResolver, prefix: str) -> Iterator[str]:
    """An address of each pattern, with a made-up value for each of its parts."""
    for pattern in resolver.url_patterns:
        path = prefix + _filled(pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern, path)
        elif isinstance(pattern, URLPattern) and "(" not in path:
            yield path


def _filled(pattern: URLPattern | URLResolver) -> str:
    route = pattern.pattern
    if not isinstance(route, RoutePattern):
        return "("  # a regular expression of a library; its addresses are asked by name elsewhere
    text = str(route)
    for name, converter in route.converters.items():
        value = str(converter.to_url(_EXAMPLES.get(type(converter).__name__, "1")))
        for part in (f"<{_kind(text, name)}{name}>", f"<{name}>"):
            text = text.replace(part, value)
    return text


def _kind(text: str, name: str) -> str:
    before = text.partition(f"{name}>")[0].rpartition("<")[2]
    return before if before.endswith(":") else ""


_EXAMPLES = {"UUIDConverter": "00000000-0000-4000-8000-000000000000", "IntConverter": 1}
