"""Plots as SVG made on the server: no script, no style attribute, a title and a description for those who cannot see.

Every plot has a width of 640 units and scales with its panel. Values are listed in the description, so that nothing is
told by the picture alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 34
Point = tuple[str, float]


def nice_ceiling(value: float) -> float:
    """The end of an axis at or above a value whose quarters are round numbers; 1 for nothing or less."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)
    return next((step * power for step in steps if step * power >= value * (1 - 1e-9)), 10 * power)


def _top(values: Iterable[float]) -> float:
    """The end of an axis for these values; whole numbers get whole quarters, as nobody counts half a thing."""
    found = list(values)
    top = nice_ceiling(max(found))
    whole = all(value == int(value) for value in found)
    return 4.0 * math.ceil(top / 4) if whole and top < 40 else top


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.2f}".rstrip("0").rstrip(".")


def _text(number: float, unit: str) -> str:
    return f"{_number(number)} {unit}".strip()


def _grid(top: float, unit: str) -> SafeString:
    """Horizontal lines at quarters of the axis, with their values."""
    inner = HEIGHT - TOP - BOTTOM
    lines = [(TOP + inner * (1 - n / 4), top * n / 4) for n in range(5)]
    return format_html_join(
        "",
        '<line class="plot__grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="plot__tick" x="{}" y="{}" text-anchor="end">{}</text>',
        (
            (LEFT, WIDTH - RIGHT, f"{y:.1f}", f"{y:.1f}", LEFT - 8, f"{y + 4:.1f}", _text(value, unit))
            for y, value in lines
        ),
    )


def _labels(labels: Sequence[str], xs: Sequence[float]) -> SafeString:
    """Labels under the axis; every n-th, so that about eight stand without touching."""
    step = max(1, math.ceil(len(labels) / 8))
    chosen = [
        (f"{x:.1f}", HEIGHT - BOTTOM + 18, label)
        for n, (label, x) in enumerate(zip(labels, xs, strict=True))
        if n % step == 0
    ]
    return format_html_join("", '<text class="plot__tick" x="{}" y="{}" text-anchor="middle">{}</text>', chosen)


def _figure(title: str, points: Sequence[Point], unit: str, drawing: SafeString) -> SafeString:
    words = "; ".join(f"{label}: {_text(value, unit)}" for label, value in points) or "No data yet."
    return format_html(
        '<figure class="plot"><figcaption>{}</figcaption><svg viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}</svg></figure>',
        title, WIDTH, HEIGHT, title, words, drawing,
    )  # fmt: skip


def _nothing() -> SafeString:
    return format_html(
        '<text class="plot__empty" x="{}" y="{}" text-anchor="middle">No data yet</text>', WIDTH / 2, HEIGHT / 2
    )


def _read(points: Iterable[Sequence]) -> list[Point]:
    return [(str(point[0]), float(point[1] or 0)) for point in points]


@register.simple_tag
def bar_plot(points: Iterable[Sequence], title: str, unit: str = "") -> SafeString:
    """Bars from zero.

    Args:
        points: pairs of label and value (0 or more), in order.
        title: what is counted; shown above and read out.
        unit: stands after the numbers.
    """
    data = _read(points)
    if not data:
        return _figure(title, data, unit, _nothing())
    top = _top(value for _, value in data)
    inner, slot = HEIGHT - TOP - BOTTOM, (WIDTH - LEFT - RIGHT) / len(data)
    wide = min(slot * 0.72, 46)
    xs = [LEFT + slot * (n + 0.5) for n in range(len(data))]
    bars = format_html_join(
        "",
        '<rect class="plot__bar" x="{}" y="{}" width="{}" height="{}" rx="2"><title>{}: {}</title></rect>',
        (
            (
                f"{x - wide / 2:.1f}",
                f"{TOP + inner * (1 - value / top):.1f}",
                f"{wide:.1f}",
                f"{inner * value / top:.1f}",
                label,
                _text(value, unit),
            )
            for x, (label, value) in zip(xs, data, strict=True)
        ),
    )
    return _figure(
        title, data, unit, format_html("{}{}{}", _grid(top, unit), bars, _labels([label for label, _ in data], xs))
    )


@register.simple_tag
def line_plot(points: Iterable[Sequence], title: str, unit: str = "", limit: float | None = None) -> SafeString:
    """A line over ordered labels, its area tinted; ``limit`` draws a dashed threshold with its value."""
    data = _read(points)
    if not data:
        return _figure(title, data, unit, _nothing())
    top = _top([*(value for _, value in data), limit or 0])
    inner, span = HEIGHT - TOP - BOTTOM, WIDTH - LEFT - RIGHT - 24
    xs = [LEFT + 12 + span * n / max(1, len(data) - 1) for n in range(len(data))]
    ys = [TOP + inner * (1 - value / top) for _, value in data]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    area = f"{xs[0]:.1f},{TOP + inner} {line} {xs[-1]:.1f},{TOP + inner}"
    dots = format_html_join(
        "",
        '<circle class="plot__dot" cx="{}" cy="{}" r="2.5"><title>{}: {}</title></circle>',
        (
            (f"{x:.1f}", f"{y:.1f}", label, _text(value, unit))
            for x, y, (label, value) in zip(xs, ys, data, strict=True)
        ),
    )
    bound = SafeString("")
    if limit is not None:
        y = TOP + inner * (1 - limit / top)
        bound = format_html(
            '<line class="plot__line plot__line--2" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="plot__tick" x="{}" y="{}" text-anchor="end">limit {}</text>',
            LEFT, WIDTH - RIGHT, f"{y:.1f}", f"{y:.1f}", WIDTH - RIGHT, f"{y - 5:.1f}", _text(limit, unit),
        )  # fmt: skip
    curve = format_html(
        '<polygon class="plot__area" points="{}"/><polyline class="plot__line" points="{}"/>', area, line
    )
    return _figure(
        title,
        data,
        unit,
        format_html("{}{}{}{}{}", _grid(top, unit), curve, bound, dots, _labels([label for label, _ in data], xs)),
    )


@register.simple_tag
def sparkline(values: Iterable[float], title: str) -> SafeString:
    """A small line without axes, for a table's cell; its numbers stand in the description."""
    data = [float(value or 0) for value in values]
    if not data:
        return mark_safe('<span class="muted">–</span>')
    low, high = min(data), max(data)
    span = (high - low) or 1
    points = " ".join(
        f"{96 * n / max(1, len(data) - 1):.1f},{22 - 20 * (v - low) / span:.1f}" for n, v in enumerate(data)
    )
    words = ", ".join(_number(value) for value in data)
    return format_html(
        '<svg class="sparkline" viewBox="0 0 96 24" preserveAspectRatio="none" role="img"><title>{}</title><desc>{}</desc><polyline class="plot__line" points="{}"/></svg>',
        title, words, points,
    )  # fmt: skip
