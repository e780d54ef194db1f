"""Assessments as files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from apps.register.models import RiskAssessment
from apps.register.papers.register import head_of, held
from apps.register.papers.shapes import Paper, PaperRisk
from apps.register.papers.write.csv import write_csv
from apps.register.papers.write.markdown import write_markdown
from apps.register.papers.write.pdf import write_pdf
from apps.register.papers.write.xlsx import write_xlsx

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file. ``lossless`` ones come back as they went."""

    title: str
    content_type: str
    write: Callable[[Paper, Iterable[PaperRisk], IO[bytes]], None]
    lossless: bool = True


def _as_text(
    write: Callable[[Paper, Iterable[PaperRisk], IO[str]], None],
) -> Callable[[Paper, Iterable[PaperRisk], IO[bytes]], None]:
    def write_bytes(head: Paper, risks: Iterable[PaperRisk], out: IO[bytes]) -> None:
        text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
        write(head, risks, text)
        text.detach()  # flushes, and leaves the stream open to whoever gave it

    return write_bytes


FORMATS: Mapping[str, Format] = {
    "md": Format("Markdown", "text/markdown; charset=utf-8", _as_text(write_markdown)),
    "csv": Format("CSV", "text/csv; charset=utf-8", _as_text(write_csv)),
    "xlsx": Format(
        "Workbook", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", write_xlsx
    ),
    "pdf": Format("PDF", "application/pdf", write_pdf, lossless=False),
}  # fmt: skip


def export(assessment: RiskAssessment, kind: str, out: IO[bytes], progress: Progress = lambda done: None) -> int:
    """Write an assessment with its risks and return how many there were. Memory stays bounded but for PDF.

    Args:
        kind: one of :data:`FORMATS`.
        progress: called with the number of risks written so far.
    """
    count = 0

    def risks() -> Iterator[PaperRisk]:
        nonlocal count
        for one in held(assessment):
            yield one.paper
            count += 1
            progress(count)

    FORMATS[kind].write(head_of(assessment), risks(), out)
    return count


def file_name(assessment: RiskAssessment, kind: str) -> str:
    """What the file is called; reading it finds the assessment again."""
    return f"{assessment.slug}.{kind}"
