"""Hostile input: what does not fit is refused, and what looks like a command is only text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.contrib import admin
from django.db import transaction
from django.urls import NoReverseMatch, reverse
from drf_spectacular.generators import SchemaGenerator
from pydantic import Field

from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site, Visitor, in_process, visitor

TEXTS = ("' OR '1'='1' --", "'); SELECT pg_sleep(5); --", "<script>alert(1)</script>")
BODIES = (b"{", b"[]", json.dumps({"no_such_field": TEXTS[0], "id": {"$ne": None}}).encode())


class Settings(CheckSettings):
    """How long an answer may take."""

    seconds: float = Field(4, gt=0, le=60, title="Seconds", description="Seconds within which each answer must come.")


@check(
    slug="hostile-input",
    title="Malformed and hostile input is refused",
    every=timedelta(days=1),
    settings=Settings,
    later=True,
    mitigation="See the address in the evidence: validate what it takes, and pass values to SQL as parameters.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Sends malformed bodies to every address of the API, and commands of SQL and scripts to the search of every list."""
    guest = visitor()
    asked, bad = 0, []
    for method, path, status, seconds, echoed in (*_bodies(guest), *_searches(guest)):
        asked += 1
        if status >= 500:
            bad.append(f"{method} {path} broke ({status})")
        elif method == "POST" and status in {200, 201, 202}:
            bad.append(f"{method} {path} took a malformed body ({status})")
        elif seconds > settings.seconds:
            bad.append(f"{method} {path} took {seconds:.1f} s")
        elif echoed:
            bad.append(f"{method} {path} gives a script back")
    return concluded(
        f"All of {asked} malformed or hostile requests were refused, or taken for text.",
        failures=[f"{len(bad)} of {asked}: {'; '.join(bad[:5])}."] if bad else [],
        facts={"asked": asked, "bad": bad[:50]},
        query="POST of malformed bodies, GET of hostile searches, in this process",
    )


Asked = tuple[str, str, int, float, bool]


def _bodies(guest: Visitor) -> Iterator[Asked]:
    """Bodies that fit nowhere, to every address whose description says that it takes a body."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # a library without types
    for path, methods in schema["paths"].items():
        if "requestBody" not in methods.get("post", {}):
            continue
        filled = _filled(path, methods["post"].get("parameters", []))
        for body in BODIES:
            begun = monotonic()
            before = transaction.savepoint()  # whatever a request does must not reach the next one
            reply = in_process("POST", filled, headers={**guest.headers, "Idempotency-Key": "check"}, body=body)
            transaction.savepoint_rollback(before)
            yield "POST", filled, reply.status, monotonic() - begun, False


def _filled(path: str, parameters: list[dict[str, Any]]) -> str:
    """The path with made-up values for what stands in braces."""
    for one in parameters:
        if one["in"] == "path":
            value = str(UUID(int=1)) if one["schema"].get("format") == "uuid" else "1"
            path = path.replace(f"{{{one['name']}}}", value)
    return path


def _searches(guest: Visitor) -> Iterator[Asked]:
    for model, page in admin.site._registry.items():
        if not page.search_fields or not model.__module__.startswith("apps."):
            continue
        try:
            path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        except NoReverseMatch:
            continue
        for text in TEXTS:
            begun = monotonic()
            before = transaction.savepoint()
            reply = in_process("GET", f"{path}?q={quote(text)}", person=guest.person)
            transaction.savepoint_rollback(before)
            yield "GET", path, reply.status, monotonic() - begun, "<script>alert(1)</script>" in reply.text
