"""The home page's panels, the rail's extra links and the top bar's search.

Core is the lowest layer and may not know the apps above it, so each app says in its own ``home.py`` what it wants shown;
those modules are found at start-up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString

if TYPE_CHECKING:
    from apps.core.models import User


@dataclass(frozen=True, kw_only=True)
class Stat:
    """One number with its label; ``tone`` gives the label a badge's colour, the label says the same in words."""

    value: int | str
    label: str
    url: str = ""
    tone: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a panel's list."""

    title: str
    url: str = ""
    meta: str = ""
    tone: str = ""
    badge: str = ""
    side: SafeString | str = ""
    icon: str = ""
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a panel shows now. ``empty`` is the sentence shown when there are no rows."""

    stats: Sequence[Stat] = ()
    rows: Sequence[Row] = ()
    empty_title: str = ""
    empty: str = ""
    url: str = ""
    more: str = ""


INBOX = "inbox"
"""The name of the inbox page."""

Build = Callable[["User", datetime], "Content | None"]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel: who may see it, where it stands, and what builds it."""

    slug: str
    title: str
    icon: str
    order: int
    permission: str
    column: Literal["main", "side"]
    build: Build


@dataclass(frozen=True, kw_only=True)
class Link:
    """A page of the rail that is no model's list. ``group`` is a heading of the rail."""

    group: str
    title: str
    icon: str
    url_name: str
    permission: str
    order: int = 50


@dataclass(frozen=True, kw_only=True)
class Search:
    """Where the top bar's search goes: a page that takes ``?q=``."""

    url_name: str
    label: str
    permission: str


@dataclass
class _Registry:
    panels: dict[str, Panel] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    search: Search | None = None


registry = _Registry()


def panel(
    *, slug: str, title: str, icon: str, order: int, permission: str = "", column: Literal["main", "side"] = "main"
) -> Callable[[Build], Build]:
    """Register a panel of the home page.

    The function is given the person and the time; it narrows rows by ``visible_to`` itself, and may return None to show
    nothing. It is called only for people who hold ``permission``.

    Raises:
        ValueError: another panel has the slug.
    """

    def keep(build: Build) -> Build:
        if slug in registry.panels:
            raise ValueError(f"There are two home panels called {slug!r}.")
        registry.panels[slug] = Panel(
            slug=slug, title=title, icon=icon, order=order, permission=permission, column=column, build=build
        )
        return build

    return keep


def link(*, group: str, title: str, icon: str, url_name: str, permission: str, order: int = 50) -> None:
    """Add a page to the rail, for those who hold the permission (everybody when it is empty)."""
    registry.links[url_name] = Link(
        group=group, title=title, icon=icon, url_name=url_name, permission=permission, order=order
    )


def search(*, url_name: str, label: str, permission: str) -> None:
    """Say where the top bar's search goes."""
    registry.search = Search(url_name=url_name, label=label, permission=permission)


def address(name: str, *args: object) -> str:
    """The address of a page by its name; empty, so that no link is drawn, where this site does not have the page."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


def panels_for(user: User, now: datetime) -> list[tuple[Panel, Content]]:
    """The panels that this person sees now, in order."""
    shown = []
    for item in sorted(registry.panels.values(), key=lambda item: (item.order, item.slug)):
        if item.permission and not user.has_perm(item.permission):
            continue
        content = item.build(user, now)
        if content is not None:
            shown.append((item, content))
    return shown


@panel(slug="inbox", title="Inbox", icon="bell", order=10, column="side")
def inbox_panel(user: User, now: datetime) -> Content:
    """The five newest unread notifications of the person."""
    from apps.core.models import Notification  # this module is imported while the apps are loading

    unread = Notification.objects.filter(recipient=user, read_at=None).order_by("-created_at", "-id")[:5]
    return Content(
        rows=[
            Row(
                title=news.title,
                url=news.url or address(INBOX),
                at=news.created_at,
                badge="Urgent" if news.urgent else "",
                tone="bad",
            )
            for news in unread
        ],
        empty_title="No unread news",
        empty="Failures, escalations and mentions reach you here.",
        url=address(INBOX),
        more="Inbox",
    )
