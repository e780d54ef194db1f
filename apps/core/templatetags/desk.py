"""Template tags of the look: icons, badges, money, ages, and the frame around every page."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from django import template
from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.core import names
from apps.core import site as desk_site

register = template.Library()

TONES = frozenset({"low", "safety", "policy", "ok", "warn", "bad", "info", "muted", "plain"})


@lru_cache(maxsize=1)
def icon_names() -> frozenset[str]:
    """The names in the sprite ``static/core/icons.svg``.

    Raises:
        FileNotFoundError: the sprite is not among the static files.
    """
    path = finders.find("core/icons.svg")
    if not path:
        raise FileNotFoundError("static/core/icons.svg")
    root = ElementTree.parse(str(path)).getroot()  # noqa: S314  our own file
    return frozenset(symbol.get("id", "") for symbol in root)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """An icon of the sprite. Without a label it is decoration and hidden from screen readers.

    Raises:
        template.TemplateSyntaxError: the sprite has no such icon.
    """
    if name not in icon_names():
        raise template.TemplateSyntaxError(f"There is no icon {name!r} in static/core/icons.svg.")
    source = f"{static('core/icons.svg')}#{name}"
    if label:
        return format_html('<svg class="icon" role="img" aria-label="{}"><use href="{}"></use></svg>', label, source)
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}"></use></svg>', source)


@register.simple_tag
def badge(tone: str, text: Any = "", symbol: str = "") -> SafeString:
    """A small label. The tone colours it, the text says it; an unknown tone is drawn muted.

    Args:
        tone: low, safety, policy, ok, warn, bad, info, muted or plain.
        text: the words; without them the tone's own name, capitalised.
        symbol: an icon instead of the dot.
    """
    words = text or tone.capitalize()
    shape = icon(symbol) if symbol else ""
    return format_html('<span class="badge badge--{}">{}{}</span>', tone if tone in TONES else "muted", shape, words)


@register.simple_tag
def money(amount: Decimal | float | None, currency: str = "USD") -> SafeString:
    """An amount with thousands separated and the currency's code: ``1,234.50 USD``; a dash when unknown."""
    if amount is None:
        return mark_safe('<span class="muted">–</span>')
    return format_html('<span class="num">{} <span class="muted">{}</span></span>', f"{Decimal(amount):,.2f}", currency)


def age(then: datetime, now: datetime) -> str:
    """How long ago, in the largest whole unit: ``just now``, ``5 min ago``, ``3 h ago``, ``in 2 d``."""
    seconds = (now - then).total_seconds()
    size = abs(seconds)
    if size < 60:
        return "just now"
    unit, word = (60, "min") if size < 3600 else (3600, "h") if size < 86400 else (86400, "d")
    text = f"{int(size // unit):,} {word}"
    return f"{text} ago" if seconds > 0 else f"in {text}"


@register.simple_tag
def ago(then: datetime | None, now: datetime | None = None, *, short: bool = False) -> SafeString:
    """The age of a moment, with the exact time on hover and for machines; ``never`` when there is none.

    Args:
        short: leave out "ago", where a column's title says it.
    """
    if then is None:
        return mark_safe('<span class="muted">never</span>')
    local = timezone.localtime(then)
    words = age(then, now or timezone.now())
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(timespec="seconds"),
        f"{local:%Y-%m-%d %H:%M:%S %Z}",
        words.removesuffix(" ago") if short else words,
    )


@register.simple_tag
def pips(value: int, of: int = 5) -> SafeString:
    """A small whole number as filled marks, with the number in words for screen readers."""
    marks = format_html_join("", '<i class="{}"></i>', (("on" if n < value else "",) for n in range(of)))
    return format_html(
        '<span class="pips" role="img" aria-label="{} of {}" title="{} of {}">{}</span>', value, of, value, of, marks
    )


@register.inclusion_tag("admin/frame.html", takes_context=True)
def desk_frame(context: template.Context) -> dict[str, Any]:
    """The rail and the top bar. They need only the request, so that any page may extend ``admin/base_site.html``."""
    request = context["request"]
    return {
        "request": request,
        "user": request.user,
        "csrf_token": context.get("csrf_token"),
        **desk_site.frame_context(request),
    }


@register.filter
def called(user: Any) -> str:
    """A person's full name, or the login where no name is known; empty for nobody."""
    return names.called(user)


@register.filter
def initials(user: Any) -> str:
    """Two letters for a person: of the full name, else of the user name."""
    words = (user.get_full_name() or user.get_username()).replace(".", " ").replace("_", " ").split()
    return "".join(word[0] for word in words[:2]).upper() or "?"
