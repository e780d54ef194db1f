"""Integrations: none can keep a thread waiting for ever."""

from __future__ import annotations

import ast
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

from django.conf import settings as project
from pydantic import Field

from apps.core.breaker import Admission, Breaker
from apps.core.http import Client, IntegrationError
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site

NETWORK = frozenset({"httpx", "requests", "urllib3", "aiohttp", "ftplib", "telnetlib", "paramiko", "boto3", "stripe"})
CALLING = frozenset(
    {"Client", "AsyncClient", "HTTPTransport", "request", "stream", "get", "post", "put", "patch", "delete"}
)
NETWORK_PARTS = frozenset({"urllib.request", "http.client"})
OWN_TIMEOUTS = ("apps.core.http", "apps.core.deadline", "apps.core.launcher", "apps.register.probing")
"""What makes the client, or has timeouts of its own and is no integration."""
GIVE_UP = 0.3


class Settings(CheckSettings):
    """How long is too long."""

    seconds: float = Field(30, gt=0, le=300, title="Seconds", description="Seconds a mail server may take, at most.")


@check(
    slug="integration-timeouts",
    title="Every integration has a timeout",
    every=timedelta(hours=12),
    settings=Settings,
    mitigation="Talk to other systems through apps.core.http.Client, which has timeouts, retries and a circuit breaker.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Calls a server of its own that never answers, and looks in the loaded code for calls that go past the client."""
    waited, code = _call_a_silent_server()
    failures = []
    if code != "timeout" or waited > GIVE_UP * 5:
        failures.append(f"The client did not give up after {GIVE_UP:g} s: {code or 'an answer'} after {waited:.1f} s.")
    past = sorted(f"{name} ({library})" for name, library in _past_the_client())
    if past:
        failures.append(f"These talk to the network without the client: {', '.join(past[:10])}.")
    mail = getattr(project, "EMAIL_TIMEOUT", None)
    if "smtp" in project.EMAIL_BACKEND and (mail is None or mail > settings.seconds):
        failures.append(f"The mail server may take {mail or 'any number of'} seconds.")
    return concluded(
        f"The client gave up on a silent server after {waited:.1f} s; nothing in the product goes past it.",
        failures=failures,
        facts={"seconds": round(waited, 2), "code": code, "pastTheClient": past, "mailSeconds": mail},
        query="a server on this machine that never answers; imports of all loaded modules",
    )


@dataclass(frozen=True, slots=True)
class _NoBreaker(Breaker):
    """Counts nothing: a provoked failure is none of an integration's."""

    def admit(self) -> Admission:
        return Admission(True, "")

    def succeed(self, token: str) -> None: ...

    def fail(self, token: str) -> None: ...


def _call_a_silent_server() -> tuple[float, str]:
    """How long the client waited, and how it ended."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        begun = monotonic()
        with Client("check", address, timeout=GIVE_UP, breaker=_NoBreaker("check")) as client:
            try:
                client.request("GET", "/", retry=False)
            except IntegrationError as error:
                return monotonic() - begun, error.code
    return monotonic() - begun, ""


def _past_the_client() -> Iterator[tuple[str, str]]:
    """Modules of the product that import a library of the network themselves."""
    for name, module in sorted(sys.modules.items()):
        if not name.startswith("apps.") or name.startswith(OWN_TIMEOUTS) or ".management." in name:
            continue
        file = getattr(module, "__file__", None)
        for imported, used in _imports(Path(file).read_text() if file else ""):
            if imported.split(".")[0] in NETWORK or imported in NETWORK_PARTS:
                if imported == "httpx" and not used & CALLING:  # its types and exceptions call nobody
                    continue
                yield name, imported


def _imports(source: str) -> Iterator[tuple[str, set[str]]]:
    """Imported modules, each with the attributes that are taken of it."""
    tree = ast.parse(source)
    taken: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            taken.setdefault(node.value.id, set()).add(node.attr)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, taken.get(alias.asname or alias.name.split(".")[0], set())
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, {alias.name for alias in node.names}
