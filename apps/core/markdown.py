"""Markdown that people wrote, as HTML that may stand on a page.

CommonMark with tables. HTML in the text is shown as text, not interpreted; what comes out passes an allow-list besides, so
that neither scripts nor styles, forms, frames or pictures from elsewhere get through. Nothing needs inline styles: columns
are aligned by classes.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from functools import lru_cache
from typing import Any

import nh3
from django.utils.safestring import SafeString
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
_ALIGNED = {"text-align:right": "num", "text-align:center": "centre"}


def rendered(text: str, *, under: int = 2) -> SafeString:
    """A text as HTML.

    Args:
        text: Markdown.
        under: the level of the heading that the text stands under; its own headings begin below it, so that the page keeps
            one outline.
    """
    html = _parser().render(text[:LONGEST], {"under": under})
    clean = nh3.clean(
        html, tags=_TAGS, attributes=_ATTRIBUTES, allowed_classes=_CLASSES, url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )  # fmt: skip
    return SafeString(clean)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    parser.disable("image")
    parser.inline.ruler.before("link", "page", _page)
    parser.add_render_rule("heading_open", _heading)
    parser.add_render_rule("heading_close", _heading)
    parser.add_render_rule("table_open", lambda *_: '<div class="table-wrap"><table>')
    parser.add_render_rule("table_close", lambda *_: "</table></div>")
    for name in ("td_open", "th_open"):
        parser.add_render_rule(name, _cell)
    return parser


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
    return f"<h{level}>" if token.nesting == 1 else f"</h{level}>\n"


def _cell(
    renderer: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    token = tokens[place]
    aligned = _ALIGNED.get(str(token.attrGet("style")), "")
    classes = f' class="{aligned}"' if aligned else ""
    return f'<th scope="col"{classes}>' if token.tag == "th" else f"<td{classes}>"
