"""Risk documents in prose: numbered risks with lists of ``Probability:``, ``Impact:`` and ``Mitigation:`` below them."""

from __future__ import annotations

from typing import Any

from markdown_it.tree import SyntaxTreeNode

from apps.register.papers import vocabulary
from apps.register.papers.outline import Draft, Section, has_words, labelled, own_lines, plain_text, raw, span
from apps.register.papers.shapes import PaperMitigation, PaperRisk, PaperScore

LISTS = ("bullet_list", "ordered_list")
_OPENING, _CLOSING = "([{", ")]}"
_ENDINGS = (" risks", " risk")


def category(title: str) -> str:
    """The name of a category, of a heading such as ``Technical Risks``."""
    for ending in _ENDINGS:
        if title.casefold().endswith(ending) and len(title) > len(ending):
            return title[: -len(ending)].strip()
    return title


def split_measures(words: str) -> list[str]:
    """Single measures of one line: parts between semicolons, or between commas if there are no semicolons.

    Separators in brackets do not count, and a leading "and" belongs to none.
    """
    for separator in (";", ","):
        parts = _outside_brackets(words, separator)
        if len(parts) > 1:
            break
    tidy = [part.strip().rstrip(".").strip() for part in parts]
    return [part[4:].strip() if part.casefold().startswith("and ") else part for part in tidy if part]


def _outside_brackets(words: str, separator: str) -> list[str]:
    depth, parts = 0, [""]
    for mark in words:
        depth += (mark in _OPENING) - (mark in _CLOSING and depth > 0)
        if mark == separator and not depth:
            parts.append("")
        else:
            parts[-1] += mark
    return parts


def read_list(draft: Draft, section: Section, block: SyntaxTreeNode) -> bool:
    """Read a list as risks, if it is one; what of it is not understood stays unread.

    Returns:
        Whether anything was read.
    """
    found = False
    start = int(block.attrs.get("start", 1)) if block.type == "ordered_list" else 0
    path = section_path(draft, section)
    for place, item in enumerate(block.children):
        inner = [child for child in item.children if child.type in LISTS]
        known = any(vocabulary.plain(label) in vocabulary.LABELS for label in _labels(inner))
        if has_words(item) and (known or block.type == "ordered_list"):
            draft.risks.append(_risk(draft, section, path, item, str(start + place) if start else ""))
            found = True
    return found


def section_path(draft: Draft, section: Section) -> tuple[str, ...]:
    """Names of the categories that the headings above make, from the root."""
    for part in section.path():
        if len(part.title) > 120:
            draft.lines.doubt(part.line, "too long for a category; it is cut")
    return tuple(category(part.title)[:120] for part in section.path())


def _labels(lists: list[SyntaxTreeNode]) -> list[str]:
    entries = [entry for one in lists for entry in one.children]
    return [labelled(entry.children[0])[0] for entry in entries if has_words(entry)]


def _risk(draft: Draft, section: Section, path: tuple[str, ...], item: SyntaxTreeNode, number: str) -> PaperRisk:
    head = item.children[0]
    title, values = _title(head)
    draft.take(section, *span(head))
    for child in item.children[1:]:
        if child.type == "paragraph":
            draft.take(section, *span(child))
            values["description"] = "\n\n".join(filter(None, [values.get("description"), raw(child)]))
        elif child.type in LISTS:
            for entry in child.children:
                _entry(draft, section, entry, values)
    scores = tuple(PaperScore(kind=kind, **parts) for kind, parts in values.pop("scores", {}).items())
    return PaperRisk(
        key=draft.keys.make(path, title), path=path, title=title, number=number or values.pop("number", ""),
        scores=scores, mitigations=tuple(values.pop("mitigations", ())), line=span(item)[0] + 1, **values,
    )  # fmt: skip


def _title(head: SyntaxTreeNode) -> tuple[str, dict[str, Any]]:
    """The title of a risk, and what follows it in the same paragraph as its description."""
    inline, words = head.children[0], raw(head)
    parts = [child for child in inline.children if child.type != "text" or child.content.strip()]
    if not parts or parts[0].type != "strong":
        return words, {}
    title = plain_text(parts[0])
    rest = words[words.find(parts[0].markup, len(parts[0].markup)) + len(parts[0].markup) :].lstrip(" :–—-")
    return title.rstrip(":"), {"description": rest} if rest else {}


def _entry(draft: Draft, section: Section, entry: SyntaxTreeNode, values: dict[str, Any]) -> None:
    """Read one ``Label: words`` of a risk, with the list below it if it has one."""
    if not has_words(entry):
        return
    label, words = labelled(entry.children[0])
    name = vocabulary.LABELS.get(vocabulary.plain(label), "")
    first, end = own_lines(entry)
    below = [one for child in entry.children if child.type in LISTS for one in child.children if has_words(one)]
    try:
        if name == "mitigations":
            measures = [*split_measures(words), *(raw(one.children[0]) for one in below)]
            values.setdefault("mitigations", []).extend(_measure(measure) for measure in measures if measure)
            for one in below:
                draft.take(section, *own_lines(one))
        elif "." in name:
            kind, part = name.split(".")
            values.setdefault("scores", {}).setdefault(kind, {})[part] = vocabulary.SCORE[part](words)
        elif name in vocabulary.RISK and name not in ("title", "reference") and name not in values:
            values[name] = vocabulary.RISK[name](words)
        else:
            return
    except ValueError as problem:
        draft.lines.refuse(first, end, str(problem))
        return
    draft.take(section, first, end)


def _measure(words: str) -> PaperMitigation:
    """A measure; past 500 characters the whole stands in its description."""
    return PaperMitigation(title=words) if len(words) <= 500 else PaperMitigation(words[:499] + "…", description=words)
