"""Risk documents with front matter and fenced YAML: blocks of risks, monitoring, procedures, actions and planning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from apps.register.papers import vocabulary
from apps.register.papers.outline import Draft, Section
from apps.register.papers.prose import section_path
from apps.register.papers.shapes import KINDS, PaperGate, PaperMitigation, PaperProvision, PaperRisk, PaperScore
from apps.register.papers.yamls import Node

_HEAD = {"created_date": "created", "created": "created"} | {
    name: name for name in vocabulary.ASSESSMENT if name != "created"
}
_RISK_NAMES = {"name": "title"} | {name: name for name in vocabulary.RISK}
_GROUPED = {"monitoring": "detection", "procedures": "procedures", "ownership": "ownership"}
_HORIZONS = {"actions": "immediate", "planning": "long_term"}


class Reader:
    """Reads nodes into a draft and notes which lines it understood."""

    def __init__(self, draft: Draft, section: Section) -> None:
        self.draft = draft
        self.section = section
        # One line may hold several values, so it is nodes that are counted; they live as long as the block is read.
        self._read: set[int] = set()

    def take(self, key: Node, value: Node) -> None:
        self._read.update((id(key), id(value)))
        self.draft.take(self.section, key.first, max(key.end, value.end))

    def refuse(self, key: Node, value: Node, why: str) -> None:
        self._read.update((id(key), id(value)))
        self.draft.lines.refuse(key.first, max(key.end, value.end), why)

    def cut(self, node: Node, limit: int) -> str:
        """The text of a node, cut and shown to a person if it is longer."""
        words = vocabulary.text(node.text or "")
        if len(words) > limit:
            self.draft.lines.doubt(node.first, f"longer than {limit} characters; it is cut")
        return words[:limit]

    def finish(self, node: Node) -> None:
        """Show what of a block nobody asked for."""
        for key, value in node.pairs or ():
            if id(key) in self._read:
                self.finish(value)
            else:
                self.draft.lines.refuse(key.first, max(key.end, value.end), "not known here")
        for item in node.items or ():
            self.finish(item)
        if node.text is not None and id(node) not in self._read:
            self.draft.lines.refuse(node.first, node.end, "not known here")

    def plain(self, node: Node, names: Mapping[str, str], convert: Mapping[str, vocabulary.Convert]) -> dict[str, str]:
        """The texts of a map by field; what is not known or not fitting stays unread."""
        found: dict[str, str] = {}
        for key, value in node.pairs or ():
            name = names.get(key.text or "")
            if name is None or value.items is not None or value.pairs is not None:
                continue
            if name in found:
                self.refuse(key, value, "it is there twice")
                continue
            try:
                found[name] = convert[name]("" if value.text is None else value.text)
            except ValueError as problem:
                self.refuse(key, value, str(problem))
                continue
            self.take(key, value)
        return found

    def texts(self, key: Node, value: Node, limit: int = 5_000) -> list[str]:
        """The texts of a list; one text counts as a list of one."""
        if value.null or value.items == []:
            self.take(key, value)
            return []
        found = []
        for item in [value] if value.items is None else value.items:
            if item.text is not None:
                found.append(self.cut(item, limit))
                self.take(key, key)
                self.take(item, item)
        return found


def _entry(node: Node, name: str) -> tuple[Node, Node] | None:
    return next(((key, value) for key, value in node.pairs or () if key.text == name), None)


def read_front_matter(draft: Draft, section: Section, node: Node) -> None:
    """Read the assessment's own facts."""
    reader = Reader(draft, section)
    draft.values |= reader.plain(node, _HEAD, vocabulary.ASSESSMENT)
    readers: dict[str, Callable[[Reader, Node, Node], None]] = {
        "type": _type,
        "references": lambda reader, key, value: draft.references.extend(reader.texts(key, value)),
        "review_every_days": _every_days,
        "scales": _scales,
        "gates": _gates,
    }
    for key, value in node.pairs or ():
        if key.text in readers:
            readers[key.text](reader, key, value)
            draft.stated.add(key.text)
    reader.finish(node)


def _type(reader: Reader, key: Node, value: Node) -> None:
    if vocabulary.plain(value.text or "") in ("risk assessment", "risk register", "risk analysis"):
        reader.take(key, value)
    else:
        reader.refuse(key, value, "not a risk assessment")


def _every_days(reader: Reader, key: Node, value: Node) -> None:
    if value.null or value.pairs == []:
        reader.take(key, value)
    for phase, days in value.pairs or ():
        try:
            name = vocabulary.choice(vocabulary.PHASE)(phase.text or "")
            reader.draft.every_days[name] = vocabulary.whole(1, 3650)(days.text or "")
        except ValueError as problem:
            reader.refuse(phase, days, str(problem))
            continue
        reader.take(key, key)
        reader.take(phase, days)


def _scales(reader: Reader, key: Node, value: Node) -> None:
    for name, steps in value.pairs or ():
        if name.text:
            reader.draft.scales[name.text] = tuple(reader.texts(name, steps))
            reader.take(key, key)


def _gates(reader: Reader, key: Node, value: Node) -> None:
    if value.null or value.items == []:
        reader.take(key, value)
    convert = {"name": vocabulary.short(120), "due_on": vocabulary.day}
    for item in value.items or ():
        facts = {"name": item.text} if item.text else reader.plain(item, {"name": "name", "due_on": "due_on"}, convert)
        if facts.get("name"):
            reader.draft.gates.append(PaperGate(name=facts["name"] or "", due_on=facts.get("due_on")))
            reader.take(key, key)
            if item.text:
                reader.take(item, item)


def read_block(draft: Draft, section: Section, node: Node) -> None:
    """Read one fenced block by its keys."""
    reader = Reader(draft, section)
    for key, value in node.pairs or ():
        if key.text == "risks":
            _risks(reader, node, key, value)
        elif key.text in _GROUPED:
            for group, words in _groups(reader, key, value):
                draft.provisions[_GROUPED[key.text]] += [PaperProvision(group, text) for text in words if text]
        elif key.text in _HORIZONS:
            _actions(reader, key, value, _HORIZONS[key.text])
    reader.finish(node)


def _groups(reader: Reader, key: Node, value: Node) -> list[tuple[str, list[str]]]:
    found = []
    for name, words in value.pairs or ():
        found.append((reader.cut(name, 120), reader.texts(name, words, 500)))
        reader.take(key, key)
    return found


def _actions(reader: Reader, key: Node, value: Node, horizon: str) -> None:
    for name, entries in value.pairs or ():
        for item in entries.items or ():
            action = _mitigation(reader, item, {"horizon": horizon, "priority": reader.cut(name, 60)})
            if action:
                reader.draft.actions.append(action)
                reader.take(key, key)
                reader.take(name, name)


def _risks(reader: Reader, block: Node, key: Node, value: Node) -> None:
    common: dict[str, str] = {}
    path = list(section_path(reader.draft, reader.section))
    for name, text in block.pairs or ():
        if name.text == "risk_category" and text.text:
            # The category's own word counts more than the heading that it stands under.
            path = [reader.cut(text, 120), *path[1:]]
            reader.take(name, text)
        elif name.text == "category":
            path = reader.texts(name, text, 120)
        elif name.text == "severity" and text.text:
            common["level"] = reader.cut(text, 40)
            reader.take(name, text)
    for item in value.items or ():
        risk = _risk(reader, item, tuple(path), common)
        if risk:
            reader.draft.risks.append(risk)
            reader.take(key, key)


def _risk(reader: Reader, node: Node, path: tuple[str, ...], common: dict[str, str]) -> PaperRisk | None:
    title = next((value for key, value in node.pairs or () if key.text in ("name", "title")), None)
    if title is None or not (title.text or "").strip():
        return None
    values: dict[str, Any] = {**reader.plain(node, _RISK_NAMES, vocabulary.RISK)}
    scores = _scores(reader, node)
    if common.get("level") and not any(score.kind == "current" for score in scores):
        scores = [*scores, PaperScore(kind="current", level=common["level"])]
    key = _entry(node, "key")
    for name in ("mitigation", "mitigations"):
        if entry := _entry(node, name):
            values["mitigations"] = tuple(values.get("mitigations", ())) + _mitigations(reader, *entry)
    if entry := _entry(node, "links"):
        values["links"] = tuple(reader.texts(*entry, 100))
    if key and key[1].text:
        reader.take(*key)
    given = reader.draft.keys.make(path, values.get("title", ""))
    return PaperRisk(
        key=key[1].text[:210] if key and key[1].text else given, path=path, scores=tuple(scores), line=node.first + 1,
        **values,
    )  # fmt: skip


def _scores(reader: Reader, node: Node) -> list[PaperScore]:
    """Scores beside the risk's other values (the current one), and those under ``scores`` by kind."""
    found = {}
    parts = {"severity": "level", "level": "level", "probability": "probability", "impact": "impact"}
    current = reader.plain(node, parts, vocabulary.SCORE)
    if current:
        found["current"] = PaperScore(kind="current", **current)
    entry = _entry(node, "scores")
    for kind, facts in (entry[1].pairs or ()) if entry else ():
        if kind.text in KINDS and entry:
            values = reader.plain(facts, {name: name for name in vocabulary.SCORE}, vocabulary.SCORE)
            if values:
                found[kind.text] = PaperScore(kind=kind.text, **values)
                reader.take(entry[0], entry[0])
                reader.take(kind, kind)
    return [found[kind] for kind in KINDS if kind in found]


def _mitigations(reader: Reader, key: Node, value: Node) -> tuple[PaperMitigation, ...]:
    if value.null or value.items == []:
        reader.take(key, value)
        return ()
    items = value.items if value.items is not None else [value]
    found = [_mitigation(reader, item, {}) for item in items]
    if any(found):
        reader.take(key, key)
    return tuple(one for one in found if one)


def _mitigation(reader: Reader, node: Node, common: dict[str, Any]) -> PaperMitigation | None:
    """A text, or a map with ``title`` and more."""
    if node.text is not None:
        reader.take(node, node)
        words = vocabulary.text(node.text)
        if len(words) > 500:
            return PaperMitigation(title=words[:499] + "…", description=words, **common)
        return PaperMitigation(title=words, **common)
    values: dict[str, Any] = {
        **common,
        **reader.plain(node, {n: n for n in vocabulary.MITIGATION}, vocabulary.MITIGATION),
    }
    if entry := _entry(node, "controls"):
        values["controls"] = tuple(reader.texts(*entry))
    return PaperMitigation(**values) if values.get("title") else None
