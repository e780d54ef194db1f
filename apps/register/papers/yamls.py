"""YAML as plain texts with line numbers, within bounds.

Built from the parser's events: nothing is resolved or constructed, so ``no`` stays a text, and neither tags nor aliases
(by which a small file unfolds into gigabytes) are allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from apps.register.papers.refusals import BadPaper

MAX_DEPTH = 12
MAX_NODES = 3_000_000
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(slots=True)
class Node:
    """A value: a text, a list or a map.

    Attributes:
        text: of a text; None for YAML's null, and for lists and maps.
        items: of a list.
        pairs: of a map, keys as nodes.
        first: its first line in the document, from 0; end: the line after its last.
    """

    first: int
    end: int
    text: str | None = None
    items: list[Node] | None = None
    pairs: list[tuple[Node, Node]] | None = None

    @property
    def null(self) -> bool:
        return self.text is None and self.items is None and self.pairs is None


@dataclass
class _Parser:
    offset: int  # lines of the document before the text
    events: Iterator[yaml.Event] = field(default_factory=lambda: iter(()))
    nodes: int = 0

    def value(self, event: yaml.Event, depth: int) -> Node:
        """The node that an event begins.

        Raises:
            BadPaper: past the bounds, or on an alias or a tag.
        """
        line = _line(event.start_mark) + self.offset
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise BadPaper(f"Line {line + 1}: this YAML is nested too deep or too large.")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadPaper(f"Line {line + 1}: anchors and aliases of YAML are not allowed here.")
        if getattr(event, "tag", None) not in (None, "!"):
            raise BadPaper(f"Line {line + 1}: tags of YAML are not allowed here.")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, line)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(line, depth)
        return self._mapping(line, depth)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Node:
        last = _line(event.end_mark) + self.offset
        # A block of text ends where the next line begins.
        end = last if event.end_mark and event.end_mark.column == 0 and last > line else last + 1
        plain = event.style in (None, "")
        return Node(line, end, None if plain and event.value in _NULLS else event.value)

    def _sequence(self, line: int, depth: int) -> Node:
        node = Node(line, line + 1, items=[])
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            item = self.value(event, depth + 1)
            assert node.items is not None
            node.items.append(item)
            node.end = max(node.end, item.end)
        return node

    def _mapping(self, line: int, depth: int) -> Node:
        node = Node(line, line + 1, pairs=[])
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.value(event, depth + 1)
            value = self.value(next(self.events), depth + 1)
            assert node.pairs is not None
            node.pairs.append((key, value))
            node.end = max(node.end, value.end)
        return node


def _line(mark: Any) -> int:
    """The line of a mark; the parser marks every event, though its types do not promise it."""
    return mark.line if mark else 0


def parse(text: str, first_line: int) -> Node | None:
    """The one value of a YAML text, or None if there is none.

    Args:
        first_line: where the text begins in its document, from 0.

    Raises:
        BadPaper: if it is not YAML, or not within the bounds.
    """
    parser = _Parser(first_line)
    parser.events = iter(yaml.parse(text, Loader=yaml.CSafeLoader))
    found: Node | None = None
    try:
        for event in parser.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if found:
                    raise BadPaper(f"Line {_line(event.start_mark) + first_line + 1}: a second YAML document begins.")
                found = parser.value(next(parser.events), 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = first_line + (mark.line if mark else 0) + 1
        raise BadPaper(f"Line {line}: this is not YAML: {error.problem or error.context}.") from error
    except yaml.YAMLError as error:
        raise BadPaper(f"From line {first_line + 1}: this is not YAML: {error}.") from error
    return found
