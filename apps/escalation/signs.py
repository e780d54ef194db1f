"""What an indicator is: one function in one file that says why a message, or what came lately, may point to a risk.

An indicator reads rows and yields :class:`Finding` objects; :mod:`apps.escalation.proposals` makes proposals of them for a
person to confirm or reject. Adding one is a new file in ``apps/escalation/indicators`` and its test::

    @indicator(slug="data", title="Data concerns", occasion="report", settings=WordingSettings)
    def find(*, now: datetime, settings: WordingSettings, report: Report | None) -> Iterator[Finding]:
        ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from apps.core.rules import Registry
from apps.escalation.models import Report

Occasion = Literal["report", "sweep"]


class SignSettings(BaseModel):
    """Base of every indicator's thresholds. Each field has a default, bounds, and a description with its unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason to propose a flag.

    Args:
        subject: what it is about, ``kind:id``; with the indicator it identifies the proposal.
        scope_id: key of the scope it belongs to, or None for the whole company.
        title: one line for the person who decides.
        reasons: why, in words, the strongest first.
        score: comparable within one indicator only.
        level: 1 to 5, proposed; the person who confirms may choose another.
        evidence: the facts, as JSON.
        affected_count: distinct customers, if known.
        size: how much of it there is, such as the customers of a cluster; once rejected, it is proposed again only when
            this has doubled. 0 if a rejected one is never proposed again.
    """

    subject: str
    scope_id: int | None
    title: str
    reasons: tuple[str, ...]
    score: float
    level: int
    evidence: Mapping[str, Any] = field(default_factory=dict)
    affected_count: int | None = None
    size: int = 0


S_contra = TypeVar("S_contra", bound=SignSettings, contravariant=True)


class Find(Protocol[S_contra]):
    """The signature of every indicator. It reads rows, takes ``now`` as an argument and never writes."""

    def __call__(self, *, now: datetime, settings: S_contra, report: Report | None) -> Iterator[Finding]: ...


@dataclass(frozen=True, slots=True)
class Sign:
    """An indicator with its metadata.

    Args:
        slug: one of the protocol's seven indicators.
        occasion: ``report`` to judge each message as it comes, ``sweep`` to judge what came lately, by the clock.
        settings: schema of its thresholds.
    """

    slug: str
    title: str
    occasion: Occasion
    settings: type[SignSettings]
    find: Find[Any]

    @property
    def description(self) -> str:
        """The first paragraph of the indicator's docstring: what it looks for."""
        return " ".join((self.find.__doc__ or "").strip().split("\n\n")[0].split())


def described(one: Sign) -> list[str]:
    """Lines about an indicator: what it looks for, when, and its thresholds in force. Writes nothing."""
    from apps.escalation.thresholds import newest_versions  # not at the top: it reads this registry

    version = newest_versions().get(one.slug)
    values = {**one.settings().model_dump(mode="json"), **(version.settings if version else {})}
    occasion = "for each message" if one.occasion == "report" else "by the sweep over what came lately"
    number = f"version {version.number}" if version else "defaults"
    fields = one.settings.model_fields.items()
    return [
        one.description,
        f"runs: {occasion if version is None or version.enabled else 'not, it is switched off'}",
        f"thresholds ({number}):",
        *(f"  {name:<22} {values[name]!s:<10} {field.description}" for name, field in fields),
    ]


indicators: Registry[Sign] = Registry("indicator", describe=described)

F = TypeVar("F", bound=Callable[..., Iterator[Finding]])


def indicator(**metadata: Any) -> Callable[[F], F]:
    """Register the decorated function as an indicator; the arguments are those of :class:`Sign` without ``find``."""

    def register(function: F) -> F:
        indicators.add(Sign(find=function, **metadata))
        return function

    return register
