"""What an import would do: each risk is new, changed (with both values), unchanged or missing.

Only what a document states is compared. What the register has and the document does not is called missing, and left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any

from django.db.models import Max

from apps.register.models import RiskAssessment, RiskImport
from apps.register.papers.register import Held, head_of, held
from apps.register.papers.resolve import Resolved, resolve
from apps.register.papers.shapes import KINDS, Paper, PaperMitigation, PaperRisk, PaperScore, Unread
from apps.register.papers.vocabulary import plain

NEW, CHANGED, UNCHANGED, MISSING = "new", "changed", "unchanged", "missing"
LABELS = (NEW, CHANGED, UNCHANGED, MISSING)
_RISK_FIELDS = (
    "title", "description", "cause", "consequence", "status", "treatment", "proximity", "owner_role", "owner",
    "next_review_on",
)  # fmt: skip
_MITIGATION_FIELDS = (
    "description", "horizon", "priority", "owner_role", "owner", "due_on", "status", "progress", "effect", "controls",
)  # fmt: skip
_HEAD_FIELDS = (
    "title", "project", "status", "phase", "references", "overview", "scope", "owner", "matrix", "cadence",
    "next_review_on", "every_days",
)  # fmt: skip
# Where the register needs a value, a document that states none leaves it.
_NEEDED = frozenset({"title", "status", "treatment", "horizon", "phase", "progress", "matrix"})
_SIMILAR = 0.75
_MAX_PAIRS = 20_000


@dataclass(frozen=True, slots=True)
class Change:
    """A value that differs. ``old`` is empty for what is new."""

    field: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class MitigationPlan:
    """``row`` is the place among the register's mitigations of the same risk, None for a new one."""

    label: str
    title: str
    index: int | None = None
    row: int | None = None
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class RiskPlan:
    """What happens to one risk.

    Attributes:
        index: its place in the paper, None for a missing one.
        row: the key of the register's row, None for a new one.
    """

    label: str
    key: str
    title: str
    reference: str = ""
    category: str = ""
    index: int | None = None
    row: int | None = None
    changes: tuple[Change, ...] = ()
    mitigations: tuple[MitigationPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import would do.

    Attributes:
        exists: whether the assessment is there already.
        head: what changes of the assessment itself.
        added: gates and provisions that are new, and those that the document does not have.
        version: digest of the register as it was compared.
    """

    exists: bool
    version: str
    head: tuple[Change, ...] = ()
    added: tuple[Change, ...] = ()
    actions: tuple[MitigationPlan, ...] = ()
    risks: tuple[RiskPlan, ...] = ()
    notes: tuple[Unread, ...] = ()

    def counts(self) -> dict[str, int]:
        """Risks by label."""
        return {label: sum(risk.label == label for risk in self.risks) for label in LABELS}

    @property
    def idle(self) -> bool:
        """Whether applying it would change nothing."""
        done = (UNCHANGED, MISSING)
        rest = all(action.label in done for action in self.actions) and all(risk.label in done for risk in self.risks)
        return self.exists and not self.head and not any(change.new for change in self.added) and rest

    def as_json(self) -> dict[str, Any]:
        """Plain data, with the counts."""
        return asdict(self) | {"counts": self.counts()}


@dataclass
class Comparison:
    """A plan with what it was made of."""

    plan: Plan
    resolved: Resolved
    rows: dict[int, Held] = field(default_factory=dict)


def compare(paper: Paper, assessment: RiskAssessment | None) -> Comparison:
    """Compare a paper with the register as it is."""
    resolved = resolve(paper, assessment)
    clean = resolved.paper
    current = head_of(assessment) if assessment else Paper(shape="register")
    rows = {one.row.pk: one for one in held(assessment)} if assessment else {}
    notes = list(resolved.notes)
    plan = Plan(
        exists=assessment is not None,
        version=version_of(assessment, rows.values(), current),
        head=tuple(_head(clean, current)) if assessment else (),
        added=tuple(_added(clean, current)),
        actions=tuple(compare_mitigations(clean.actions, current.actions, ("horizon", "priority"))),
        risks=tuple(_risks(clean, rows, notes, _imported_at(assessment))),
        notes=tuple(notes),
    )
    return Comparison(plan, resolved, rows)


def plan(paper: Paper, assessment: RiskAssessment | None) -> Plan:
    """What importing a paper into an assessment (None: a new one) would do. Nothing is written."""
    return compare(paper, assessment).plan


def version_of(assessment: RiskAssessment | None, rows: Iterable[Held], head: Paper) -> str:
    """The digest of all that a plan was compared with."""
    digest = hashlib.sha256(repr((assessment and assessment.pk, head)).encode())
    for one in rows:
        digest.update(repr((one.row.pk, one.row.version, one.paper)).encode())
    return digest.hexdigest()


def _show(value: Any) -> str:
    if isinstance(value, tuple):
        return "\n".join(": ".join(part) if isinstance(part, tuple) else str(part) for part in value)
    return "" if value is None else str(value)


def _differing(new: Any, old: Any, names: Iterable[str]) -> list[Change]:
    """Fields that the new one states and in which the old one differs; ends of lines are all one."""
    found = []
    needed = _NEEDED | {"owner_role"} if isinstance(new, PaperRisk) else _NEEDED
    for name in names:
        stated, there = getattr(new, name), getattr(old, name)
        if stated is None or (stated == "" and name in needed):
            continue
        if _same_lines(_show(stated)) != _same_lines(_show(there)):
            found.append(Change(name, _show(there), _show(stated)))
    return found


def _same_lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _head(paper: Paper, current: Paper) -> list[Change]:
    return _differing(paper, current, _HEAD_FIELDS)


def _added(paper: Paper, current: Paper) -> list[Change]:
    """Gates and provisions on one side only."""
    found = []
    dates = {gate.name: gate.due_on for gate in current.gates}
    for gate in paper.gates:
        if gate.name not in dates:
            found.append(Change("gate", "", gate.name))
        elif gate.due_on is not None and gate.due_on != dates[gate.name]:
            found.append(Change("gate", f"{gate.name}: {dates[gate.name]}", f"{gate.name}: {gate.due_on}"))
    found += [Change("gate", name, "") for name in dates if name not in {gate.name for gate in paper.gates}]
    for kind in ("detection", "procedures", "ownership"):
        there = dict.fromkeys((item.group, item.text) for item in getattr(current, kind))
        stated = dict.fromkeys((item.group, item.text) for item in getattr(paper, kind))
        found += [Change(kind, "", ": ".join(item)) for item in stated if item not in there]
        found += [Change(kind, ": ".join(item), "") for item in there if item not in stated]
    return found


def compare_mitigations(
    new: tuple[PaperMitigation, ...], old: tuple[PaperMitigation, ...], apart: tuple[str, ...] = ()
) -> list[MitigationPlan]:
    """Pair mitigations by title, the first with the first of the same one.

    Args:
        apart: further fields that tell two of the same title apart.
    """

    def name(one: PaperMitigation) -> tuple[str, ...]:
        return (" ".join(one.title.casefold().split()), *(getattr(one, part) or "" for part in apart))

    waiting: dict[tuple[str, ...], list[int]] = {}
    for place, one in enumerate(old):
        waiting.setdefault(name(one), []).append(place)
    found = []
    for index, one in enumerate(new):
        places = waiting.get(name(one))
        if not places:
            found.append(MitigationPlan(NEW, one.title, index))
            continue
        row = places.pop(0)
        changes = tuple(_differing(one, old[row], ("title", *_MITIGATION_FIELDS)))
        found.append(MitigationPlan(CHANGED if changes else UNCHANGED, one.title, index, row, changes))
    left = sorted(place for places in waiting.values() for place in places)
    return found + [MitigationPlan(MISSING, old[place].title, None, place) for place in left]


def _imported_at(assessment: RiskAssessment | None) -> datetime | None:
    """When a document last wrote to the assessment."""
    applied = RiskImport.objects.filter(assessment=assessment, state=RiskImport.State.APPLIED) if assessment else None
    return applied.aggregate(at=Max("applied_at"))["at"] if applied is not None else None


def _risks(
    paper: Paper, rows: dict[int, Held], notes: list[Unread], imported_at: datetime | None
) -> Iterable[RiskPlan]:
    pairs = _pairs(paper.risks, rows)
    for index, risk in enumerate(paper.risks):
        category = " > ".join(risk.path)
        if index not in pairs:
            _refuse_acceptance(risk, "", notes)
            added = tuple(MitigationPlan(NEW, one.title, place) for place, one in enumerate(risk.mitigations))
            scores = tuple(Change(score.kind, "", show_score(score)) for score in risk.scores)
            yield RiskPlan(NEW, risk.key, risk.title, "", category, index, None, scores, added)
            continue
        there = rows[pairs[index]]
        changes = _changes(risk, there.paper, notes)
        notes.extend(_put_back(risk, there, changes, imported_at))
        mitigations = compare_mitigations(risk.mitigations, there.paper.mitigations)
        touched = changes or any(one.label in (NEW, CHANGED) for one in mitigations)
        yield RiskPlan(
            CHANGED if touched else UNCHANGED, risk.key, risk.title, there.row.reference, category, index,
            there.row.pk, tuple(changes), tuple(mitigations),
        )  # fmt: skip
    taken = set(pairs.values())
    for key, there in rows.items():
        if key not in taken:
            yield RiskPlan(
                MISSING, there.paper.key, there.paper.title, there.row.reference, " > ".join(there.paper.path),
                None, key,
            )  # fmt: skip


def _refuse_acceptance(risk: PaperRisk, current: str, notes: list[Unread]) -> bool:
    """Note a status that no document can give or take: an acceptance is asked for and decided here."""
    if risk.status is None or risk.status == current or "accepted" not in (risk.status, current):
        return False
    why = "a risk is accepted here by request and decision" if risk.status == "accepted" else "its acceptance holds"
    notes.append(Unread(risk.line, f"{risk.title}: status {risk.status}", f"{why}; the status is left"))
    return True


def _changes(risk: PaperRisk, there: PaperRisk, notes: list[Unread]) -> list[Change]:
    names = [
        name for name in _RISK_FIELDS if name != "status" or not _refuse_acceptance(risk, there.status or "", notes)
    ]
    found = _differing(risk, there, names)
    if risk.path and risk.path != there.path:
        found.append(Change("category", " > ".join(there.path), " > ".join(risk.path)))
    for kind in KINDS:
        new, old = risk.score(kind), there.score(kind)
        if new and not _same_score(new, old):
            found.append(Change(kind, show_score(old), show_score(new)))
    missing = [link for link in risk.links or () if link not in (there.links or ())]
    return found + [Change("link", "", link) for link in missing]


def _put_back(
    risk: PaperRisk, there: Held, changes: Iterable[Change], imported_at: datetime | None
) -> Iterator[Unread]:
    """Warn of scores that somebody gave after the last import, and that this one would replace by the document's."""
    changed = {change.field: change for change in changes}
    for rating in there.row.latest_ratings:
        change = changed.get(rating.kind)
        if change and (imported_at is None or rating.rated_at > imported_at):
            why = (
                f"it was set here on {rating.rated_at:%-d %b %Y} to {change.old}; importing replaces it by {change.new}"
            )
            yield Unread(risk.line, f"{risk.title}: {rating.kind} score", why)


def _same_score(new: PaperScore, old: PaperScore | None) -> bool:
    """Whether both say the same, by the same matrix; the reason is not part of the score."""
    parts = ("probability", "impact", "level", "matrix")
    return old is not None and all(getattr(new, part) == getattr(old, part) for part in parts)


def show_score(score: PaperScore | None) -> str:
    """A score in words, such as ``Medium x High: High``."""
    if score is None:
        return ""
    steps = f"{score.probability} x {score.impact}: " if score.probability else ""
    return f"{steps}{score.level} ({score.matrix})"


def _pairs(risks: tuple[PaperRisk, ...], rows: dict[int, Held]) -> dict[int, int]:
    """Which risk of the paper is which row: by key, by reference, by category and title, then by likeness."""
    pairs: dict[int, int] = {}
    free = dict.fromkeys(rows)

    def match(names: dict[Any, int], name_of: Any) -> None:
        for index, risk in enumerate(risks):
            row = names.get(name_of(risk)) if index not in pairs else None
            if row is not None and row in free:
                pairs[index] = row
                del free[row]

    match({rows[key].paper.key: key for key in rows}, lambda risk: risk.key)
    match(
        {(rows[key].row.reference, rows[key].paper.path): key for key in free}, lambda risk: (risk.reference, risk.path)
    )
    match({_name(rows[key].paper): key for key in free}, _name)
    left = [index for index in range(len(risks)) if index not in pairs]
    if len(left) * len(free) <= _MAX_PAIRS:
        for index in left:
            row = _most_alike(risks[index], {key: rows[key].paper for key in free})
            if row is not None:
                pairs[index] = row
                del free[row]
    return pairs


def _name(risk: PaperRisk) -> tuple[tuple[str, ...], str]:
    return tuple(plain(part) for part in risk.path), plain(risk.title)


def _most_alike(risk: PaperRisk, free: dict[int, PaperRisk]) -> int | None:
    """The row of the same category whose title was most likely only reworded."""
    likeness = {
        key: SequenceMatcher(None, plain(risk.title), plain(other.title)).ratio()
        for key, other in free.items()
        if other.path == risk.path
    }
    best = max(likeness, key=lambda key: likeness[key], default=None)
    return best if best is not None and likeness[best] >= _SIMILAR else None
