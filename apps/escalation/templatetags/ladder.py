"""The ladder as a drawing, made on the server."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.core.periods import share
from apps.escalation.models import RiskFlag
from apps.escalation.trends import Opinion

register = template.Library()
Step = RiskFlag.Step

WIDTH, HEIGHT, ROW, COLUMN = 122, 46, 74, 140
# Where each box stands: column, row, first and second line.
BOXES: Mapping[str, tuple[int, float, str, str]] = {
    "raised": (0, 1, "Raised", "by anybody"),
    Step.DOCUMENTED: (1, 0, "Documented", "level 1-2"),
    Step.LEAD_REVIEW: (1, 1, "Team lead", "level 3"),
    Step.ESCALATED: (1, 2, "Escalated", "level 4-5"),
    Step.MANAGER_REVIEW: (2, 1, "Manager review", ""),
    Step.RISK_MANAGEMENT: (3, 1.5, "Risk Management", "told"),
    Step.ASSESSMENT: (4, 1.5, "Assessment", "joint"),
    Step.RESPONSE_PLAN: (5, 1.5, "Response plan", ""),
    Step.RESOLUTION: (6, 1.5, "Resolution", ""),
    Step.VERIFICATION: (7, 1.5, "Verification", ""),
    Step.CLOSED: (8, 1, "Closed", ""),
    Step.REJECTED: (8, 2, "Not a risk", ""),
}
# Straight ways, and one that goes over the top: the weekly review closes what is documented.
WAYS = (
    ("raised", Step.DOCUMENTED), ("raised", Step.LEAD_REVIEW), ("raised", Step.ESCALATED),
    (Step.LEAD_REVIEW, Step.MANAGER_REVIEW), (Step.MANAGER_REVIEW, Step.RISK_MANAGEMENT),
    (Step.ESCALATED, Step.RISK_MANAGEMENT), (Step.RISK_MANAGEMENT, Step.ASSESSMENT),
    (Step.ASSESSMENT, Step.RESPONSE_PLAN), (Step.RESPONSE_PLAN, Step.RESOLUTION),
    (Step.RESOLUTION, Step.VERIFICATION), (Step.VERIFICATION, Step.CLOSED),
)  # fmt: skip
TOTAL = (9 * COLUMN, 2 * ROW + HEIGHT + 34)


def _corner(name: str) -> tuple[float, float]:
    column, row, *_ = BOXES[name]
    return 4 + column * COLUMN, 22 + row * ROW


def _way(source: str, target: str) -> SafeString:
    (x, y), (to_x, to_y) = _corner(source), _corner(target)
    x, y, to_y, middle = x + WIDTH, y + HEIGHT / 2, to_y + HEIGHT / 2, (x + WIDTH + to_x) / 2
    return format_html('<path class="ladder__way" d="M{} {}H{}V{}H{}"/>', x, y, middle, to_y, to_x - 1)


def _over_the_top() -> SafeString:
    (x, y), (to_x, to_y) = _corner(Step.DOCUMENTED), _corner(Step.CLOSED)
    drawn = format_html(
        '<path class="ladder__way" d="M{} {}H{}V{}"/>', x + WIDTH, y + HEIGHT / 2, to_x + WIDTH / 2, to_y - 1
    )
    return drawn + format_html(
        '<text class="ladder__word" x="{}" y="{}">weekly risk review</text>', x + WIDTH + 14, y + HEIGHT / 2 - 6
    )


def _box(name: str, state: str, note: str) -> SafeString:
    _, _, first, second = BOXES[name]
    x, y = _corner(name)
    middle = x + WIDTH / 2
    second = note or second
    lines = [(first, y + (20 if second else 28), "ladder__name")] + (
        [(second, y + 36, "ladder__note")] if second else []
    )
    text = format_html_join(
        "", '<text class="{}" x="{}" y="{}">{}</text>', ((kind, middle, at, words) for words, at, kind in lines)
    )
    return format_html(
        '<g class="ladder__box{}"><rect x="{}" y="{}" width="{}" height="{}" rx="6"/>{}</g>',
        f" ladder__box--{state}" if state else "", x, y, WIDTH, HEIGHT, text,
    )  # fmt: skip


def _drawing(states: Mapping[str, str], notes: Mapping[str, str], label: str) -> SafeString:
    ways = format_html_join("", "{}", ((_way(*pair),) for pair in WAYS)) + _over_the_top()
    boxes = format_html_join("", "{}", ((_box(name, states.get(name, ""), notes.get(name, "")),) for name in BOXES))
    arrow = mark_safe(
        '<defs><marker id="ladder-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="ladder__tip" d="M0 0L8 4L0 8z"/></marker></defs>'
    )
    return format_html(
        '<div class="ladder" tabindex="0" role="region" aria-label="The ladder">'
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg></div>',
        *TOTAL, label, arrow, ways, boxes,
    )  # fmt: skip


def ways_shown() -> Collection[tuple[str, str]]:
    """The ways that the drawing has, for the test that compares them with the ladder's."""
    return (*WAYS, (Step.DOCUMENTED, Step.CLOSED))


@register.simple_tag
def flag_ladder(flag: RiskFlag, passed: Collection[str]) -> SafeString:
    """The ladder with where a flag is and what it passed, both also in words."""
    states = {step: "passed" for step in passed if step in BOXES} | {"raised": "passed"}
    notes = {step: "passed" for step in passed if step in BOXES}
    if flag.step in BOXES:
        states[flag.step], notes[flag.step] = "here", "here now"
    before = ", ".join(Step(step).label for step in passed if step in BOXES and step != flag.step) or "nothing yet"
    return _drawing(states, notes, f"The ladder: the flag is at “{flag.get_step_display()}”; passed: {before}.")


@register.simple_tag
def board_ladder(counts: Mapping[str, Any]) -> SafeString:
    """The ladder with how many flags stand on each step.

    Args:
        counts: pairs of how many and how many of them are overdue, by step.
    """
    states, notes, told = {}, {}, []
    for step, (count, late) in counts.items():
        if step in BOXES and count:
            states[step] = "late" if late else "here"
            notes[step] = f"{count}, {late} late" if late else f"{count} open"
            told.append(f"{Step(step).label}: {notes[step]}")
    return _drawing(states, notes, f"The ladder with open flags. {'; '.join(told) or 'None is open'}.")


@register.simple_tag
def plain_ladder() -> SafeString:
    """The ladder alone."""
    return _drawing({}, {}, "The ladder: from raising to closing.")


@register.simple_tag
def share_of(opinion: Opinion | None) -> str:
    """How many answers say useful, as a percentage; a dash where nobody answered."""
    return share(opinion.share if opinion else None)
