"""Markdown documents: prose, fenced YAML, or both in one document."""

from __future__ import annotations

from typing import Any

from markdown_it.tree import SyntaxTreeNode

from apps.register.papers import fenced, passages, prose, yamls
from apps.register.papers.lines import Lines
from apps.register.papers.outline import Draft, Section, parse, sections, span, whole
from apps.register.papers.refusals import BadPaper
from apps.register.papers.shapes import Paper


def read_markdown(text: str) -> Paper:
    """Read a risk document.

    Raises:
        BadPaper: if it is cut off, its YAML is none or past the bounds, or it holds no risk at all.
    """
    text = text.replace("\r\n", "\n")
    root = parse(text)
    whole(text, root)
    draft = Draft(Lines(text))
    blocks = 0
    for section in sections(root):
        passages.read_title(draft, section)
        before: SyntaxTreeNode | None = None
        for block in section.blocks:
            blocks += _block(draft, section, block, before)
            before = block
    if not draft.risks and not blocks:
        raise BadPaper(
            "No risk was found in this document. Risks are numbered entries, or entries under risks: in YAML."
        )
    return _paper(draft, "fenced" if blocks else "prose")


def _block(draft: Draft, section: Section, block: SyntaxTreeNode, before: SyntaxTreeNode | None) -> int:
    """Read one block; return whether it was YAML."""
    first, end = span(block)
    if block.type == "front_matter":
        node = yamls.parse(block.content, first + 1)
        if node:
            fenced.read_front_matter(draft, section, node)
        draft.lines.take(first, first + 1)
        draft.lines.take(end - 1, end)
        return 1
    if block.type == "fence" and block.info.strip().casefold() in ("yaml", "yml"):
        node = yamls.parse(block.content, first + 1)
        if node:
            fenced.read_block(draft, section, node)
        draft.lines.take(first, first + 1)
        draft.lines.take(end - 1, end)
        return 1
    if block.type == "hr":
        draft.lines.take(first, end)
    elif not passages.read_passage(draft, section, block, before) and block.type in prose.LISTS:
        prose.read_list(draft, section, block)
    return 0


def _paper(draft: Draft, shape: str) -> Paper:
    values = draft.values
    provisions: dict[str, Any] = {kind: tuple(found) for kind, found in draft.provisions.items()}
    if draft.cadence:
        values["cadence"] = "\n".join(filter(None, [values.get("cadence"), *draft.cadence]))
    return Paper(
        shape=shape,
        references=tuple(draft.references) if draft.references or "references" in draft.stated else None,
        every_days=(
            tuple(sorted(draft.every_days.items())) if draft.every_days or "review_every_days" in draft.stated else None
        ),
        scales=tuple(draft.scales.items()),
        gates=tuple(draft.gates),
        actions=tuple(draft.actions),
        risks=tuple(draft.risks),
        not_understood=draft.lines.left(),
        **provisions,
        **values,
    )
