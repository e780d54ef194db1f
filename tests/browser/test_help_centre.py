"""The help centre in a browser: for keyboards, small windows, both themes, screen readers, and on paper."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from apps.core.roles import Role
from apps.knowledge.models import ArticleFeedback, ArticleVersion, AskedQuestion, SearchIndex
from apps.knowledge.search import passages
from tests.browser.conftest import Desk
from tests.core.factories import person
from tests.knowledge.factories import ArticleFactory, CategoryFactory, PersonFactory, VersionFactory, published

pytestmark = pytest.mark.browser

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
CONTRAST = Path(__file__).with_name("contrast.js").read_text()
BODY = """We hand parcels over within **one day**. See [the carrier](https://example.com).

## How long it takes

| To | Days |
|---|---:|
| Germany | 2 |
| Averyveryveryverylongnameofacountrythatdoesnotbreakanywhereatallnowhere | 4 |

## Follow it

1. Open the mail.
2. Press *Track*.

> It works some hours later.

### Nothing moves

```
a line of code that is so long that it has to scroll inside its own box and never makes the whole page wider
```
"""


@pytest.fixture
def article(transactional_db: None) -> ArticleVersion:
    """A long article, among a few others."""
    cache.clear()
    SearchIndex.objects.get_or_create(pk=1)
    owner = PersonFactory.create(first_name="Ana", last_name="Keller")
    shelf = CategoryFactory.create(slug="delivery", title="Delivery", description="Where it is", owner=owner)
    made = []
    for slug, title, body, more in (
        ("parcel", "Where is my parcel?", BODY, {}),
        ("password", "How do I change my password?", "Choose Account, then Security, then New password.", {}),
        ("return", "How do I return something?", "Print the label.", {}),
        ("limits", "Goodwill limits", "Up to 100 EUR.", {"audience": "internal"}),
    ):
        one = ArticleFactory.create(slug=slug, category=shelf, owner=owner, **more)
        made.append(published(VersionFactory.create(article=one, title=title, body=body)))
    passages.index([version.article_id for version in made])
    return made[0]


PAGES = [
    "/help/", "/help/categories/delivery/", "/help/articles/parcel/", "/help/articles/parcel/feedback/?helpful=no",
    "/help/search/?q=i+forgot+my+password%2C+how+do+I+get+a+new+one", "/help/search/?q=parcel", "/help/search/?q=zzzz",
]  # fmt: skip


def faults(desk: Desk) -> list[str]:
    """What axe finds that is serious or worse, and what stands outside of landmarks or headings."""
    desk.page.evaluate(AXE)
    found: dict[str, Any] = desk.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    bad = [one for one in found["violations"] if one["impact"] in ("serious", "critical", "moderate")]
    return [f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:200]}" for one in bad]


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 390)])
def test_pages_can_be_read_by_everybody(
    desk: Callable[..., Desk], article: ArticleVersion, theme: str, width: int
) -> None:
    one = desk(theme=theme, width=width)
    found: dict[str, Any] = {}
    for path in PAGES:
        one.open(path)
        found[path] = faults(one), one.page.evaluate(CONTRAST), max(0, one.overflow())
    assert {path: said for path, said in found.items() if said != ([], {}, 0)} == {}


def test_staff_see_what_is_internal(desk: Callable[..., Desk], article: ArticleVersion) -> None:
    one = desk()
    one.log_in(person(Role.SUPPORT_AGENT))
    one.open("/help/articles/limits/")
    assert "Staff only" in one.page.inner_text("main")
    assert faults(one) == []


def test_suggestions_are_chosen_by_keyboard(desk: Callable[..., Desk], article: ArticleVersion) -> None:
    one = desk()
    one.open("/help/")
    page, box = one.page, one.page.get_by_role("combobox")
    box.press_sequentially("how do i")
    page.wait_for_selector("[role=option]")
    assert box.get_attribute("aria-expanded") == "true"
    assert page.locator("[role=option]").all_inner_texts() == [
        "How do I change my password?",
        "How do I return something?",
    ]
    assert faults(one) == []
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    chosen = box.get_attribute("aria-activedescendant")
    assert page.locator(f"#{chosen}").inner_text() == "How do I return something?"
    page.keyboard.press("Escape")
    assert not page.locator("[role=listbox]").is_visible()
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("[role=option]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/help/articles/password/")
    assert AskedQuestion.objects.count() == 0


def test_enter_asks_what_was_typed(desk: Callable[..., Desk], article: ArticleVersion) -> None:
    one = desk(width=390)
    one.open("/help/")
    box = one.page.get_by_role("combobox")
    box.fill("i forgot my password, how do I get a new one")
    box.press("Enter")
    one.page.wait_for_url("**/help/search/?q=*")
    assert "Choose Account, then Security" in one.page.inner_text(".help-answer")
    one.page.get_by_role("button", name="No").click()
    one.page.wait_for_selector("[role=status]:has-text('Thank you')")
    assert AskedQuestion.objects.get().outcome == "unhelpful"
    assert one.page.url.startswith(f"{one.site}/help/search/")


def test_a_reader_says_why_an_article_did_not_help(desk: Callable[..., Desk], article: ArticleVersion) -> None:
    one = desk()
    one.open("/help/articles/parcel/")
    one.page.get_by_role("link", name="No", exact=True).click()
    one.page.get_by_label("It is hard to understand").check()
    one.page.get_by_label(re.compile("What did you miss")).fill("The table")
    assert faults(one) == []
    one.page.get_by_role("button", name="Send").click()
    one.page.wait_for_selector("[role=status]:has-text('Thank you')")
    assert one.page.evaluate("document.activeElement.getAttribute('role')") == "status"
    given = ArticleFeedback.objects.get()
    assert (given.version_id, given.helpful, given.reason, given.comment) == (article.pk, False, "unclear", "The table")


def test_a_yes_needs_one_click(desk: Callable[..., Desk], article: ArticleVersion) -> None:
    one = desk()
    one.open("/help/articles/parcel/")
    one.page.get_by_role("link", name="Yes", exact=True).click()
    one.page.wait_for_selector("[role=status]:has-text('Thank you')")
    assert ArticleFeedback.objects.get().helpful
    assert one.page.url == f"{one.site}/help/articles/parcel/"


def test_everything_works_without_scripts(desk: Callable[..., Desk], article: ArticleVersion) -> None:
    one = desk()
    page = one.context.browser.new_context(java_script_enabled=False).new_page()  # type: ignore[union-attr]
    page.goto(f"{one.site}/help/")
    page.get_by_role("searchbox").fill("password")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="How do I change my password?").first.click()
    page.get_by_role("link", name="No", exact=True).click()
    page.get_by_label("It is wrong or out of date").check()
    page.get_by_role("button", name="Send").click()
    assert "Thank you" in page.inner_text("main")
    assert ArticleFeedback.objects.get().reason == "wrong"
    page.context.close()


def test_the_contents_lead_to_their_parts(desk: Callable[..., Desk], article: ArticleVersion) -> None:
    one = desk()
    one.open("/help/articles/parcel/")
    one.page.keyboard.press("Tab")
    assert one.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    one.page.get_by_role("link", name="Nothing moves").click()
    assert one.page.url.endswith("#about-nothing-moves")
    assert one.page.evaluate("document.getElementById('about-nothing-moves').getBoundingClientRect().top") < 900


def test_on_paper_stands_the_article_alone(desk: Callable[..., Desk], article: ArticleVersion) -> None:
    one = desk(theme="dark")
    one.open("/help/articles/parcel/")
    one.page.emulate_media(media="print")
    shown = {name: one.page.locator(name).first.is_visible() for name in (".help-bar", ".help-feedback", ".help-contents", ".help-related", ".help-foot", ".help-body", "h1", ".help-facts")}  # fmt: skip
    assert [name for name, there in shown.items() if there] == [".help-body", "h1", ".help-facts"]
    assert one.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    ink = one.page.evaluate("getComputedStyle(document.querySelector('.help-body p')).color")
    assert max(int(part) for part in re.findall(r"\d+", ink)[:3]) < 100
