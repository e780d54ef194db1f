"""What stands in a risk document beside its risks: overview, scales, owners, cadence, references."""

from __future__ import annotations

from markdown_it.tree import SyntaxTreeNode

from apps.register.papers.outline import Draft, Section, has_words, labelled, own_lines, raw, span
from apps.register.papers.prose import LISTS
from apps.register.papers.shapes import PaperGate, PaperProvision
from apps.register.papers.vocabulary import plain

OVERVIEW = frozenset({"overview", "introduction", "scope", "purpose", "summary", "context", "vue d ensemble"})
_RHYTHM = {
    "daily": 1, "weekly": 7, "fortnightly": 14, "biweekly": 14, "monthly": 30, "quarterly": 91, "yearly": 365,
    "annually": 365,
}  # fmt: skip
_PHASES = {"build": "build", "development": "build", "pilot": "pilot", "live": "live", "production": "live"}


def read_passage(draft: Draft, section: Section, block: SyntaxTreeNode, previous: SyntaxTreeNode | None) -> bool:
    """Read a paragraph or a list by the section it stands in.

    Args:
        previous: the block before it, which may announce what a list holds.

    Returns:
        Whether the section is one of those that are read here; what of the block is not understood stays unread.
    """
    words = plain(section.title).split()
    if block.type == "paragraph":
        return _paragraph(draft, section, block, words)
    if block.type not in LISTS:
        return False
    if previous is not None and previous.type == "paragraph" and _announces_scales(previous):
        return _scales(draft, section, block, previous)
    if "owners" in words or "ownership" in words:
        return _owners(draft, section, block)
    if "cadence" in words or "review" in words or "reviews" in words:
        return _cadence(draft, section, block)
    if "references" in words:
        return _references(draft, section, block)
    return False


def _paragraph(draft: Draft, section: Section, block: SyntaxTreeNode, words: list[str]) -> bool:
    first, end = span(block)
    if _announces_scales(block):
        return True  # read together with its list
    if section.level == 0 or section.titular or plain(section.title) in OVERVIEW:
        text = "\n".join(draft.lines.lines[first:end])
        draft.values["overview"] = "\n\n".join(filter(None, [draft.values.get("overview"), text]))
    elif "cadence" in words or "review" in words or "reviews" in words:
        _rhythm(draft, raw(block))
    else:
        return False
    draft.take(section, first, end)
    return True


def _announces_scales(block: SyntaxTreeNode) -> bool:
    words = raw(block)
    return words.endswith(":") and plain(words).split()[:1] in (["scale"], ["scales"], ["echelles"])


def _scales(draft: Draft, section: Section, block: SyntaxTreeNode, head: SyntaxTreeNode) -> bool:
    for item in block.children:
        label, rest = labelled(item.children[0]) if has_words(item) else ("", "")
        steps = tuple(step.strip() for step in rest.split("/" if "/" in rest else ",") if step.strip())
        if label and len(steps) > 1:
            draft.scales[label] = steps
            draft.take(section, *own_lines(item))
            draft.take(section, *span(head))
    return True


def _owners(draft: Draft, section: Section, block: SyntaxTreeNode) -> bool:
    for item in block.children:
        label, rest = labelled(item.children[0]) if has_words(item) else ("", "")
        if label and rest:
            areas = [area.strip() for area in rest.split(",") if area.strip()]
            draft.provisions["ownership"] += [PaperProvision(label[:120], area[:500]) for area in areas]
            draft.take(section, *own_lines(item))
            if len(label) > 120 or any(len(area) > 500 for area in areas):
                draft.lines.doubt(span(item)[0], "too long; it is cut")
    return True


def _cadence(draft: Draft, section: Section, block: SyntaxTreeNode) -> bool:
    for item in block.children:
        if has_words(item):
            _rhythm(draft, raw(item.children[0]))
            draft.take(section, *own_lines(item))
    return True


def _rhythm(draft: Draft, words: str) -> None:
    """Keep a sentence on reviews, and what it says of their rhythm and of the gates before which they are held."""
    draft.cadence.append(words)
    single = plain(words).split()
    phases = [_PHASES[word] for word in single if word in _PHASES and "before" not in single]
    for word in single:
        if word in _RHYTHM:
            draft.every_days.setdefault(phases[0] if phases else "live", str(_RHYTHM[word]))
    for part in words.rstrip(".").split("before ")[1:]:
        name = part.removesuffix(" and again ").removesuffix(" and ").removesuffix(", ").strip(" ,;.")
        name = name.removesuffix(" and again").removesuffix(" and").strip()
        known = {gate.name for gate in draft.gates}
        if name and len(name) <= 120 and name[:1].upper() + name[1:] not in known:
            draft.gates.append(PaperGate(name=name[:1].upper() + name[1:]))


def _references(draft: Draft, section: Section, block: SyntaxTreeNode) -> bool:
    for item in block.children:
        if has_words(item):
            draft.references.append(raw(item.children[0]))
            draft.take(section, *own_lines(item))
    return True


def read_title(draft: Draft, section: Section) -> None:
    """Take the document's first heading of the highest level for its title, if its front matter gives none."""
    if not section.titular or not section.title:
        return
    given = draft.values.setdefault("title", section.title[:200])
    draft.take(section, section.line, section.end)
    if given != section.title:
        draft.lines.doubt(section.line, f"the title is {given!r}")
