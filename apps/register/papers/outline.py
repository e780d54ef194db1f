"""The outline of a Markdown document: sections with their headings, and what stands in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from mdit_py_plugins.front_matter import front_matter_plugin

from apps.register.papers.lines import Lines
from apps.register.papers.refusals import BadPaper
from apps.register.papers.shapes import Keys, PaperGate, PaperMitigation, PaperProvision, PaperRisk


@dataclass
class Section:
    """A heading and what follows it up to the next one.

    Attributes:
        level: of the heading, 0 for what stands before the first one.
        line: of the heading, from 0; end: the line after it.
        titular: whether it is the document's title.
    """

    level: int
    title: str
    line: int
    end: int
    parent: Section | None = None
    titular: bool = False
    blocks: list[SyntaxTreeNode] = field(default_factory=list)

    def path(self) -> list[Section]:
        """The sections from the highest below the document's title down to this one."""
        above = self.parent.path() if self.parent else []
        return above if self.titular or not self.level else [*above, self]


@dataclass
class Draft:
    """What readers have found so far. ``values`` holds the paper's plain texts by field, ``stated`` the lists that it has, if only empty."""

    lines: Lines
    values: dict[str, Any] = field(default_factory=dict)
    references: list[str] = field(default_factory=list)
    cadence: list[str] = field(default_factory=list)
    every_days: dict[str, str] = field(default_factory=dict)
    scales: dict[str, tuple[str, ...]] = field(default_factory=dict)
    gates: list[PaperGate] = field(default_factory=list)
    provisions: dict[str, list[PaperProvision]] = field(
        default_factory=lambda: {"detection": [], "procedures": [], "ownership": []}
    )
    actions: list[PaperMitigation] = field(default_factory=list)
    risks: list[PaperRisk] = field(default_factory=list)
    keys: Keys = field(default_factory=Keys)
    stated: set[str] = field(default_factory=set)

    def take(self, section: Section, first: int, end: int) -> None:
        """Note that lines of a section were read, and with them the headings above them."""
        self.lines.take(first, end)
        at: Section | None = section
        while at:
            self.lines.take(at.line, at.end)
            at = at.parent


def parse(text: str) -> SyntaxTreeNode:
    """The document's tree."""
    return SyntaxTreeNode(MarkdownIt("commonmark").use(front_matter_plugin).parse(text))


def sections(root: SyntaxTreeNode) -> Iterator[Section]:
    """The document's sections in order; the first holds what stands before any heading."""
    current, titled = Section(0, "", 0, 0), False
    for node in root.children:
        if node.type != "heading":
            current.blocks.append(node)
            continue
        yield current
        level = int(node.tag[1:])
        above: Section | None = current
        while above and above.level >= level:
            above = above.parent
        first, end = span(node)
        current = Section(level, plain_text(node.children[0]), first, end, above, level == 1 and not titled)
        titled = titled or level == 1
    yield current


def span(node: SyntaxTreeNode) -> tuple[int, int]:
    """The lines of a block, from 0: the first, and the one after the last."""
    first, end = node.map or (0, 0)
    return first, end


def raw(node: SyntaxTreeNode) -> str:
    """The Markdown of a paragraph's words, lines joined."""
    inline = node if node.type == "inline" else node.children[0]
    return " ".join(part.strip() for part in inline.content.split("\n")).strip()


def plain_text(inline: SyntaxTreeNode) -> str:
    """The words of a heading without what makes them bold or slanted; code keeps its backticks."""
    return " ".join(_words(inline).split())


def _words(node: SyntaxTreeNode) -> str:
    if node.type == "text":
        return node.content
    if node.type == "code_inline":
        return f"`{node.content}`"
    if node.type in ("softbreak", "hardbreak"):
        return " "
    return "".join(_words(child) for child in node.children) if node.children else node.content


def labelled(node: SyntaxTreeNode) -> tuple[str, str]:
    """A paragraph that begins with a label, as label and the Markdown behind it; the label is empty if there is none.

    Both ``**Label:** words`` and ``Label: words`` are known.
    """
    inline = node if node.type == "inline" else node.children[0]
    words = raw(inline)
    parts = [child for child in inline.children if child.type != "text" or child.content]
    if parts and parts[0].type == "strong":
        mark = parts[0].markup
        closing = words.find(mark, len(mark))
        label, rest = words[len(mark) : closing].strip(), words[closing + len(mark) :].strip()
        if label.endswith(":"):
            return label[:-1].strip(), rest
        return (label, rest[1:].strip()) if rest.startswith(":") else ("", words)
    label, colon, rest = words.partition(":")
    return (label.strip(), rest.strip()) if colon else ("", words)


def has_words(item: SyntaxTreeNode) -> bool:
    """Whether a list item begins with words."""
    return bool(item.children) and item.children[0].type == "paragraph"


def own_lines(node: SyntaxTreeNode) -> tuple[int, int]:
    """The lines of a list item's first words, without what else is in it."""
    first, end = span(node)
    return span(node.children[0]) if node.children else (first, end)


def whole(text: str, root: SyntaxTreeNode) -> None:
    """Refuse a document whose end is missing.

    Raises:
        BadPaper: if its front matter or a fence is never closed.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # as the parser counts them
    opened = lines[0].rstrip() == "---" if lines else False
    if opened and not any(node.type == "front_matter" for node in root.children):
        raise BadPaper("Line 1: the front matter that begins here has no end. The file may be cut off.")
    for node in root.walk():
        if node.type != "fence":
            continue
        first, end = span(node)
        mark = node.markup[0]
        closing = lines[end - 1].strip() if end - 1 > first else ""
        if len(closing) < len(node.markup) or set(closing) != {mark}:
            raise BadPaper(f"Line {first + 1}: the block that begins here has no end. The file may be cut off.")
