"""Looking at the system by a check in a test."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from apps.register.checking import Finding, checks
from apps.register.probing import Reply, SiteSilent, in_process

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class SameProcess:
    """A site whose web server does not run: this process' copy answers all questions."""

    def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, secure: bool | None = None
    ) -> Reply:
        return in_process(method, path, headers=headers, secure=secure)

    def over_http(self, path: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        raise SiteSilent("nobody answers")


class Answering(SameProcess):
    """A site that gives prepared answers to some paths, also over HTTP; the others go to this process' copy."""

    def __init__(self, answers: Mapping[str, Reply]) -> None:
        self.answers = answers

    def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, secure: bool | None = None
    ) -> Reply:
        return self.answers.get(path) or super().ask(method, path, headers=headers, secure=secure)

    def over_http(self, path: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        if path not in self.answers:
            raise SiteSilent("nobody answers")
        return self.answers[path]


def look(slug: str, *, now: datetime = NOON, site: Any = None, **limits: Any) -> Finding:
    """What a check finds."""
    one = checks[slug]
    return one.look(now=now, settings=one.settings(**limits), site=site or SameProcess())
