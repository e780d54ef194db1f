"""What a check is: one function in one file that looks at the running system and says whether a control holds.

Checks are found in ``apps.register.checks`` and in the package ``checks`` of every app above the register. Adding one is
a new file there and its test (docs/checks.md)::

    class Settings(CheckSettings):
        days: int = Field(2, ge=1, le=60, title="Days", description="Days after which a backup is too old.")

    @check(slug="backup-age", title="A backup was taken lately", every=timedelta(hours=6), settings=Settings)
    def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
        ...
        return concluded("A backup was taken 5 hours ago.", failures=[], facts={"age_hours": 5})

A check may read rows, settings, files and Valkey, and may ask the site; it takes ``now`` as an argument. Whatever it
writes to the database is taken back when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, Literal, Protocol, TypeVar

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from pydantic import BaseModel, ConfigDict

from apps.core.rules import Registry
from apps.register.probing import Site

Outcome = Literal["pass", "warn", "fail", "error"]
SHORTEST = timedelta(minutes=5)
"""How often due checks are looked for (config/celery.py), so no check comes oftener."""


class CheckSettings(BaseModel):
    """Base of every check's settings. Each field has a default, bounds, a title and a description with its unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Args:
        outcome: ``pass``, ``warn``, ``fail``; ``error`` where it could not be judged.
        summary: one or two sentences for the person who must act, with the figures.
        facts: the evidence, as JSON; no secrets and no personal data.
        query: what was looked at, such as ``GET /api/ with a foreign Origin``.
    """

    outcome: Outcome
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""


def concluded(
    well: str,
    *,
    failures: Iterable[str] = (),
    warnings: Iterable[str] = (),
    facts: Mapping[str, Any] | None = None,
    query: str = "",
) -> Finding:
    """A finding of what is wrong: it fails with the failures, warns with the warnings, or passes with the words ``well``."""
    wrong, doubtful = list(failures), list(warnings)
    outcome: Outcome = "fail" if wrong else "warn" if doubtful else "pass"
    return Finding(outcome, " ".join([*wrong, *doubtful]) or well, facts or {}, query)


S_contra = TypeVar("S_contra", bound=CheckSettings, contravariant=True)


class Look(Protocol[S_contra]):
    """The signature of every check."""

    def __call__(self, *, now: Any, settings: S_contra, site: Site) -> Finding: ...


@dataclass(frozen=True, slots=True)
class Check:
    """A check with its metadata.

    Args:
        slug: stable name; controls refer to it.
        title: what holds when it passes, as a short sentence.
        every: its cadence.
        settings: schema of its limits; the form of their versions is made from it.
        mitigation: what to do when it fails, for the card.
        later: a fresh start leaves it to the schedule, because it takes long or looks at programs that do not run yet.
    """

    slug: str
    title: str
    every: timedelta
    look: Look[Any]
    settings: type[CheckSettings] = CheckSettings
    mitigation: str = ""
    later: bool = False

    @property
    def description(self) -> str:
        """The first paragraph of the check's docstring: what it looks at."""
        return " ".join((self.look.__doc__ or "").strip().split("\n\n")[0].split())


def described(one: Check) -> list[str]:
    """Lines about a check: what it looks at, how often, and its limits."""
    lines = [one.description, f"runs: every {spoken(one.every)}"]
    fields = one.settings.model_fields.items()
    if fields:
        lines.append("limits (defaults):")
    return [*lines, *(f"  {name:<22} {item.default!s:<10} {item.description}" for name, item in fields)]


checks: Registry[Check] = Registry("check", describe=described)

F = TypeVar("F", bound=Callable[..., Finding])


def check(*, slug: str, title: str, every: timedelta, **metadata: Any) -> Callable[[F], F]:
    """Register the decorated function as a check; the arguments are those of :class:`Check` without ``look``.

    Raises:
        ImproperlyConfigured: if its cadence is shorter than the schedule's, or its slug is taken.
    """
    if every < SHORTEST:
        raise ImproperlyConfigured(f"The check {slug!r} cannot come oftener than every {spoken(SHORTEST)}.")

    def register(function: F) -> F:
        checks.add(Check(slug=slug, title=title, every=every, look=function, **metadata))
        return function

    return register


def discover() -> None:
    """Import every check of every app. Called once, at start-up."""
    for config in apps.get_app_configs():
        if not config.name.startswith("apps."):
            continue
        spec = find_spec(f"{config.name}.checks")
        if spec is not None and spec.submodule_search_locations is not None:  # in the core it is a module of Django's
            checks.discover(f"{config.name}.checks")


def spoken(span: timedelta) -> str:
    """A span in the largest unit that fits: ``90 minutes``, ``6 hours``, ``1 day``."""
    seconds = int(span.total_seconds())
    for name, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length} {name}{'' if seconds == length else 's'}"
    return f"{seconds} seconds"
