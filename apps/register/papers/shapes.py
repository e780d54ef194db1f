"""The shape that every risk document is read into and written from.

All values are texts. ``None`` means that the document does not state a value, which leaves the register's as it is; the
empty text states that there is none. Readers check the texts, so that what arrives here can be stored as it is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from django.utils.text import slugify

KINDS = ("inherent", "current", "residual")


@dataclass(frozen=True, slots=True)
class Unread:
    """A line that no reader understood.

    Attributes:
        line: its number in the document (rows of a table likewise), from 1.
        why: what is wrong with it; empty if it says nothing that a reader knows.
    """

    line: int
    text: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class PaperScore:
    """A score in the document's words: both steps, or only the level that they make.

    Attributes:
        kind: inherent, current or residual.
        matrix: the version it was made with, such as ``low-medium-high v1``; empty for the assessment's own.
    """

    kind: str = "current"
    probability: str = ""
    impact: str = ""
    level: str = ""
    matrix: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PaperMitigation:
    """A mitigation of a risk, or an action of the assessment's strategy. ``due_on`` is an ISO date."""

    title: str
    description: str | None = None
    horizon: str | None = None
    priority: str | None = None
    owner_role: str | None = None
    owner: str | None = None
    due_on: str | None = None
    status: str | None = None
    progress: str | None = None
    effect: str | None = None
    controls: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PaperRisk:
    """A risk of the document.

    Attributes:
        key: what tells it from the document's other risks, made of its path and title if the document gives none.
        path: names of its categories from the root.
        number: the document's own number.
        owner: a user name.
        links: what it hangs together with, such as ``risk_flag:4``.
        line: where it begins.
    """

    key: str
    path: tuple[str, ...]
    title: str
    number: str = ""
    reference: str = ""
    description: str | None = None
    cause: str | None = None
    consequence: str | None = None
    status: str | None = None
    treatment: str | None = None
    proximity: str | None = None
    owner_role: str | None = None
    owner: str | None = None
    next_review_on: str | None = None
    links: tuple[str, ...] | None = None
    scores: tuple[PaperScore, ...] = ()
    mitigations: tuple[PaperMitigation, ...] = ()
    line: int = 0

    def score(self, kind: str = "current") -> PaperScore | None:
        """The score of a kind, or None."""
        return next((score for score in self.scores if score.kind == kind), None)


@dataclass(frozen=True, slots=True)
class PaperGate:
    name: str
    due_on: str | None = None


@dataclass(frozen=True, slots=True)
class PaperProvision:
    """A detection mechanism, a step of a procedure, or an owner's area. ``group`` is such as ``security``."""

    group: str
    text: str


@dataclass(frozen=True, slots=True)
class Paper:
    """A risk document.

    Attributes:
        shape: prose, fenced, csv or xlsx.
        created: ISO date or moment, as the document says.
        cadence: how often it is reviewed, in its words.
        every_days: days between reviews by phase, as texts.
        scales: steps of each scale that the document names, from the lowest up.
        matrix: the matrix's version, such as ``low-medium-high v1``.
        actions: of the strategy, for the whole assessment.
    """

    shape: str
    title: str = ""
    slug: str = ""
    project: str | None = None
    status: str | None = None
    phase: str | None = None
    created: str | None = None
    references: tuple[str, ...] | None = None
    overview: str | None = None
    scope: str | None = None
    owner: str | None = None
    matrix: str = ""
    cadence: str | None = None
    next_review_on: str | None = None
    every_days: tuple[tuple[str, str], ...] | None = None
    scales: tuple[tuple[str, tuple[str, ...]], ...] = ()
    gates: tuple[PaperGate, ...] = ()
    detection: tuple[PaperProvision, ...] = ()
    procedures: tuple[PaperProvision, ...] = ()
    ownership: tuple[PaperProvision, ...] = ()
    actions: tuple[PaperMitigation, ...] = ()
    risks: tuple[PaperRisk, ...] = ()
    not_understood: tuple[Unread, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain data, as :func:`from_json` reads it."""
        return asdict(self)


def from_json(data: dict[str, Any]) -> Paper:
    """The document that :meth:`Paper.as_json` wrote down."""
    texts: dict[str, Any] = {name: data[name] for name in _plain(Paper) if name in data}
    return Paper(
        **texts,
        references=_texts(data.get("references")),
        every_days=None if data.get("every_days") is None else tuple((key, days) for key, days in data["every_days"]),
        scales=tuple((name, tuple(steps)) for name, steps in data.get("scales", ())),
        gates=tuple(PaperGate(**item) for item in data.get("gates", ())),
        detection=_provisions(data.get("detection")),
        procedures=_provisions(data.get("procedures")),
        ownership=_provisions(data.get("ownership")),
        actions=_mitigations(data.get("actions")),
        risks=tuple(_risk(item) for item in data.get("risks", ())),
        not_understood=tuple(Unread(**item) for item in data.get("not_understood", ())),
    )


def _plain(kind: type[Any]) -> list[str]:
    """Names of the fields that hold one text."""
    return [item.name for item in fields(kind) if "tuple" not in str(item.type)]


def _texts(found: Any) -> tuple[str, ...] | None:
    return None if found is None else tuple(found)


def _provisions(found: Any) -> tuple[PaperProvision, ...]:
    return tuple(PaperProvision(**item) for item in found or ())


def _mitigations(found: Any) -> tuple[PaperMitigation, ...]:
    return tuple(PaperMitigation(**(item | {"controls": _texts(item.get("controls"))})) for item in found or ())


def _risk(item: dict[str, Any]) -> PaperRisk:
    nested = {
        "path": tuple(item["path"]),
        "links": _texts(item.get("links")),
        "scores": tuple(PaperScore(**score) for score in item.get("scores", ())),
        "mitigations": _mitigations(item.get("mitigations")),
    }
    return PaperRisk(**(item | nested))


@dataclass
class Keys:
    """Makes keys of risks, each once: ``technical/websocket-connection-stability``, and ``...-2`` for a second one."""

    given: dict[str, int] = field(default_factory=dict)

    def make(self, path: tuple[str, ...], title: str) -> str:
        parts = [slugify(part)[:40] or "x" for part in path] + [slugify(title, allow_unicode=True)[:120] or "x"]
        return self.once("/".join(parts)[-210:])

    def once(self, key: str) -> str:
        """The key itself, or with a number where it was given before."""
        candidate = key
        while candidate in self.given:
            self.given[key] += 1
            candidate = f"{key}-{self.given[key]}"
        self.given[candidate] = 1
        return candidate
