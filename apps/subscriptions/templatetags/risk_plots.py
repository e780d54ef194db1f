"""Plots of risk levels as SVG made on the server: no script, no style attribute, everything also said in words.

Colours come from the stylesheet by class, and no level is told by its colour alone: lanes and legends carry its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.core.templatetags.plots import nice_ceiling

register = template.Library()

WIDTH, HEIGHT = 640, 190
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 16, 30
LEVELS = ("LOW", "MEDIUM", "HIGH")


@dataclass(frozen=True, slots=True)
class Step:
    """A level from a moment on, until the next step."""

    at: datetime
    level: str
    degraded: bool = False


@dataclass(frozen=True, slots=True)
class DayCounts:
    """How many subscriptions were at each level at the end of a day."""

    day: date
    low: int
    medium: int
    high: int

    @property
    def total(self) -> int:
        return self.low + self.medium + self.high

    @property
    def high_share(self) -> float:
        return self.high / self.total if self.total else 0.0


def _frame(title: str, words: str, drawing: SafeString, height: int = HEIGHT) -> SafeString:
    return format_html(
        '<figure class="plot"><figcaption>{}</figcaption><svg viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}</svg></figure>',
        title, WIDTH, height, title, words, drawing,
    )  # fmt: skip


def _nothing(title: str) -> SafeString:
    text = format_html(
        '<text class="plot__empty" x="{}" y="{}" text-anchor="middle">No data yet</text>', WIDTH / 2, HEIGHT / 2
    )
    return _frame(title, "No data yet.", text)


def _days(first: date, last: date) -> list[date]:
    """Up to six days for the axis, evenly apart."""
    span = max(1, (last - first).days)
    parts = min(5, span)
    return sorted({first + timedelta(days=round(span * n / parts)) for n in range(parts + 1)})


def _dates(first: date, last: date, y: float) -> SafeString:
    span, inner = max(1, (last - first).days), WIDTH - LEFT - RIGHT
    form = "%d %b" if span <= 370 else "%b %Y"
    chosen = [(f"{LEFT + inner * (day - first).days / span:.1f}", y, day.strftime(form)) for day in _days(first, last)]
    last_index = len(chosen) - 1
    return format_html_join(
        "",
        '<text class="plot__tick" x="{}" y="{}" text-anchor="{}">{}</text>',
        ((x, y, "end" if n == last_index else "middle", text) for n, (x, y, text) in enumerate(chosen)),
    )


@register.simple_tag
def level_plot(steps: Sequence[Step], until: datetime, title: str) -> SafeString:
    """The level of one subscription over time, as steps through three named lanes.

    Args:
        steps: changes, oldest first.
        until: the right end, now.
    """
    if not steps:
        return _nothing(title)
    first, inner = steps[0].at, HEIGHT - TOP - BOTTOM
    span = max((until - first).total_seconds(), 1.0)
    lanes = {level: TOP + inner * (1 - (n + 0.5) / 3) for n, level in enumerate(LEVELS)}

    def x_of(moment: datetime) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max((moment - first).total_seconds() / span, 0.0), 1.0)

    lines = format_html_join(
        "",
        '<line class="plot__grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="plot__tick" x="{}" y="{}" text-anchor="end">{}</text>',
        (
            (LEFT, WIDTH - RIGHT, f"{y:.1f}", f"{y:.1f}", LEFT - 10, f"{y + 4:.1f}", level.capitalize())
            for level, y in lanes.items()
        ),
    )
    ends = [*(one.at for one in steps[1:]), until]
    corners, bands = [], []
    for one, end in zip(steps, ends, strict=True):
        a, b, y = x_of(one.at), x_of(end), lanes[one.level]
        corners += [f"{a:.1f},{y:.1f}", f"{b:.1f},{y:.1f}"]
        words = f"{one.level.capitalize()} from {one.at:%Y-%m-%d %H:%M}{', degraded' if one.degraded else ''}"
        bands.append((one.level.lower(), f"{a:.1f}", f"{y - 6:.1f}", f"{max(b - a, 2):.1f}", words))
    drawn = format_html_join(
        "", '<rect class="level level--{}" x="{}" y="{}" width="{}" height="12" rx="3"><title>{}</title></rect>', bands
    )
    path = format_html('<polyline class="level__path" points="{}"/>', " ".join(corners))
    words = "; ".join(text for *_, text in bands)
    axis = _dates(first.date(), until.date(), HEIGHT - BOTTOM + 18)
    return _frame(title, words, format_html("{}{}{}{}", lines, path, drawn, axis))


@register.simple_tag
def counts_plot(days: Sequence[DayCounts], title: str) -> SafeString:
    """Level counts over time, stacked: high at the bottom, where its growth is seen best, then medium, then low."""
    if not days:
        return _nothing(title)
    height = 260
    inner, first, last = height - TOP - BOTTOM, days[0].day, days[-1].day
    span, wide = max(1, (last - first).days), WIDTH - LEFT - RIGHT
    top = nice_ceiling(max(one.total for one in days))
    xs = [LEFT + wide * (one.day - first).days / span for one in days]
    if len(days) == 1:  # one day is a bar as wide as the plot
        days, xs = [days[0], days[0]], [LEFT, WIDTH - RIGHT]

    def y_of(value: float) -> str:
        return f"{TOP + inner * (1 - value / top):.1f}"

    areas, below = [], [0] * len(days)
    for name in ("high", "medium", "low"):
        above = [base + getattr(one, name) for base, one in zip(below, days, strict=True)]
        up = " ".join(f"{x:.1f},{y_of(value)}" for x, value in zip(xs, above, strict=True))
        down = " ".join(f"{x:.1f},{y_of(value)}" for x, value in reversed(list(zip(xs, below, strict=True))))
        areas.append((name, f"{up} {down}", name.capitalize()))
        below = above
    drawn = format_html_join("", '<polygon class="level level--{}" points="{}"><title>{}</title></polygon>', areas)
    ticks = [(top * n / 4, y_of(top * n / 4)) for n in range(5)]
    grid = format_html_join(
        "",
        '<line class="plot__grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="plot__tick" x="{}" y="{}" text-anchor="end">{}</text>',
        ((LEFT, WIDTH - RIGHT, y, y, LEFT - 10, f"{float(y) + 4:.1f}", f"{value:,.0f}") for value, y in ticks),
    )
    end = days[-1]
    words = (
        f"From {first} to {last}. On the last day: {end.high:,} high, {end.medium:,} medium, {end.low:,} low. "
        "All days stand in the table."
    )
    return _frame(title, words, format_html("{}{}{}", grid, drawn, _dates(first, last, height - BOTTOM + 18)), height)


@register.simple_tag
def share_bar(low: int, medium: int, high: int) -> SafeString:
    """The three levels as one bar of three lengths, with the numbers in words."""
    total = low + medium + high
    if not total:
        return SafeString("")
    at, parts = 0.0, []
    for name, value in (("high", high), ("medium", medium), ("low", low)):
        part = 200 * value / total
        parts.append((name, f"{at:.1f}", f"{part:.1f}"))
        at += part
    drawn = format_html_join("", '<rect class="level level--{}" x="{}" y="0" width="{}" height="8"/>', parts)
    return format_html(
        '<svg class="share" viewBox="0 0 200 8" preserveAspectRatio="none" role="img" aria-label="{} high, {} medium, {} low">{}</svg>',
        f"{high:,}", f"{medium:,}", f"{low:,}", drawn,
    )  # fmt: skip
