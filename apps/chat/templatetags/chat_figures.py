"""How figures of the chat are written."""

from __future__ import annotations

from django import template

from apps.chat.kpis import Verdict

register = template.Library()
NOTHING = "–"


@register.simple_tag
def figure(one: Verdict, value: float | None) -> str:
    """A value in the unit of its threshold: minutes, points, or per cent."""
    if value is None:
        return NOTHING
    if one.name == "First response":
        return f"{value:.1f} min"
    return f"{value:.1f}" if one.name == "Satisfaction" else f"{100 * value:.0f} %"


@register.simple_tag
def period(seconds: float | None) -> str:
    """Seconds in the unit that reads best."""
    if seconds is None:
        return NOTHING
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
