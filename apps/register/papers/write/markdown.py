"""Markdown with front matter and fenced YAML, as it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import IO, Any

import yaml

from apps.register.papers.markdown import read_markdown
from apps.register.papers.refusals import BadPaper
from apps.register.papers.shapes import Paper, PaperMitigation, PaperProvision, PaperRisk
from apps.register.papers.vocabulary import MITIGATION, RISK, SCORE

# So many risks stand in one block, which bounds what is held in memory.
_BLOCK = 50
_RISK_NAMES = {"name": "title"} | {name: name for name in RISK if name != "title"}


class _Dumper(yaml.CSafeDumper):
    """Writes texts of several lines as such, where YAML can."""


def _text(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    # Empty lines at the end, and lines that end front matter, are kept by quotes alone.
    plain = value == value.strip() and "\r" not in value and "---" not in value
    style = None if "\n" not in value else "|" if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def write_markdown(head: Paper, risks: Iterable[PaperRisk], out: IO[str]) -> None:
    """Write an assessment with its risks, which may come one by one."""
    below = _fits_below_a_heading(head.overview or "")
    out.write(f"---\n{_yaml(_front_matter(head, with_overview=not below))}---\n\n")
    if _is_plain(head.title):
        out.write(f"# {head.title}\n\n")
    if below and head.overview:
        out.write(f"## Overview\n\n{head.overview}\n\n")
    before: tuple[str, ...] | None = None
    for path, several in groupby(risks, lambda risk: risk.path):
        while block := list(islice(several, _BLOCK)):
            out.write(_headings(path, before))
            before = path
            out.write(_fence({"category": list(path), "risks": [_risk(risk) for risk in block]}))
    for text in _rest(head):
        out.write(text)


def _rest(head: Paper) -> Iterator[str]:
    if head.detection or head.procedures:
        yield "## Risk Monitoring\n\n"
    if head.detection:
        yield "### Detection Mechanisms\n\n" + _fence({"monitoring": _grouped(head.detection)})
    if head.procedures:
        yield "### Response Procedures\n\n" + _fence({"procedures": _grouped(head.procedures)})
    if head.ownership:
        yield "## Risk Owners\n\n" + _fence({"ownership": _grouped(head.ownership)})
    if head.actions:
        yield "## Risk Mitigation Strategy\n\n"
    for name, title, immediate in (("actions", "Immediate Actions", True), ("planning", "Long-term Planning", False)):
        chosen = [action for action in head.actions if (action.horizon != "long_term") == immediate]
        if chosen:
            groups: dict[str, list[Any]] = {action.priority or "": [] for action in chosen}
            for action in chosen:
                groups[action.priority or ""].append(_mitigation(action))
            yield f"### {title}\n\n" + _fence({name: groups})


def _front_matter(head: Paper, *, with_overview: bool) -> dict[str, Any]:
    values: dict[str, Any] = {"type": "risk_assessment"}
    for name in (
        "slug",
        "title",
        "project",
        "status",
        "phase",
        "scope",
        "owner",
        "matrix",
        "cadence",
        "next_review_on",
    ):
        values[name] = getattr(head, name)
    values |= {
        "created_date": head.created,
        "references": None if head.references is None else list(head.references),
        "review_every_days": None if head.every_days is None else dict(head.every_days),
        "gates": [_stated({"name": gate.name, "due_on": gate.due_on}) for gate in head.gates] or None,
        "overview": head.overview if with_overview else None,
    }
    return _stated(values)


def _stated(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _grouped(items: tuple[PaperProvision, ...]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item.text)
    return groups


def _risk(risk: PaperRisk) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(risk, field) for name, field in _RISK_NAMES.items()}
    values = {
        name: value for name, value in values.items() if value or (value == "" and name not in ("number", "reference"))
    }
    values["key"] = risk.key
    if risk.scores:
        values["scores"] = {
            score.kind: {part: getattr(score, part) for part in SCORE if getattr(score, part)} for score in risk.scores
        }
    values["links"] = None if risk.links is None else list(risk.links)
    values["mitigations"] = [_mitigation(one) for one in risk.mitigations] or None
    return _stated(values)


def _mitigation(one: PaperMitigation) -> str | dict[str, Any]:
    """Its title alone, if it states nothing else."""
    values = _stated({name: getattr(one, name) for name in MITIGATION})
    if one.controls is not None:
        values["controls"] = list(one.controls)
    return one.title if len(values) == 1 else values


def _yaml(data: Any) -> str:
    text: str = yaml.dump(
        data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=2**16, default_flow_style=False
    )
    return text


def _fence(data: dict[str, Any]) -> str:
    """A block that nothing in it can close."""
    text = _yaml(data)
    longest = run = 0
    for mark in text:
        run = run + 1 if mark == "`" else 0
        longest = max(longest, run)
    fence = "`" * max(3, longest + 1)
    return f"{fence}yaml\n{text}{fence}\n\n"


def _headings(path: tuple[str, ...], before: tuple[str, ...] | None) -> str:
    """Headings for readers; the block itself names its category."""
    names = [" ".join(name.split()) or "-" for name in path] or ["Risks"]
    lines = [] if before and path and before[:1] == path[:1] else [f"## {names[0]}\n\n"]
    if len(names) > 1:
        lines.append(f"### {' > '.join(names[1:])}\n\n")
    return "".join(lines)


def _is_plain(title: str) -> bool:
    """Whether a title means itself in Markdown."""
    plain = all(mark.isalnum() or mark in " .,()/-" for mark in title)
    return plain and title[:1].isalnum() and title == " ".join(title.split())


def _fits_below_a_heading(overview: str) -> bool:
    """Whether an overview is read back from a section of its own; other ones stand in the front matter."""
    if not overview or overview != overview.strip():
        return False
    # The block makes it a document that is read; it is the one thing in it that is not understood.
    try:
        paper = read_markdown(f"## Overview\n\n{overview}\n\n```yaml\n- \n```\n")
    except BadPaper:
        return False
    return paper.overview == overview and len(paper.not_understood) == 1
