"""Pictures of articles: what is taken, what is left out of them, and who sees them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from PIL import Image

from apps.core.markdown import document
from apps.core.models import User
from apps.core.roles import Role
from apps.knowledge import images
from apps.knowledge.images import PREFIX, SHOWN, BadImage, add_image, address, mentioned
from apps.knowledge.models import Article, ArticleImage
from apps.knowledge.refusals import ArticleNotFound, NotAllowed
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.knowledge.factories import NOW, ArticleFactory, VersionFactory, approved, moved

pytestmark = pytest.mark.django_db


def picture(kind: str = "PNG", size: tuple[int, int] = (30, 20), mode: str = "RGB", **more: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, "red" if mode == "RGB" else 0).save(out, kind, **more)
    return out.getvalue()


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def olga() -> User:
    """Owns the article."""
    return person(Role.CONTENT_OWNER)


@pytest.fixture
def article(olga: User) -> Article:
    return ArticleFactory.create(owner=olga)


def added(article: Article, data: bytes | None = None) -> ArticleImage:
    return add_image(article_id=article.pk, data=data or picture(), actor=article.owner, now=NOW)


@pytest.mark.parametrize(
    ("kind", "kept"), [("PNG", "image/png"), ("GIF", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
def test_a_picture_is_known_by_its_content_and_kept_under_a_random_name(article: Article, kind: str, kept: str) -> None:
    image = added(article, picture(kind))
    assert (image.content_type, image.width, image.height) == (kept, 30, 20)
    assert str(article.slug) not in image.file.name
    assert len(Path(image.file.name).stem) == 32


@pytest.mark.parametrize(
    "data",
    [b"", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", b"\x89PNG\r\n\x1a\n" + b"x" * 50, b"%PDF-1.7",
     picture("BMP"), picture()[:-40]],
)  # fmt: skip
def test_what_is_no_picture_is_refused_and_leaves_nothing(article: Article, data: bytes, folder: Path) -> None:
    with pytest.raises(BadImage):
        add_image(article_id=article.pk, data=data, actor=article.owner, now=NOW)
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_large_files_and_many_pixels_are_refused(article: Article, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_PIXELS", 500)
    with pytest.raises(BadImage, match="30 by 20 pixels"):
        added(article)
    monkeypatch.setattr(images, "MOST_BYTES", 10)
    with pytest.raises(BadImage, match="MB"):
        added(article)


def test_places_and_hidden_bytes_are_left_out_and_large_ones_made_smaller(article: Article) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "at home"  # turned by a quarter; a description
    data = picture("JPEG", (3000, 1000), exif=exif) + b"<script>"
    image = added(article, data)
    with image.file.open("rb") as file:
        kept = file.read()
    assert b"at home" not in kept
    assert b"<script>" not in kept
    assert (image.height, image.width) == (2000, 667)


def test_the_same_picture_again_is_the_one_that_is_there(article: Article) -> None:
    assert added(article) == added(article)


def test_who_may_add_pictures(article: Article) -> None:
    for somebody in (person(Role.CONTENT_OWNER), person(Role.SUPPORT_AGENT), person(Role.AUDITOR)):
        with pytest.raises(NotAllowed):
            add_image(article_id=article.pk, data=picture(), actor=somebody, now=NOW)
    hidden = ArticleFactory.create(scope=ScopeFactory())
    with pytest.raises(ArticleNotFound):
        add_image(article_id=hidden.pk, data=picture(), actor=person(Role.CONTENT_OWNER), now=NOW)
    add_image(article_id=article.pk, data=picture(), actor=person(Role.SUPPORT_MANAGER), now=NOW)


def test_everybody_sees_what_a_public_article_shows_and_nothing_before(client: Client, article: Article) -> None:
    image = added(article)
    version = VersionFactory.create(article=article, body=f"See ![the page]({address(image)}).")
    assert mentioned(version.body) == {image.pk}
    assert client.get(address(image)).status_code == 404
    moved(approved(version), "published", published_at=NOW)
    answer = client.get(address(image))
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")
    assert answer["Cache-Control"].startswith("public")
    assert client.get(address(image), headers={"If-None-Match": answer["ETag"]}).status_code == 304
    assert client.get(f"{PREFIX}{image.pk}-0000000000000000").status_code == 404
    assert client.post(address(image)).status_code in (403, 405)
    later = added(article, picture(size=(5, 5)))  # of a draft beside it
    assert client.get(address(later)).status_code == 404
    Article.objects.filter(pk=article.pk).update(audience="internal")
    assert client.get(address(image)).status_code == 404


def test_pictures_of_a_scopes_articles_are_for_those_who_work_in_it(client: Client, olga: User) -> None:
    article = ArticleFactory.create(owner=olga, scope=ScopeFactory(), audience="public")
    image = added(article)
    version = VersionFactory.create(article=article, body=f"![it]({address(image)})")
    moved(approved(version), "published", published_at=NOW)
    assert client.get(address(image)).status_code == 404
    client.force_login(person(Role.SUPPORT_AGENT, article.scope))
    answer = client.get(address(image))
    assert (answer.status_code, answer["Cache-Control"]) == (200, "private, no-cache")


def test_staff_see_the_pictures_of_the_articles_that_they_see(client: Client, olga: User) -> None:
    article = ArticleFactory.create(owner=olga, scope=ScopeFactory(), audience="internal")
    image = added(article)
    for somebody, status in (
        (olga, 200), (person(Role.SUPPORT_AGENT, article.scope), 200), (person(Role.SUPPORT_AGENT), 404),
        (person(Role.OPERATOR, article.scope), 404), (UserFactory(), 404),
    ):  # fmt: skip
        client.force_login(somebody)
        assert client.get(address(image)).status_code == status
    client.force_login(olga)
    assert "private" in client.get(address(image))["Cache-Control"]


def test_a_lost_file_is_not_found(client: Client, olga: User, article: Article) -> None:
    image = added(article)
    image.file.storage.delete(image.file.name)
    client.force_login(olga)
    assert client.get(address(image)).status_code == 404


@pytest.mark.parametrize("source", ["https://elsewhere.example/a.png", "/admin/logout/", "/help/images/../../admin/"])
def test_pictures_from_elsewhere_are_words(source: str) -> None:
    html = document(f"![words](<{source}>)", pictures=SHOWN).html
    assert "<img" not in html
    assert "words" in html


def test_ours_are_shown() -> None:
    assert "<img" in document(f"![A page]({PREFIX}1-0123456789abcdef)", pictures=SHOWN).html
