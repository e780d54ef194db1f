"""Markdown becomes HTML that a strict page may show: what people type cannot run, load or style anything."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.markdown import Heading, document, rendered

TAG = re.compile(r"<\s*/?\s*([a-zA-Z][a-zA-Z0-9]*)([^>]*)>")
KNOWN = {
    "h1", "h2", "h3", "h4", "h5", "h6", "p", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "s", "a", "hr",
    "br", "table", "thead", "tbody", "tr", "th", "td", "div",
}  # fmt: skip


def test_headings_stand_below_the_pages_own() -> None:
    assert rendered("# Purpose\n\n## Scope") == "<h3>Purpose</h3>\n<h4>Scope</h4>\n"
    assert rendered("###### Deep", under=4) == "<h6>Deep</h6>\n"


def test_tables_are_aligned_by_classes_and_scroll_in_their_own_box() -> None:
    html = rendered("| Level | Minutes |\n|---|---:|\n| 5 | 15 |")
    assert '<div class="table-wrap"><table>' in html
    assert '<th scope="col" class="num">Minutes</th>' in html or '<th class="num" scope="col">Minutes</th>' in html
    assert '<td class="num">15</td>' in html
    assert "style" not in html


def test_lists_emphasis_code_and_links() -> None:
    html = rendered('1. *a* **b** `c`\n2. [d](https://example.com "e")\n\n- ~~f~~\n\n> g\n\n```\n<h>\n```')
    for part in ("<ol>", "<em>a</em>", "<strong>b</strong>", "<code>c</code>", "<s>f</s>", "<blockquote>", "&lt;h&gt;"):
        assert part in html
    assert 'href="https://example.com"' in html
    assert 'rel="noopener noreferrer nofollow"' in html


def test_links_of_a_wiki_are_words() -> None:
    assert rendered("See [[../Risk/README|Risk *Management*]] and [[Plain]].") == (
        "<p>See Risk *Management* and Plain.</p>\n"
    )
    assert rendered("[[open") == "<p>[[open</p>\n"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "![x](https://example.com/x.png)",
        "[x](javascript:alert(1))", "[x](data:text/html;base64,PHNjcmlwdD4=)", "<a href='javascript:x' style='x'>y</a>",
        "<javascript:alert(1)>", "[x](vbscript:x)", '<div style="position:fixed">', "<svg/onload=alert(1)>",
        "| a |\n|---|\n| <iframe src=//x> |", "[[<script>x</script>|<b onclick=x>]]", "[a]: javascript:x\n\n[a]",
    ],
)  # fmt: skip
def test_nothing_runs(text: str) -> None:
    html = rendered(text)
    assert_harmless(html)


def assert_harmless(html: str) -> None:
    for name, attributes in TAG.findall(html):
        assert name in KNOWN
        assert not re.search(r"\bon\w+\s*=|\bstyle\s*=|\bsrc\s*=", attributes)
        for target in re.findall(r'href="([^"]*)"', attributes):
            assert re.match(r"(https?:|mailto:|[^:]*$|[^:]*[/?#])", target), target


@given(st.text(alphabet="<>[]()!|#*`_~ \n\"'=:/ajvscriptonerx&;-", max_size=200))
def test_whatever_is_typed(text: str) -> None:
    assert_harmless(rendered(text))


def test_a_deep_nest_is_no_trouble() -> None:
    assert rendered(">" * 5_000 + "x")
    assert rendered("[" * 5_000 + "x" + "]" * 5_000)
    assert rendered("*" * 20_000)


OURS = r"/pictures/[a-z]+\.png"


def test_a_document_tells_its_headings_and_begins_below_its_title() -> None:
    found = document("## Ship *to* us\n\n### Ship to us\n\n## Ship to us\n\n## Ship to us 2\n\n## ???")
    assert found.headings == (
        Heading(2, "Ship to us", "about-ship-to-us"),
        Heading(3, "Ship to us", "about-ship-to-us-2"),
        Heading(2, "Ship to us", "about-ship-to-us-3"),
        Heading(2, "Ship to us 2", "about-ship-to-us-2-2"),
        Heading(2, "???", "about-part"),
    )
    assert '<h2 id="about-ship-to-us">Ship <em>to</em> us</h2>' in found.html
    assert document("# One\n# Two").headings[1].level == 2
    many = document("# a\n" * 5_000).headings
    assert len({heading.anchor for heading in many}) == 5_000


def test_what_scrolls_in_a_document_is_reached_by_keys() -> None:
    html = document("```\n<pre>\n```\n\n| a |\n|---|\n| b |").html
    assert '<pre tabindex="0"><code>&lt;pre&gt;\n</code></pre>' in html
    assert '<div class="table-wrap" tabindex="0"><table>' in html
    assert "tabindex" not in rendered("```\nx\n```")


def test_a_document_shows_our_pictures_alone() -> None:
    html = document('![a "b" *c*](/pictures/x.png) ![d](https://example.com/y.png)', pictures=OURS).html
    assert '<img src="/pictures/x.png" alt="a &quot;b&quot; c" loading="lazy">' in html
    assert "example.com" not in html
    assert " d</p>" in html
    assert "<img" not in document("![a](/pictures/x.png)").html
    assert "<img" not in document("![a](/pictures/x.png/../../admin)", pictures=OURS).html
