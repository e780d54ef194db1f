"""Plots of the register, as SVG made on the server, and small tags of its pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.core.templatetags.desk import badge
from apps.register.admin.shared import OUTCOMES, VERIFIED, score_badge, when

if TYPE_CHECKING:
    from apps.register.admin.heat import Cell, HeatMap
    from apps.register.models import CheckResult, Rating

register = template.Library()
register.simple_tag(score_badge)
register.simple_tag(when)

# The heat map's measures, in units of its drawing.
NAMES, HEAD, CELL_WIDE, CELL_HIGH, GAP = 92, 8, 84, 58, 4
# The plot of scores.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 230, 40, 12, 14, 34


@register.simple_tag
def heat_map(drawn: HeatMap) -> SafeString:
    """A heat map; each cell with risks is a link to them, and says its level, for the colour alone says nothing."""
    wide = NAMES + CELL_WIDE * len(drawn.columns)
    high = HEAD + CELL_HIGH * len(drawn.rows) + 44
    rows = format_html_join("", "{}", ((_row(name, cells, n),) for n, (name, cells) in enumerate(drawn.rows)))
    bottom = HEAD + CELL_HIGH * len(drawn.rows)
    columns = format_html_join(
        "",
        '<text class="heat__name" x="{}" y="{}" text-anchor="middle">{}</text>',
        ((NAMES + CELL_WIDE * (n + 0.5), bottom + 16, words) for n, words in enumerate(drawn.columns)),
    )
    middle = NAMES + CELL_WIDE * len(drawn.columns) / 2
    return format_html(
        '<figure class="plot heat"><figcaption>{}</figcaption><svg viewBox="0 0 {} {}" role="group" aria-label="{}">'
        '{}{}<text class="heat__axis" x="{}" y="{}" text-anchor="middle">Impact →</text>'
        '<text class="heat__axis" x="{}" y="{}" text-anchor="end">Probability ↑</text></svg></figure>',
        drawn.title, wide, high, f"Heat map, {drawn.title}", rows, columns, middle, bottom + 38, NAMES - 8, bottom + 38,
    )  # fmt: skip


def _row(name: str, cells: Sequence[Cell], place: int) -> SafeString:
    y = HEAD + CELL_HIGH * place
    label = format_html(
        '<text class="heat__name" x="{}" y="{}" text-anchor="end">{}</text>', NAMES - 8, y + CELL_HIGH / 2 + 3, name
    )
    drawn = format_html_join(
        "", "{}", ((_cell(cell, NAMES + CELL_WIDE * n + GAP / 2, y + GAP / 2),) for n, cell in enumerate(cells))
    )
    return format_html("{}{}", label, drawn)


def _cell(cell: Cell, x: float, y: float) -> SafeString:
    words = f"{cell.count} risks: probability {cell.probability}, impact {cell.impact}, level {cell.level}"
    box = format_html(
        '<rect x="{}" y="{}" width="{}" height="{}" rx="4"/><text class="heat__count" x="{}" y="{}" text-anchor="middle">{}</text>'
        '<text class="heat__level" x="{}" y="{}" text-anchor="middle">{}</text>',
        x, y, CELL_WIDE - GAP, CELL_HIGH - GAP, x + (CELL_WIDE - GAP) / 2, y + 27,
        f"{cell.count:,}" if cell.count else mark_safe("·"), x + (CELL_WIDE - GAP) / 2, y + 44, cell.level,
    )  # fmt: skip
    group = format_html('<g class="heat__cell heat__cell--{}"><title>{}</title>{}</g>', cell.tone, words, box)
    if not cell.url:
        return group
    return format_html('<a href="{}" aria-label="{}">{}</a>', cell.url, words, group)


@register.simple_tag
def score_plot(ratings: Sequence[Rating], now: datetime) -> SafeString:
    """Severity over time: a stepped line for each kind of score, which holds from its moment until the next or now."""
    words = "; ".join(f"{one.rated_at:%Y-%m-%d} {one.kind}: {one.level} ({one.severity})" for one in ratings)
    if not ratings:
        return mark_safe('<p class="muted">Not scored yet.</p>')
    first = min(one.rated_at for one in ratings)
    span = max((now - first).total_seconds(), 1.0)

    def x_of(moment: datetime) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (moment - first).total_seconds() / span

    lines = format_html_join("", "{}", ((_line(kind, points),) for kind, points in _lines(ratings, now, x_of)))
    return format_html(
        '<figure class="plot scores"><figcaption>Severity over time, 0 to 100</figcaption><svg viewBox="0 0 {} {}" role="img">'
        "<title>Severity over time</title><desc>{}</desc>{}{}{}</svg>{}</figure>",
        WIDTH, HEIGHT, words, _grid(), lines, _dates(first, now), _legend(ratings),
    )  # fmt: skip


def _lines(ratings: Sequence[Rating], now: datetime, x_of: Any) -> list[tuple[str, list[tuple[float, float, Rating]]]]:
    found = []
    for kind in ("inherent", "current", "residual"):
        mine = sorted((one for one in ratings if one.kind == kind), key=lambda one: (one.rated_at, one.pk))
        if mine:
            found.append(
                (kind, [(x_of(one.rated_at), _y(one.severity), one) for one in mine] + [(x_of(now), 0.0, mine[-1])])
            )
    return found


def _line(kind: str, points: list[tuple[float, float, Rating]]) -> SafeString:
    steps = f"M{points[0][0]:.1f},{points[0][1]:.1f}" + "".join(
        f" H{x:.1f} V{_y(one.severity):.1f}" for x, _, one in points[1:]
    )
    dots = format_html_join(
        "",
        '<circle class="scores__dot scores__dot--{}" cx="{}" cy="{}" r="3.5"><title>{}: {} ({}), {}</title></circle>',
        ((kind, f"{x:.1f}", f"{y:.1f}", one.get_kind_display(), one.level, one.severity, f"{one.rated_at:%Y-%m-%d}")
         for x, y, one in points[:-1]),
    )  # fmt: skip
    return format_html('<path class="scores__line scores__line--{}" d="{}"/>{}', kind, steps, dots)


def _y(severity: int) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - severity / 100)


def _grid() -> SafeString:
    return format_html_join(
        "",
        '<line class="plot__grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="plot__tick" x="{}" y="{}" text-anchor="end">{}</text>',
        ((LEFT, WIDTH - RIGHT, _y(n), _y(n), LEFT - 8, _y(n) + 4, n) for n in (0, 25, 50, 75, 100)),
    )


def _dates(first: datetime, now: datetime) -> SafeString:
    ends = ((LEFT, "start", first), (WIDTH - RIGHT, "end", now))
    return format_html_join(
        "",
        '<text class="plot__tick" x="{}" y="{}" text-anchor="{}">{}</text>',
        ((x, HEIGHT - BOTTOM + 20, anchor, f"{moment:%Y-%m-%d}") for x, anchor, moment in ends),
    )


def _legend(ratings: Sequence[Rating]) -> SafeString:
    latest = {one.kind: one for one in sorted(ratings, key=lambda one: one.pk)}
    return format_html(
        '<p class="scores__legend">{}</p>',
        format_html_join(
            "",
            '<span><i class="scores__key scores__key--{}"></i>{}: {} ({})</span>',
            ((kind, kind.capitalize(), latest[kind].level, latest[kind].severity)
             for kind in ("inherent", "current", "residual") if kind in latest),
        ),
    )  # fmt: skip


@register.simple_tag
def outcome(value: str) -> SafeString:
    """What a check found, or what a person attested, as a badge."""
    return badge(*OUTCOMES.get(value, ("muted", value or "Unknown")))  # type: ignore[call-overload]


@register.simple_tag
def verified_badge(by: str) -> SafeString:
    """How a mitigation is verified, as a badge."""
    return badge(*VERIFIED[by])


@register.simple_tag
def outcome_strip(results: Sequence[CheckResult]) -> SafeString:
    """A check's history as marks, the oldest first; what each says stands in its title and in the description."""
    if not results:
        return mark_safe('<p class="muted">No result yet.</p>')
    wide = 640 / max(len(results), 30)
    marks = format_html_join(
        "",
        '<rect class="strip__mark strip__mark--{}" x="{}" y="0" width="{}" height="22" rx="2"><title>{}: {}</title></rect>',
        (
            (
                one.outcome,
                f"{wide * n:.1f}",
                f"{wide - 2:.1f}",
                f"{one.checked_at:%Y-%m-%d %H:%M}",
                one.get_outcome_display(),
            )
            for n, one in enumerate(results)
        ),
    )
    counted = {name: sum(one.outcome == name for one in results) for name in OUTCOMES}
    words = ", ".join(f"{number} {OUTCOMES[name][1].lower()}" for name, number in counted.items() if number)
    return format_html(
        '<figure class="plot strip"><figcaption>Last {} results: {}</figcaption><svg viewBox="0 0 640 22" role="img" '
        'preserveAspectRatio="none"><title>History</title><desc>{}</desc>{}</svg></figure>',
        len(results), words, words, marks,
    )  # fmt: skip
