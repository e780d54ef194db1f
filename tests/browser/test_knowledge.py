"""Articles in a real browser: the editor with its preview and a pasted picture, a review by two people, narrow and dark."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from PIL import Image

from apps.core.models import User
from apps.core.roles import Role
from apps.knowledge import drafts, reviewing
from apps.knowledge.calibration import current_settings
from apps.knowledge.models import ArticleImage, ArticleVersion, AskedQuestion, Gap
from tests.browser.conftest import Desk
from tests.browser.test_contrast import CONTRAST
from tests.core.factories import person
from tests.knowledge.factories import CategoryFactory

pytestmark = pytest.mark.browser
BASE = "/admin/knowledge"
# What a browser does when somebody pastes a picture, for tests cannot fill the clipboard with one.
PASTE = """(data) => {
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const list = new DataTransfer();
  list.items.add(new File([bytes], "order page.png", { type: "image/png" }));
  const area = document.querySelector(".editor textarea");
  area.focus();
  area.dispatchEvent(new ClipboardEvent("paste", { clipboardData: list, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def olga(site: str, settings: Any, tmp_path: Path) -> User:
    """Owns articles."""
    settings.MEDIA_ROOT = tmp_path
    return person(Role.CONTENT_OWNER, username="olga")


@pytest.fixture
def draft(olga: User) -> ArticleVersion:
    return drafts.create_article(
        category=CategoryFactory.create(), title="Where is my parcel?", body="Look **here**.\n\n## Lost\n\n1. Wait\n2. Write",
        questions=["track"], actor=olga, now=timezone.now(),
    )  # fmt: skip


def picture() -> str:
    out = io.BytesIO()
    Image.new("RGB", (60, 40), "navy").save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def test_a_draft_is_written_with_a_preview_and_a_pasted_picture(
    desk: Callable[..., Desk], olga: User, draft: ArticleVersion
) -> None:
    one = desk()
    one.log_in(olga)
    one.open(f"{BASE}/article/{draft.article_id}/versions/1/edit/")
    preview = one.page.locator("[data-shown]")
    preview.get_by_role("heading", name="Lost").wait_for()
    area = one.page.locator("#id_body")
    area.fill("Open the *tracking* page.\n\n<script>alert(1)</script>\n\n")
    preview.locator("em", has_text="tracking").wait_for()
    assert preview.locator("script").count() == 0
    area.press("Control+End")
    one.page.evaluate(PASTE, picture())
    preview.get_by_role("img", name="order page").wait_for()
    assert preview.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 60
    one.page.keyboard.press("Control+b")
    assert area.input_value().endswith("**bold**")
    one.page.fill("#id_changes", "With a picture")
    with one.page.expect_navigation():
        one.page.get_by_role("button", name="Keep").click()
    draft.refresh_from_db()
    image = ArticleImage.objects.get()
    assert f"![order page](/help/images/{image.pk}-" in draft.body
    assert (image.width, image.content_type) == (60, "image/png")


def test_two_people_bring_a_version_live(desk: Callable[..., Desk], olga: User, draft: ArticleVersion) -> None:
    remy = person(Role.CONTENT_OWNER, username="remy")
    writing, reading = desk(), desk()
    writing.log_in(olga)
    reading.log_in(remy)
    writing.open(f"{BASE}/article/{draft.article_id}/change/")
    writing.page.get_by_role("link", name="Go on with version 1").click()
    writing.page.get_by_role("link", name="Ask for a review").click()
    writing.page.get_by_role("button", name="Ask").click()
    writing.page.get_by_text("It waits for a review.").wait_for()
    assert writing.page.get_by_role("link", name="Approve").count() == 0

    reading.open(f"{BASE}/article/?list=review")
    reading.page.get_by_role("link", name="Where is my parcel?").click()
    reading.page.get_by_role("link", name="Go on with version 1").click()
    reading.page.get_by_role("link", name="Approve").click()
    reading.page.fill("#id_comment", "True.")
    reading.page.keyboard.press("Control+Enter")
    reading.page.get_by_text("It can be published or scheduled now.").wait_for()

    writing.open(f"{BASE}/article/{draft.article_id}/versions/1/")
    writing.page.get_by_role("link", name="Publish now").click()
    writing.page.get_by_role("button", name="Publish").click()
    writing.page.get_by_text("It is live.").wait_for()
    draft.refresh_from_db()
    assert (draft.state, draft.reviewer) == ("published", remy)


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_every_page_fits_and_keeps_the_policy(
    desk: Callable[..., Desk], olga: User, draft: ArticleVersion, width: int, theme: str
) -> None:
    now, mara = timezone.now(), person(Role.SUPPORT_MANAGER, username="mara")
    reviewing.submit(version_id=draft.pk, seen_digest=draft.digest, actor=olga, now=now)
    reviewing.approve(version_id=draft.pk, seen_digest=draft.digest, actor=mara, now=now)
    reviewing.publish(version_id=draft.pk, actor=olga, now=now)
    second = drafts.new_draft(article_id=draft.article_id, actor=mara, now=now)
    drafts.edit_draft(
        version_id=second.pk, seen_digest=second.digest, title=second.title, body=f"{'Long' * 40}\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        changes="c", actor=mara, now=now,
    )  # fmt: skip
    gap = Gap.objects.create(title="Do you rent tents?", first_at=now - timedelta(days=2), last_at=now, customers=3)
    asked = AskedQuestion.objects.create(
        text="Do you rent tents?", audience="public", source="help_centre", outcome="not_sure", confidence=0.1, gap=gap,
        settings=current_settings(), asked_at=now, versions=[draft.pk], scores=[0.2],
    )  # fmt: skip
    one = desk(width=width, theme=theme)
    one.log_in(mara)
    article = f"article/{draft.article_id}"
    for path in (
        "article/", "article/?list=due", "article/new/", f"{article}/change/", f"{article}/versions/1/", f"{article}/versions/2/",
        f"{article}/versions/2/edit/", f"{article}/versions/2/submit/", f"{article}/details/", f"{article}/reassign/",
        f"{article}/confirm/", f"{article}/archive/", f"{article}/draft/?like=1", "articleversion/", "gap/",
        f"gap/{gap.pk}/change/", f"gap/{gap.pk}/draft/", "askedquestion/", f"askedquestion/{asked.pk}/change/",
        "askedquestion/try/?q=parcel", "articlefeedback/", "answersettings/", "answersettings/choose/",
        f"answersettings/{current_settings().pk}/change/", "category/", "synonym/add/",
    ):  # fmt: skip
        one.open(f"{BASE}/{path}")
        assert (one.overflow(), one.page.evaluate(CONTRAST)) == (0, {}), path
