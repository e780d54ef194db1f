"""The help centre: who sees what, where pages are, and that what is kept is never older than what is published."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from django.core.cache import cache
from django.test import Client
from redis.exceptions import ConnectionError

from apps.core.roles import Role
from apps.knowledge.centre import maps, views
from apps.knowledge.models import ArticleVersion, AskedQuestion, SearchIndex, SlugRedirect
from apps.knowledge.search import passages
from apps.knowledge.search.embedding import Onnx
from apps.knowledge.search.in_use import model_in_use
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.knowledge.factories import (
    NOW,
    ArticleFactory,
    CategoryFactory,
    PersonFactory,
    VersionFactory,
    moved,
    published,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_cache(db: None) -> None:
    cache.clear()
    SearchIndex.objects.get_or_create(pk=1)  # tests that empty all tables may have come before


def live(title: str, body: str = "Words.", **article: object) -> ArticleVersion:
    """A published version of an article of its own."""
    return published(VersionFactory.create(article=ArticleFactory.create(**article), title=title, body=body))


def text(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status, path
    return response.content.decode()


@pytest.fixture
def hidden() -> list[tuple[str, str]]:
    """Titles and addresses of what everybody must not see, each for another reason."""
    shelf = CategoryFactory.create(slug="delivery")
    internal = live("Internal limits", category=shelf, audience="internal")
    scoped = live("Only that shop", category=shelf, scope=ScopeFactory.create())
    gone = live("Taken down", category=shelf)
    moved(gone, "archived", closed_at=NOW)
    gone.article.archived_at = NOW
    gone.article.save()
    draft = VersionFactory.create(article=ArticleFactory.create(category=shelf), title="Not yet said")
    passages.index([one.article_id for one in (internal, scoped, gone, draft)])
    return [(one.title, one.article.slug) for one in (internal, scoped, gone, draft)]


def test_strangers_see_public_articles_alone(client: Client, hidden: list[tuple[str, str]]) -> None:
    shown = live("Where is my parcel?", category=ArticleVersion.objects.first().article.category)  # type: ignore[union-attr]
    passages.index([shown.article_id])
    pages = ["/help/", "/help/categories/delivery/", "/help/search/?q=limits+shop+taken+down+said+parcel", "/help/sitemap.xml",
             "/help/suggest/?q=internal+limits", f"/help/articles/{shown.article.slug}/"]  # fmt: skip
    for page in pages:
        found = text(client, page)
        for title, slug in hidden:
            assert title not in found.replace("limits shop taken down said parcel", ""), page
            assert f"/{slug}/" not in found, page
    for _, slug in hidden:
        text(client, f"/help/articles/{slug}/", 404)
        text(client, f"/help/articles/{slug}/feedback/", 404)
    assert "Where is my parcel?" in text(client, "/help/")


def test_a_category_without_public_articles_is_not_there(client: Client, hidden: list[tuple[str, str]]) -> None:
    text(client, "/help/categories/delivery/", 404)
    assert "/help/categories/delivery/" not in text(client, "/help/") + text(client, "/help/sitemap.xml")


@pytest.mark.parametrize(
    ("role", "sees"),
    [(Role.SUPPORT_AGENT, {0}), (Role.SUPPORT_DIRECTOR, {0, 1}), (Role.OPERATOR, set())],
)
def test_staff_see_what_their_role_and_scopes_include(
    client: Client, hidden: list[tuple[str, str]], role: Role, sees: set[int]
) -> None:
    client.force_login(person(role))
    for n, (title, slug) in enumerate(hidden):
        response = client.get(f"/help/articles/{slug}/")
        assert response.status_code == (200 if n in sees else 404), title
        if n in sees:
            assert "no-store" in response["Cache-Control"]
            assert "private" in response["Cache-Control"]
    # what staff saw is not kept for everybody
    client.logout()
    for _, slug in hidden:
        text(client, f"/help/articles/{slug}/", 404)


def test_customers_with_an_account_are_not_staff(client: Client, hidden: list[tuple[str, str]]) -> None:
    client.force_login(UserFactory.create())
    text(client, f"/help/articles/{hidden[0][1]}/", 404)


def test_an_article_tells_when_and_by_whom(client: Client) -> None:
    version = live("Where is my parcel?", "## Follow it\n\n## Lost\n\n### Really lost\n\nWrite to us.")
    ravi = PersonFactory.create(username="ravi.m", first_name="Ravi", last_name="Menon")
    other = live("Who am I?")
    ArticleVersion.objects.filter(pk=version.pk).update()
    page = text(client, f"/help/articles/{version.article.slug}/")
    assert '<time datetime="2026-03-02">2 March 2026</time>' in page
    assert "Reviewed on" in page  # the reviewer has no name but that for signing in
    assert version.reviewer.username not in page  # type: ignore[union-attr]
    assert '<h2 id="about-follow-it">' in page
    assert '<a href="#about-really-lost">Really lost</a>' in page
    assert f'<link rel="canonical" href="http://localhost:8000/help/articles/{version.article.slug}/">' in page
    other.reviewer.first_name, other.reviewer.last_name = ravi.first_name, ravi.last_name  # type: ignore[union-attr]
    other.reviewer.save()  # type: ignore[union-attr]
    assert "Reviewed by Ravi Menon on" in text(client, f"/help/articles/{other.article.slug}/")


def test_related_articles_are_about_the_same_or_stand_beside(client: Client) -> None:
    shelf = CategoryFactory.create()
    one = live("How do I change my password?", category=shelf)
    same = live("I forgot my password", category=CategoryFactory.create())
    beside = live("Where do I find my invoice?", category=shelf)
    passages.index([one.article_id, same.article_id, beside.article_id])
    page = text(client, f"/help/articles/{one.article.slug}/")
    related = page[page.index("Related articles") :]
    assert related.index(same.title) < related.index(beside.title)
    assert one.title not in related


def test_an_indexed_title_is_not_embedded_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    one, same = live("How do I change my password?"), live("I forgot my password")
    passages.index([one.article_id, same.article_id])
    assert model_in_use() is not None

    def embed(model: Onnx, texts: list[str]) -> None:
        raise AssertionError(f"{texts} were embedded")

    monkeypatch.setattr(Onnx, "__call__", embed)
    assert same.title in text(client, f"/help/articles/{one.article.slug}/")


def test_a_former_address_leads_to_the_present_one(client: Client) -> None:
    version = live("Where is my parcel?", slug="parcel")
    SlugRedirect.objects.create(slug="package", article=version.article, created_at=NOW)
    response = client.get("/help/articles/package/?utm=x")
    assert (response.status_code, response["Location"]) == (301, "/help/articles/parcel/")
    assert "no-cache" in response["Cache-Control"]  # the address may be given back
    version.article.audience = "internal"
    version.article.save()
    text(client, "/help/articles/package/", 404)


def test_pages_are_sent_again_only_if_they_changed(client: Client) -> None:
    version = live("Where is my parcel?")
    path = f"/help/articles/{version.article.slug}/"
    first = client.get(path)
    assert first["Cache-Control"] == "public, no-cache"
    assert "Cookie" in first["Vary"]
    assert not first.cookies
    again = client.get(path, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert again["Cache-Control"] == "public, no-cache"
    assert client.get(path, headers={"If-Modified-Since": first["Last-Modified"]}).status_code == 304
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.head(path)["ETag"] == first["ETag"]
    assert client.post(path).status_code == 405


def test_a_kept_page_costs_one_look_at_the_database(client: Client, django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    version = live("Where is my parcel?")
    for path in ("/help/", f"/help/articles/{version.article.slug}/", "/help/sitemap.xml"):
        first = client.get(path)
        with django_assert_num_queries(1):
            assert client.get(f"{path}?utm_source=x").content == first.content


def test_pages_go_on_without_valkey(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*args: object, **kwargs: object) -> None:
        raise ConnectionError("nobody is there")

    version = live("Where is my parcel?")
    monkeypatch.setattr(cache, "get", down)
    monkeypatch.setattr(cache, "set", down)
    assert "Where is my parcel?" in text(client, f"/help/articles/{version.article.slug}/")


def test_without_a_generation_nothing_is_kept(client: Client) -> None:
    version = live("Where is my parcel?")
    path = f"/help/articles/{version.article.slug}/"
    SearchIndex.objects.all().delete()
    text(client, path)
    version.article.audience = "internal"
    version.article.save()
    text(client, path, 404)


def test_the_sitemap_names_public_pages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = CategoryFactory.create(slug="delivery")
    for n in range(3):
        live(f"Question {n}?", category=shelf, slug=f"a-{n}")
    space = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}

    def places(path: str) -> list[str]:
        response = client.get(path)
        assert response["Content-Type"].startswith("application/xml")
        root = ElementTree.fromstring(response.content)
        return [found.text or "" for found in root.findall("*/s:loc", space)]

    site = "http://localhost:8000/help/"
    articles = [f"{site}articles/a-{n}/" for n in range(3)]
    assert places("/help/sitemap.xml") == [site, f"{site}categories/delivery/", *articles]
    assert "<lastmod>2026-03-02T09:00:00Z</lastmod>" in text(client, "/help/sitemap.xml")
    cache.clear()
    monkeypatch.setattr(maps, "MOST", 2)
    assert places("/help/sitemap.xml") == [f"{site}sitemap-1.xml", f"{site}sitemap-2.xml"]
    assert places("/help/sitemap-2.xml") == articles[2:]
    text(client, "/help/sitemap-3.xml", 404)
    assert f"Sitemap: {site}sitemap.xml" in text(client, "/robots.txt")


def test_long_categories_have_pages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "PAGE", 2)
    shelf = CategoryFactory.create(slug="delivery")
    for n in range(3):
        live(f"Question {n}?", category=shelf)
    assert "Question 2?" not in text(client, "/help/categories/delivery/")
    second = text(client, "/help/categories/delivery/?page=2")
    assert "Question 2?" in second
    assert "Question 0?" not in second
    assert '/help/categories/delivery/?page=2">' in second  # canonical
    for wrong in ("0", "3", "x", "²", "1" * 30):
        text(client, f"/help/categories/delivery/?page={wrong}", 404)


def test_each_language_has_its_pages(client: Client) -> None:
    shelf = CategoryFactory.create(slug="delivery")
    live("Where is my parcel?", category=shelf)
    german = live("Wo ist mein Paket?", category=shelf, language="de", slug="paket")
    english, other = text(client, "/help/"), text(client, "/help/?lang=de")
    assert "Wo ist mein Paket?" not in english
    assert "Where is my parcel?" not in other
    assert 'href="/help/?lang=de" lang="de" hreflang="de">Deutsch</a>' in english
    assert '<link rel="canonical" href="http://localhost:8000/help/?lang=de">' in other
    assert '<article class="help-article" lang="de">' in text(client, f"/help/articles/{german.article.slug}/")
    assert "Wo ist mein Paket?" in text(client, "/help/categories/delivery/?lang=de")
    for wrong in ("fr", "%00", "<b>"):
        text(client, f"/help/?lang={wrong}", 400 if wrong == "%00" else 404)


def test_what_is_asked_often_stands_first(client: Client) -> None:
    from apps.knowledge.calibration import current_settings

    rare, common = live("Rare?"), live("Common?")
    hidden = live("Internal?", audience="internal")
    for version, times in ((rare, 1), (common, 2), (hidden, 3)):
        for _ in range(times):
            AskedQuestion.objects.create(
                text="?", audience="public", source="api", outcome="answered", versions=[version.pk], scores=[1.0],
                confidence=0.9, settings=current_settings(), asked_at=NOW,
            )  # fmt: skip
    page = text(client, "/help/")
    often = page[page.index("Asked often") : page.index("help-shelves")]
    assert often.index("Common?") < often.index("Rare?")
    assert "Internal?" not in often
