"""Markdown that people wrote, as HTML that may stand on a page.

CommonMark with tables. HTML in the text is shown as text, not interpreted; what comes out passes an allow-list besides, so
that neither scripts nor styles, forms, frames or pictures from elsewhere get through. Nothing needs inline styles: columns
are aligned by classes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

LONGEST = 400_000  # characters; longer texts are refused where they are written
_TAGS = {
    "h1", "h2", "h3", "h4", "h5", "h6", "p", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "s", "a", "hr",
    "br", "table", "thead", "tbody", "tr", "th", "td", "div",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "th": {"scope"}}
_CLASSES = {"td": {"num", "centre"}, "th": {"num", "centre"}, "div": {"table-wrap"}}
_SCHEMES = {"http", "https", "mailto"}
_SCROLLING = ("pre", 'div class="table-wrap"')
"""What may be wider than a page, and has to be reached by keys to be scrolled."""
_HEADINGS = {f"h{level}" for level in range(1, 7)}
_ALIGNED = {"text-align:right": "num", "text-align:center": "centre"}


def rendered(text: str, *, under: int = 2) -> SafeString:
    """A text as HTML.

    Args:
        text: Markdown.
        under: the level of the heading that the text stands under; its own headings begin below it, so that the page keeps
            one outline.
    """
    html = _parser().render(text[:LONGEST], {"under": under})
    return _clean(html, tags=_TAGS, attributes=_ATTRIBUTES)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a document, for its table of contents.

    Attributes:
        level: of the page, 1 to 6.
        anchor: its ``id`` on the page.
    """

    level: int
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Document:
    """A text as HTML, and its headings in their order."""

    html: SafeString
    headings: tuple[Heading, ...]


def document(text: str, *, under: int = 1, pictures: str = "") -> Document:
    """A text as a page of its own: headings can be linked to, and pictures that we keep ourselves are shown.

    Args:
        text: Markdown.
        under: the level of the heading that the text stands under; its own highest headings are one below, whichever level
            they were written with.
        pictures: a regular expression for the addresses of pictures that are shown; of any other the words alone stay.
    """
    parser, headings = _parser(pictures=True), list[Heading]()
    tokens = parser.parse(text[:LONGEST])
    first = min((int(token.tag[1:]) for token in tokens if token.type == "heading_open"), default=1)
    env = {"under": under + 1 - first, "headings": headings, "anchors": Counter[str](), "pictures": pictures}
    html = parser.renderer.render(tokens, parser.options, env)
    attributes = _ATTRIBUTES | {name: {"id"} for name in _HEADINGS} | {"img": {"src", "alt", "loading"}}
    clean = _clean(html, tags=_TAGS | {"img"}, attributes=attributes)
    for box in _SCROLLING:  # text never has these, as its brackets are written otherwise
        clean = SafeString(clean.replace(f"<{box}>", f'<{box} tabindex="0">'))
    return Document(clean, tuple(headings))


def _clean(html: str, *, tags: set[str], attributes: dict[str, set[str]]) -> SafeString:
    clean = nh3.clean(
        html, tags=tags, attributes=attributes, allowed_classes=_CLASSES, url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )  # fmt: skip
    return SafeString(clean)


@lru_cache(maxsize=2)
def _parser(*, pictures: bool = False) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    if pictures:
        parser.add_render_rule("image", _picture)
    else:
        parser.disable("image")
    parser.inline.ruler.before("link", "page", _page)
    parser.add_render_rule("heading_open", _heading)
    parser.add_render_rule("heading_close", _heading)
    parser.add_render_rule("table_open", lambda *_: '<div class="table-wrap"><table>')
    parser.add_render_rule("table_close", lambda *_: "</table></div>")
    for name in ("td_open", "th_open"):
        parser.add_render_rule(name, _cell)
    return parser


def _picture(
    renderer: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    """A picture of ours; of one from elsewhere, which would tell its server who reads, the words alone."""
    token = tokens[place]
    words, source = escape(_words(token)), str(token.attrGet("src") or "")
    if not env["pictures"] or not re.fullmatch(env["pictures"], source):
        return words
    return f'<img src="{escape(source)}" alt="{words}" loading="lazy">'


def _words(token: Token) -> str:
    """What a piece of text says, without its marks."""
    if token.children:
        return "".join(_words(child) for child in token.children)
    return " " if token.type.endswith("break") else token.content


def _page(state: StateInline, silent: bool) -> bool:
    """``[[page|words]]``, a link inside a wiki that is not here: its words alone."""
    if not state.src.startswith("[[", state.pos):
        return False
    end = state.src.find("]]", state.pos, state.posMax)
    if end < 0 or "\n" in state.src[state.pos : end]:
        return False
    target, _, words = state.src[state.pos + 2 : end].partition("|")
    if not silent:
        state.push("text", "", 0).content = words or target
    state.pos = end + 2
    return True


def _heading(
    renderer: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    token = tokens[place]
    level = min(6, int(token.tag[1:]) + int(env["under"]))
    if token.nesting != 1:
        return f"</h{level}>\n"
    if "headings" not in env:
        return f"<h{level}>"
    text = " ".join(_words(tokens[place + 1]).split())
    anchor = _free_anchor(slugify(text)[:60] or "part", env["anchors"])
    env["headings"].append(Heading(level, text, anchor))
    return f'<h{level} id="{anchor}">'


def _free_anchor(name: str, taken: Counter[str]) -> str:
    """An id that no other heading has. Its first part keeps it apart from ids of the page, and from names that scripts know."""
    name = f"about-{name}"
    while True:
        taken[name] += 1
        anchor = name if taken[name] == 1 else f"{name}-{taken[name]}"
        if anchor == name or not taken[anchor]:
            taken[anchor] = max(1, taken[anchor])
            return anchor


def _cell(
    renderer: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    token = tokens[place]
    aligned = _ALIGNED.get(str(token.attrGet("style")), "")
    classes = f' class="{aligned}"' if aligned else ""
    return f'<th scope="col"{classes}>' if token.tag == "th" else f"<td{classes}>"
