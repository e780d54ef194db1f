"""From a file's bytes to a paper."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from django.utils.text import slugify

from apps.register.papers.guards import check
from apps.register.papers.markdown import read_markdown
from apps.register.papers.shapes import Keys, Paper, PaperRisk
from apps.register.papers.tables import read_table

TITLE = 200


def read(name: str, data: bytes, mapping: dict[str, Any] | None = None) -> Paper:
    """Read a risk document.

    Args:
        name: of the file; its ending says what it is, and it names the assessment if the document does not.
        mapping: columns and scales of a foreign table.

    Raises:
        BadPaper: if it cannot be read.
        MappingNeeded: if it is a foreign table and no mapping is given.
    """
    file = check(PurePath(name).name, data)
    paper = read_markdown(file.text) if file.kind == "markdown" else read_table(file, mapping)
    stem = PurePath(name).stem
    return replace(
        paper,
        slug=paper.slug or slugify(stem.replace("_", " "))[:80] or "assessment",
        title=paper.title or stem.replace("_", " ")[:200],
        risks=tuple(_fitted(paper.risks)),
    )


def _fitted(risks: Iterable[PaperRisk]) -> Iterable[PaperRisk]:
    """Risks each with a key of its own, whose title fits the register; what does not fit stands in the description."""
    keys = Keys()
    for risk in risks:
        risk = replace(risk, key=keys.once(risk.key))
        if len(risk.title) <= TITLE:
            yield risk
        else:
            words = "\n\n".join(filter(None, [risk.title, risk.description]))
            yield replace(risk, title=risk.title[: TITLE - 1] + "…", description=words)
