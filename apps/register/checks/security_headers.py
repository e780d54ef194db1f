"""Security headers: pages run no foreign script and stand in no foreign frame."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings as project
from django.urls import reverse

from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site

WANTED = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
ECHOED = "<script>alert(1)</script>"


@check(
    slug="security-headers",
    title="Pages run no foreign script and stand in no foreign frame",
    every=timedelta(hours=6),
    mitigation="See CONTENT_SECURITY_POLICY and MIDDLEWARE in config/settings.py, and what the proxy removes.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Reads the headers of the login page and of a refusal, and sends a script in an address to see whether it comes back."""
    pages = {path: site.ask("GET", path) for path in (reverse("admin:login"), "/no-such-page-asked-by-a-check")}
    failures = ["DEBUG is on: pages show how the site is made, and to whom it talks."] if project.DEBUG else []
    for path, reply in pages.items():
        failures += [
            f"{path}: {name} is {reply.header(name) or 'missing'}, not {value}."
            for name, value in WANTED.items()
            if reply.header(name) != value
        ]
        failures += [f"{path}: {problem}" for problem in _policy(reply.header("content-security-policy"))]
    echo = site.ask("GET", f"{reverse('admin:login')}?next={ECHOED}")
    if ECHOED in echo.text:
        failures.append("A script from the address comes back in the page.")
    first = next(iter(pages.values()))
    return concluded(
        f"{len(WANTED)} headers and the content policy are in force.",
        failures=failures,
        facts={"asked": first.via, "policy": first.header("content-security-policy")},
        query="GET of the login page and of a page that is not there",
    )


def _policy(policy: str) -> list[str]:
    """What a content policy lets pass that it should not."""
    if not policy:
        return ["there is no content policy."]
    rules = {words[0]: words[1:] for words in (part.split() for part in policy.split(";")) if words}
    found = []
    for name in ("script-src", "default-src"):
        loose = {"*", "'unsafe-inline'", "'unsafe-eval'", "http:", "https:", "data:"} & set(rules.get(name, ["*"]))
        if loose:
            found.append(f"{name} allows {', '.join(sorted(loose))}.")
    if rules.get("frame-ancestors") != ["'none'"]:
        found.append("other sites may frame it.")
    return found
