"""The rules of versions hold in the database, whatever writes to it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from apps.knowledge.models import Article, ArticleVersion
from tests.knowledge.factories import NOW, ArticleFactory, PersonFactory, VersionFactory, approved, moved, published

pytestmark = pytest.mark.django_db
State = ArticleVersion.State
WAYS = {
    ("draft", "in_review"),
    ("in_review", "draft"),
    ("in_review", "approved"),
    ("in_review", "rejected"),
    ("approved", "published"),
    ("approved", "draft"),
    ("published", "superseded"),
    ("published", "archived"),
}


def in_state(state: str) -> ArticleVersion:
    """A version that came to a state the allowed way."""
    version = VersionFactory.create()
    if state in ("in_review", "rejected"):
        moved(version, "in_review", submitted_at=NOW)
    if state == "approved":
        approved(version)
    if state in ("published", "superseded", "archived"):
        published(version)
    if state in ("rejected", "superseded", "archived"):
        moved(version, state)
    version.refresh_from_db()
    assert version.state == state
    return version


def refused(version: ArticleVersion, **fields: Any) -> bool:
    """Whether the database refuses an update."""
    try:
        with transaction.atomic():
            ArticleVersion.objects.filter(pk=version.pk).update(**fields)
    except IntegrityError:
        return True
    return False


@pytest.mark.parametrize("former", State.values)
@pytest.mark.parametrize("state", State.values)
def test_only_these_ways_lead_from_state_to_state(former: str, state: str) -> None:
    if former == state:
        return
    version = in_state(former)
    facts: dict[str, Any] = {"published_at": NOW} if state in ("published", "superseded", "archived") else {}
    if state == "approved":
        facts = {"reviewer": PersonFactory.create(), "approved_digest": version.digest}
    assert refused(version, state=state, **facts) is ((former, state) not in WAYS)


@pytest.mark.parametrize("state", [state for state in State.values if state != "draft"])
@pytest.mark.parametrize("field", ["title", "body", "changes"])
def test_only_a_draft_can_be_rewritten(state: str, field: str) -> None:
    assert refused(in_state(state), **{field: "Other words"})
    assert not refused(in_state("draft"), **{field: "Other words"})


@pytest.mark.parametrize("state", ["superseded", "rejected", "archived"])
def test_a_closed_version_is_frozen_in_all_it_says(state: str) -> None:
    version = in_state(state)
    assert refused(version, reason="Rewritten")
    assert refused(version, updated_at="2030-01-01T00:00Z")


@pytest.mark.parametrize("state", ["approved", "published"])
def test_who_approved_it_and_when_does_not_change(state: str) -> None:
    version = in_state(state)
    assert refused(version, reviewer=PersonFactory.create())
    assert refused(version, reviewed_at="2030-01-01T00:00Z")
    if state == "approved":
        facts = {"reviewer": PersonFactory.create(), "state": "published", "published_at": NOW}
        assert refused(version, **facts)
        assert not refused(version, publish_at=NOW)


@pytest.mark.parametrize("fields", [{"closed_at": NOW}, {"reason": "x"}, {"updated_at": "2030-01-01T00:00Z"}])
def test_a_live_version_changes_in_nothing_but_its_end(fields: dict[str, Any]) -> None:
    version = in_state("published")
    assert refused(version, **fields)
    assert not refused(version, state="superseded", closed_at=NOW)


def test_that_a_version_was_in_review_is_not_forgotten() -> None:
    version = in_state("in_review")
    assert refused(version, submitted_at=None)
    moved(version, "draft")
    assert refused(version, submitted_at=None)


@pytest.mark.parametrize("fields", [{"audience": "all"}, {"review_every_days": 0}, {"slug": ""}, {"owner": None}])
def test_an_article_has_an_audience_a_rhythm_an_address_and_an_owner(fields: dict[str, Any]) -> None:
    article = ArticleFactory.create()
    with pytest.raises(IntegrityError), transaction.atomic():
        Article.objects.filter(pk=article.pk).update(**fields)


def test_a_version_begins_as_a_draft() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        VersionFactory.create(state="published", published_at=NOW)


def test_the_reviewer_is_not_the_author() -> None:
    version = in_state("in_review")
    assert refused(version, state="approved", reviewer=version.author, approved_digest=version.digest)


def test_an_approval_is_of_the_text_as_it_is() -> None:
    version = in_state("in_review")
    assert refused(version, state="approved", reviewer=PersonFactory.create(), approved_digest="0" * 64)
    assert refused(version, state="approved", reviewer=PersonFactory.create(), approved_digest="")


def test_a_digest_cannot_be_written_by_hand() -> None:
    version = in_state("draft")
    ArticleVersion.objects.filter(pk=version.pk).update(digest="0" * 64)
    version.refresh_from_db()
    assert version.digest != "0" * 64


def test_an_article_has_one_published_version() -> None:
    first = in_state("published")
    second = approved(VersionFactory.create(article=first.article))
    assert refused(second, state="published", published_at=NOW)
    moved(first, "superseded")
    assert not refused(second, state="published", published_at=NOW)


def test_bulk_updates_are_held_to_the_same_rules() -> None:
    version = in_state("published")
    version.body = "Rewritten in bulk"
    with pytest.raises(IntegrityError), transaction.atomic():
        ArticleVersion.objects.bulk_update([version], ["body"])


@pytest.mark.parametrize("state", [state for state in State.values if state != "draft"])
def test_what_was_submitted_is_not_deleted(state: str) -> None:
    version = in_state(state)
    with pytest.raises(IntegrityError), transaction.atomic():
        ArticleVersion.objects.filter(pk=version.pk).delete()


def test_a_draft_that_nobody_saw_can_be_deleted() -> None:
    version = in_state("draft")
    version.delete()
    assert not ArticleVersion.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_publications_at_once_leave_one_live() -> None:
    article = ArticleFactory.create()
    live = published(VersionFactory.create(article=article))
    moved(live, "superseded")
    ready = approved(VersionFactory.create(article=article))
    other = ArticleVersion.objects.get(pk=ready.pk)
    barrier, failed = threading.Barrier(2), []

    def publish(version: ArticleVersion) -> None:
        barrier.wait()
        try:
            with transaction.atomic():
                held = ArticleVersion.objects.filter(pk=version.pk, state="approved")
                if not held.update(state="published", published_at=NOW):
                    failed.append("late")
        except IntegrityError:
            failed.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=publish, args=(version,)) for version in (ready, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 1
    assert ArticleVersion.objects.filter(article=article, state="published").count() == 1
