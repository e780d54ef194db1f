"""The register's own tables: one record a row, by which an export comes back as it went.

In CSV all records stand in one table, told apart by their first column; in a workbook each kind has its sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.register.papers import vocabulary
from apps.register.papers.rows import Row
from apps.register.papers.shapes import (
    KINDS,
    Paper,
    PaperGate,
    PaperMitigation,
    PaperProvision,
    PaperRisk,
    PaperScore,
    Unread,
)

Record = tuple[str, dict[str, str]]
_HEAD = tuple(vocabulary.ASSESSMENT)
_SCORES = tuple(f"{kind}.{part}" for kind in KINDS for part in vocabulary.SCORE)
_TASK = (*vocabulary.MITIGATION, "controls")
_RISK = ("key", "category", *vocabulary.RISK, *_SCORES, "links")
# Kinds of records, with the columns that each has.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "assessment": _HEAD,
    "document": ("text",),
    "rhythm": ("group", "text"),
    "gate": ("title", "due_on"),
    "detection": ("group", "text"),
    "procedures": ("group", "text"),
    "ownership": ("group", "text"),
    "action": _TASK,
    "risk": _RISK,
    "mitigation": ("risk", *_TASK),
}
ALL = ("record", *dict.fromkeys(name for names in COLUMNS.values() for name in names))
_PATH = " > "
_ASSESSMENT_TABLES = ("detection", "procedures", "ownership")


def records(paper: Paper, risks: Iterable[PaperRisk]) -> Iterator[Record]:
    """The records of an assessment in order; risks come one by one, each followed by its mitigations."""
    yield "assessment", {name: getattr(paper, name) or "" for name in _HEAD}
    yield from (("document", {"text": text}) for text in paper.references or ())
    yield from (("rhythm", {"group": phase, "text": days}) for phase, days in paper.every_days or ())
    yield from (("gate", {"title": gate.name, "due_on": gate.due_on or ""}) for gate in paper.gates)
    for kind in _ASSESSMENT_TABLES:
        yield from ((kind, {"group": item.group, "text": item.text}) for item in getattr(paper, kind))
    yield from (("action", _task(action)) for action in paper.actions)
    for risk in risks:
        yield "risk", _risk(risk)
        yield from (("mitigation", {"risk": risk.key} | _task(one)) for one in risk.mitigations)


def _task(task: PaperMitigation) -> dict[str, str]:
    values = {name: getattr(task, name) or "" for name in vocabulary.MITIGATION}
    return values | {"controls": "\n".join(task.controls or ())}


def _risk(risk: PaperRisk) -> dict[str, str]:
    values = {name: getattr(risk, name) or "" for name in vocabulary.RISK}
    values |= {"key": risk.key, "category": _PATH.join(risk.path), "links": "\n".join(risk.links or ())}
    for score in risk.scores:
        values |= {f"{score.kind}.{part}": getattr(score, part) for part in vocabulary.SCORE}
    return values


@dataclass
class Builder:
    """Makes a paper of records; what cannot be read is kept with its line."""

    shape: str
    head: dict[str, Any] = field(default_factory=dict)
    lists: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    risks: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[str, list[PaperMitigation]] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)

    def add(self, record: str, values: Mapping[str, str], row: Row) -> None:
        """Read one record."""
        if record not in COLUMNS:
            self.refuse(row, " | ".join(filter(None, row.cells)), f"no such record as {record!r}")
            return
        strange = {name: value for name, value in values.items() if value and name not in COLUMNS[record]}
        for name, value in strange.items():
            self.refuse(row, f"{name}: {value}", f"not a column of the record {record}")
        reader: Callable[[Mapping[str, str], Row], None] | None = getattr(self, f"_{record}", None)
        if reader:
            reader(values, row)
        elif values.get("text"):
            limits = {"group": vocabulary.short(120), "text": vocabulary.short(500)}
            facts = self.texts(values, limits, row)
            if "text" in facts:
                self.lists[record].append(PaperProvision(facts.get("group", ""), facts["text"]))

    def refuse(self, row: Row, text: str, why: str) -> None:
        place = f"{row.sheet}: " if row.sheet else ""
        self.unread.append(Unread(row.line, f"{place}{text}"[:500], why))

    def texts(self, values: Mapping[str, str], convert: Mapping[str, vocabulary.Convert], row: Row) -> dict[str, str]:
        """The texts of the columns that are there; what does not fit is refused."""
        found = {}
        for name, change in convert.items():
            if name not in values:
                continue
            try:
                found[name] = change(values[name])
            except ValueError as problem:
                self.refuse(row, f"{name}: {values[name]}", str(problem))
        return found

    def _assessment(self, values: Mapping[str, str], row: Row) -> None:
        if self.head:
            self.refuse(row, values.get("title", ""), "a second assessment; a file holds one")
            return
        self.head = self.texts(values, vocabulary.ASSESSMENT, row)

    def _document(self, values: Mapping[str, str], row: Row) -> None:
        self.lists["document"].append(values.get("text", ""))

    def _rhythm(self, values: Mapping[str, str], row: Row) -> None:
        convert = {"group": vocabulary.choice(vocabulary.PHASE), "text": vocabulary.whole(1, 3650)}
        found = self.texts(values, convert, row)
        if found.get("group") and found.get("text"):
            self.lists["rhythm"].append((found["group"], found["text"]))

    def _gate(self, values: Mapping[str, str], row: Row) -> None:
        found = self.texts(values, {"title": vocabulary.short(120), "due_on": vocabulary.day}, row)
        if found.get("title"):
            self.lists["gate"].append(PaperGate(found["title"], found.get("due_on")))

    def _action(self, values: Mapping[str, str], row: Row) -> None:
        task = self._read_task(values, row)
        if task:
            self.lists["action"].append(task)

    def _mitigation(self, values: Mapping[str, str], row: Row) -> None:
        if values.get("risk", "") not in self.risks:
            self.refuse(row, values.get("title", ""), f"there is no risk {values.get('risk', '')!r} above it")
            return
        task = self._read_task(values, row)
        if task:
            self.tasks.setdefault(values["risk"], []).append(task)

    def _read_task(self, values: Mapping[str, str], row: Row) -> PaperMitigation | None:
        found: dict[str, Any] = self.texts(values, vocabulary.MITIGATION, row)
        if "controls" in values:
            found["controls"] = tuple(sorted(set(values["controls"].split())))
        if not found.get("title"):
            self.refuse(row, " | ".join(filter(None, row.cells)), "it has no title")
            return None
        return PaperMitigation(**found)

    def _risk(self, values: Mapping[str, str], row: Row) -> None:
        found: dict[str, Any] = self.texts(values, vocabulary.RISK, row)
        key = values.get("key", "")
        if not found.get("title") or not key or len(key) > 210 or key in self.risks:
            why = "its key is there already" if key in self.risks else "it has no title or no key"
            self.refuse(row, " | ".join(filter(None, row.cells)), why)
            return
        found["path"] = tuple(part[:120] for part in values.get("category", "").split(_PATH) if part)
        if any(len(part) > 120 for part in values.get("category", "").split(_PATH)):
            self.refuse(row, values["category"], "longer than 120 characters; it is cut")
        if "links" in values:
            found["links"] = tuple(values["links"].split("\n")) if values["links"] else ()
        found["scores"] = tuple(self.scores(values, row))
        self.risks[key] = {"key": key, "line": row.line, **found}

    def scores(self, values: Mapping[str, str], row: Row) -> Iterator[PaperScore]:
        """The scores of a row, by columns such as ``current.impact``."""
        for kind in KINDS:
            columns = {part: f"{kind}.{part}" for part in vocabulary.SCORE}
            given = {columns[part]: convert for part, convert in vocabulary.SCORE.items()}
            found = self.texts(values, given, row)
            parts = {part: found[column] for part, column in columns.items() if found.get(column)}
            if {"probability", "impact", "level"} & parts.keys():
                yield PaperScore(kind=kind, **parts)

    def paper(self) -> Paper:
        """The paper of all records that were added."""
        lists = self.lists
        risks = [PaperRisk(**facts, mitigations=tuple(self.tasks.get(key, ()))) for key, facts in self.risks.items()]
        return Paper(
            shape=self.shape,
            references=tuple(lists["document"]),
            every_days=tuple(sorted(lists["rhythm"])),
            gates=tuple(lists["gate"]),
            actions=tuple(lists["action"]),
            detection=tuple(lists["detection"]),
            procedures=tuple(lists["procedures"]),
            ownership=tuple(lists["ownership"]),
            risks=tuple(risks),
            not_understood=tuple(self.unread),
            **self.head,
        )
