"""What is kept of the help centre is gone in the moment in which something that it shows changes, whoever changed it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import cache
from django.db import connections, transaction
from django.test import Client

from apps.core.roles import Role, sync_roles
from apps.knowledge import drafts, reviewing
from apps.knowledge.models import Article, ArticleVersion, SearchIndex, SlugRedirect
from tests.core.factories import person
from tests.knowledge.factories import NOW, ArticleFactory, CategoryFactory, VersionFactory, approved, moved, published

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _begun() -> None:
    """Emptying all tables between tests takes away what migrations put in."""
    cache.clear()
    SearchIndex.objects.get_or_create(pk=1)


@pytest.fixture
def version() -> ArticleVersion:
    article = ArticleFactory.create(slug="parcel", category=CategoryFactory.create(slug="delivery"))
    return published(VersionFactory.create(article=article, title="Where is my parcel?"))


def generation() -> int:
    return SearchIndex.objects.get().generation


def state(path: str) -> tuple[int, str]:
    response = Client().get(path)
    return response.status_code, response.content.decode()


def test_every_page_follows_each_change_at_once(version: ArticleVersion) -> None:
    article, second = version.article, VersionFactory.create(article=version.article, title="Where is it?", number=2)
    pages = ("/help/", "/help/categories/delivery/", "/help/articles/parcel/", "/help/sitemap.xml")

    def change(what: Callable[[], object]) -> dict[str, bool]:
        before = {page: state(page) for page in pages}
        what()
        return {page.split("/")[2]: state(page) != before[page] for page in pages}

    def went_live() -> None:
        with transaction.atomic():
            moved(version, "superseded", closed_at=NOW)
            moved(approved(second), "published", published_at=NOW)

    def changed(**fields: object) -> Callable[[], object]:
        return lambda: Article.objects.filter(pk=article.pk).update(**fields)

    shown = {"": True, "categories": True, "articles": True, "sitemap.xml": False}
    everywhere = shown | {"sitemap.xml": True}
    assert change(went_live) == shown
    assert change(lambda: type(article.category).objects.update(title="Shipping")) == shown
    assert change(changed(audience="internal")) == everywhere
    assert change(changed(audience="public")) == everywhere
    assert change(changed(archived_at=NOW)) == everywhere
    assert change(changed(archived_at=None)) == everywhere
    assert change(changed(slug="package")) == everywhere
    SlugRedirect.objects.create(slug="parcel", article=article, created_at=NOW)
    assert Client().get("/help/articles/parcel/")["Location"] == "/help/articles/package/"


def test_work_on_drafts_leaves_what_is_kept(version: ArticleVersion) -> None:
    before = generation()
    draft = VersionFactory.create(article=version.article, number=2)
    approved(draft)
    Article.objects.update(reminded_on=NOW.date(), edition=7)
    assert generation() == before


def test_a_transaction_counts_once_and_only_if_it_is_kept(version: ArticleVersion) -> None:
    before = generation()
    with transaction.atomic():
        for n in range(5):
            Article.objects.update(language=f"l{n}")
        with transaction.atomic():
            Article.objects.update(language="en", slug="x")
    assert generation() == before + 1
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Article.objects.update(slug="y")
        raise ZeroDivisionError
    assert generation() == before + 1


def test_a_page_made_while_an_article_changes_is_not_kept_as_the_new_one(version: ArticleVersion) -> None:
    """Whoever reads between a change and its commit gets the old page, which is gone with the commit."""

    def read() -> tuple[int, str]:
        try:
            return state("/help/articles/parcel/")
        finally:
            connections.close_all()

    with transaction.atomic():
        Article.objects.update(audience="internal")
        with ThreadPoolExecutor(1) as other:
            assert other.submit(read).result(20)[0] == 200
    assert read()[0] == 404


def test_services_publish_and_take_down_at_once(version: ArticleVersion) -> None:
    sync_roles()
    boss, reviewer = person(Role.SUPPORT_MANAGER), person(Role.SUPPORT_MANAGER)
    path = "/help/articles/parcel/"
    assert "Where is my parcel?" in state(path)[1]
    draft = drafts.new_draft(article_id=version.article_id, actor=boss, now=NOW)
    words = {"title": "Where is my parcel?", "body": "Look at the new page.", "changes": "New page"}
    draft = drafts.edit_draft(version_id=draft.pk, seen_digest=draft.digest, actor=boss, now=NOW, **words)
    reviewing.submit(version_id=draft.pk, seen_digest=draft.digest, actor=boss, now=NOW)
    reviewing.approve(version_id=draft.pk, seen_digest=draft.digest, actor=reviewer, now=NOW)
    assert "new page" not in state(path)[1]
    reviewing.publish(version_id=draft.pk, actor=boss, now=NOW)
    assert "Look at the new page." in state(path)[1]
    reviewing.archive(article_id=version.article_id, reason="No more parcels", actor=boss, now=NOW)
    assert state(path)[0] == 404


def test_changes_at_the_same_time_do_not_wait_for_each_other_in_circles(version: ArticleVersion) -> None:
    """The one row is locked last of all, so two who change two articles the other way round do not deadlock over it."""

    def free() -> int:
        try:
            with transaction.atomic():
                return len(SearchIndex.objects.select_for_update(skip_locked=True))
        finally:
            connections.close_all()

    with transaction.atomic():
        Article.objects.filter(pk=version.article_id).update(slug="package")
        with ThreadPoolExecutor(1) as other:
            assert other.submit(free).result(20) == 1
