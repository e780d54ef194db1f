"""What differs between two versions of a document: lines of its text with the words that changed, and values of its data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

CONTEXT = 2
"""So many lines stand around what changed."""
_MOST_WORDS = 600
"""Longer lines are shown as taken out and put in, word by word would cost too much."""

Kind = Literal["same", "out", "in", "gap"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the comparison.

    Attributes:
        kind: in both, taken out, put in, or the place of lines that are not shown.
        parts: pieces of the text; the second says whether exactly this piece changed.
        left, right: its number in the version before and after.
    """

    kind: Kind
    parts: tuple[tuple[str, bool], ...]
    left: int | None = None
    right: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A value of the data that changed; None where it is not there."""

    where: str
    before: str | None
    after: str | None


def lines(before: str, after: str) -> list[Line]:
    """The text's differences, each with its neighbours; empty if there are none."""
    old, new = before.splitlines(), after.splitlines()
    if old == new:
        return []
    found: list[Line] = []
    for place, group in enumerate(SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT)):
        if place or group[0][1]:
            found.append(Line("gap", ()))
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                found += [Line("same", ((old[i], False),), i + 1, j1 + i - i1 + 1) for i in range(i1, i2)]
            else:
                found += _replaced(old[i1:i2], new[j1:j2], i1, j1)
    return found


def _replaced(old: Sequence[str], new: Sequence[str], left: int, right: int) -> list[Line]:
    """Lines that gave way to others. Where as many came as went, each is compared with the one in its place."""
    pairs = [_words(one, other) for one, other in zip(old, new, strict=True)] if len(old) == len(new) else None
    out = [pair[0] for pair in pairs] if pairs else [((text, False),) for text in old]
    put = [pair[1] for pair in pairs] if pairs else [((text, False),) for text in new]
    return [Line("out", parts, left=left + place + 1) for place, parts in enumerate(out)] + [
        Line("in", parts, right=right + place + 1) for place, parts in enumerate(put)
    ]


def _words(before: str, after: str) -> tuple[tuple[tuple[str, bool], ...], tuple[tuple[str, bool], ...]]:
    """Both lines in pieces, marked where they differ."""
    old, new = before.split(" "), after.split(" ")
    if len(old) + len(new) > _MOST_WORDS:
        return ((before, False),), ((after, False),)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < 0.3:  # hardly anything in common: marks would only confuse
        return ((before, False),), ((after, False),)
    left: list[tuple[str, bool]] = []
    right: list[tuple[str, bool]] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if i2 > i1:
            left.append((" ".join(old[i1:i2]), tag != "equal"))
        if j2 > j1:
            right.append((" ".join(new[j1:j2]), tag != "equal"))
    return tuple(left), tuple(right)


def changes(before: Any, after: Any) -> list[Change]:
    """The values of two trees of JSON that differ, in the order of the first, by their place in words."""
    old, new = dict(_flat(before, ())), dict(_flat(after, ()))
    return [
        Change(where, old.get(where), new.get(where))
        for where in dict.fromkeys([*old, *new])
        if old.get(where) != new.get(where)
    ]


def _flat(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from _flat(part, (*path, str(name).replace("_", " ")))
    elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        for place, part in enumerate(value, 1):
            yield from _flat(part, (*path, _name(part, place)))
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield " › ".join(path) or "everything", text


def _name(part: Any, place: int) -> str:
    """How an entry of a list is called: by its level or name where it has one, so that moving it changes nothing."""
    if isinstance(part, Mapping):
        for key in ("level", "name"):
            if key in part:
                return str(part[key]).replace("_", " ")
    return str(place)
