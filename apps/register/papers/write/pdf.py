"""PDF for reading and printing. Texts are paragraphs, which may go on over pages, so no text is too long for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table

from apps.register.papers.shapes import Paper, PaperMitigation, PaperProvision, PaperRisk, PaperScore

_FONTS = Path(__file__).parent / "fonts"
PLAIN, BOLD = "Riskdesk", "Riskdesk-Bold"
_INK, _QUIET, _LINE = HexColor("#1a1d21"), HexColor("#5b6470"), HexColor("#d5d9df")
_MARGIN = 18 * mm
_KINDS = {"inherent": "Inherent", "current": "Current", "residual": "Residual"}


@cache
def _styles() -> dict[str, ParagraphStyle]:
    """Styles by name. The standard fonts of PDF know Latin letters only, so one that knows more comes along."""
    pdfmetrics.registerFont(TTFont(PLAIN, str(_FONTS / "DejaVuSans.ttf")))
    pdfmetrics.registerFont(TTFont(BOLD, str(_FONTS / "DejaVuSans-Bold.ttf")))
    pdfmetrics.registerFontFamily(PLAIN, normal=PLAIN, bold=BOLD, italic=PLAIN, boldItalic=BOLD)
    base = ParagraphStyle("base", fontName=PLAIN, fontSize=9, leading=12.5, textColor=_INK, splitLongWords=True)
    headings = {"title": (18, 23, 0), "h1": (13, 17, 14), "h2": (10, 13, 10)}
    return {
        "text": base,
        "quiet": ParagraphStyle("quiet", base, textColor=_QUIET),
        "item": ParagraphStyle("item", base, leftIndent=10, bulletIndent=1),
        **{
            name: ParagraphStyle(
                name, base, fontName=BOLD, fontSize=size, leading=leading, spaceBefore=before, spaceAfter=4,
                keepWithNext=1,
            )
            for name, (size, leading, before) in headings.items()
        },
    }  # fmt: skip


def words(text: str, style: str = "text", bullet: str | None = None) -> Paragraph:
    """A paragraph of plain text; ends of lines are kept, what cannot be printed is shown as such."""
    seen = "".join(
        mark if mark.isprintable() or mark == "\n" else "\ufffd"
        for mark in text.replace("\r\n", "\n").replace("\t", " ")
    )
    return Paragraph(escape(seen).replace("\n", "<br/>"), _styles()[style], bulletText=bullet)


def facts(pairs: Iterable[tuple[str, str]]) -> Iterator[Paragraph]:
    """Lines of name and value; those without a value are left out."""
    for name, value in pairs:
        if value:
            seen = escape(" ".join(value.split()))
            yield Paragraph(f'<font color="#5b6470">{escape(name)}:</font> {seen}', _styles()["text"])


def build(out: IO[bytes], title: str, story: Sequence[Flowable]) -> None:
    """Lay out a document; each page carries its title and number."""
    _styles()
    document = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN, bottomMargin=_MARGIN,
        title=title, author="Riskdesk", invariant=1,
    )  # fmt: skip

    def foot(canvas: Any, page: Any) -> None:
        canvas.setFont(PLAIN, 7.5)
        canvas.setFillColor(_QUIET)
        canvas.drawString(_MARGIN, 10 * mm, title[:110])
        canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, str(page.page))

    document.build(list(story), onFirstPage=foot, onLaterPages=foot)


def write_pdf(head: Paper, risks: Iterable[PaperRisk], out: IO[bytes]) -> None:
    """Write an assessment with its risks. The whole document is laid out in memory."""
    build(out, head.title or "Risk assessment", [*_head(head), *_risks(risks), *_rest(head)])


def _head(head: Paper) -> Iterator[Flowable]:
    yield words(head.title, "title")
    yield from facts(
        [
            ("Project", head.project or ""),
            ("Status", _said(head.status)),
            ("Phase", _said(head.phase)),
            ("Created", (head.created or "")[:10]),
            ("Scales", head.matrix),
            ("Owner", head.owner or ""),
            ("Scope", head.scope or ""),
            ("Next review", head.next_review_on or ""),
            ("Reviews", "; ".join((head.cadence or "").split("\n"))),
            ("Gates", ", ".join(f"{gate.name} {gate.due_on or ''}".strip() for gate in head.gates)),
        ]
    )
    if head.overview:
        yield Spacer(1, 6)
        yield from (words(part) for part in head.overview.split("\n\n"))


def _said(value: str | None) -> str:
    return (value or "").replace("_", " ").capitalize()


def _risks(risks: Iterable[PaperRisk]) -> Iterator[Flowable]:
    before: tuple[str, ...] | None = None
    for risk in risks:
        if risk.path != before:
            yield words(" > ".join(risk.path) or "Risks", "h1")
            before = risk.path
        yield words(" ".join(filter(None, [risk.reference, risk.title])), "h2")
        if risk.scores:
            yield _scores(risk.scores)
        yield from facts(
            [
                ("Status", _said(risk.status)),
                ("Treatment", _said(risk.treatment)),
                ("Proximity", _said(risk.proximity)),
                ("Owner", ", ".join(filter(None, [risk.owner_role, risk.owner]))),
                ("Next review", risk.next_review_on or ""),
                ("Linked", ", ".join(risk.links or ())),
            ]
        )
        for name, text in (("", risk.description), ("Cause: ", risk.cause), ("Consequence: ", risk.consequence)):
            if text:
                yield words(f"{name}{text}")
        yield from _tasks(risk.mitigations)


def _scores(scores: tuple[PaperScore, ...]) -> Table:
    rows = [["", "Probability", "Impact", "Level"]]
    rows += [[_KINDS[one.kind], one.probability or "–", one.impact or "–", one.level] for one in scores]
    table = Table(rows, colWidths=[24 * mm, 40 * mm, 40 * mm, 40 * mm], hAlign="LEFT")
    table.setStyle(
        [
            ("FONT", (0, 0), (-1, -1), PLAIN, 8),
            ("FONT", (3, 1), (3, -1), BOLD, 8),
            ("TEXTCOLOR", (0, 0), (-1, 0), _QUIET),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            ("LEFTPADDING", (0, 0), (0, -1), 0),
        ]
    )
    return table


def _tasks(tasks: Iterable[PaperMitigation]) -> Iterator[Flowable]:
    for task in tasks:
        about = [
            _said(task.status),
            f"{task.progress} %" if task.progress not in (None, "", "0", "100") else "",
            ", ".join(filter(None, [task.owner_role, task.owner])),
            f"due {task.due_on}" if task.due_on else "",
            task.effect or "",
        ]
        said = "; ".join(filter(None, about))
        yield words(f"{task.title}{f' ({said})' if said else ''}", "item", "•")
        if task.description:
            yield words(task.description, "item")


def _rest(head: Paper) -> Iterator[Flowable]:
    for title, items in (
        ("Detection mechanisms", head.detection),
        ("Response procedures", head.procedures),
        ("Risk owners", head.ownership),
    ):
        if items:
            yield words(title, "h1")
            yield from _grouped(items)
    for title, long_term in (("Immediate actions", False), ("Long-term planning", True)):
        chosen = [action for action in head.actions if (action.horizon == "long_term") == long_term]
        if chosen:
            yield words(title, "h1")
            yield from _tasks(chosen)
    if head.references:
        yield words("References", "h1")
        yield from (words(reference, "item", "•") for reference in head.references)


def _grouped(items: tuple[PaperProvision, ...]) -> Iterator[Flowable]:
    before = None
    for item in items:
        if item.group != before:
            yield words(_said(item.group) if item.group.islower() else item.group, "h2")
            before = item.group
        yield words(item.text, "item", "•")
