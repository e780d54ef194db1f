"""From a draft to readers: who may, in which order, and what is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection

from apps.core.models import Decision, Notification, User
from apps.core.roles import Role, sync_roles
from apps.knowledge import drafts, keeping, reviewing, rights
from apps.knowledge.indexing import index_left
from apps.knowledge.models import Article, ArticleVersion, Passage, SlugRedirect
from apps.knowledge.refusals import (
    ArticleChanged,
    ArticleNotFound,
    DraftExists,
    InvalidArticle,
    NotAllowed,
    OwnVersion,
    SlugTaken,
    VersionChanged,
    WrongState,
)
from tests.core.factories import ScopeFactory
from tests.knowledge.factories import NOW, CategoryFactory, PersonFactory

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(days=1)


def person(role: Role) -> User:
    found = PersonFactory.create()
    found.groups.add(Group.objects.get(name=role.value))
    return found


@pytest.fixture
def olga() -> User:
    """Owns articles."""
    return person(Role.CONTENT_OWNER)


@pytest.fixture
def remy() -> User:
    """Owns others, and reviews."""
    return person(Role.CONTENT_OWNER)


@pytest.fixture
def draft(olga: User) -> ArticleVersion:
    return drafts.create_article(
        category=CategoryFactory.create(), title="Where is my parcel?", body="Look here.", actor=olga, now=NOW
    )


def submitted(version: ArticleVersion) -> ArticleVersion:
    return reviewing.submit(version_id=version.pk, seen_digest=version.digest, actor=version.author, now=NOW)


def approved(version: ArticleVersion, reviewer: User) -> ArticleVersion:
    submitted(version)
    return reviewing.approve(version_id=version.pk, seen_digest=version.digest, actor=reviewer, now=NOW)


def live(version: ArticleVersion, reviewer: User) -> ArticleVersion:
    approved(version, reviewer)
    return reviewing.publish(version_id=version.pk, actor=version.author, now=NOW)


def states(article: Article) -> list[str]:
    return list(article.versions.order_by("number").values_list("state", flat=True))


def test_a_draft_is_reviewed_by_another_and_goes_live(draft: ArticleVersion, remy: User) -> None:
    live(draft, remy)
    assert states(draft.article) == ["published"]
    assert Notification.objects.filter(recipient=remy, title__startswith="To review").count() == 1
    assert Notification.objects.filter(recipient=draft.author, title__startswith="Approved").count() == 1
    actions = Decision.objects.filter(scope="knowledge").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["version_approved", "version_published"]
    assert Article.objects.get().next_review_on == (NOW + timedelta(days=180)).date()


def test_a_draft_lives_beside_the_live_version_and_replaces_it_at_once(draft: ArticleVersion, remy: User) -> None:
    live(draft, remy)
    second = drafts.new_draft(article_id=draft.article_id, actor=draft.author, now=LATER)
    changed = drafts.edit_draft(
        version_id=second.pk, seen_digest=second.digest, title="Where is it?", body="There.", changes="Shorter",
        actor=draft.author, now=LATER,
    )  # fmt: skip
    assert states(draft.article) == ["published", "draft"]
    live(changed, remy)
    assert states(draft.article) == ["superseded", "published"]


def test_going_back_is_a_new_draft_with_the_former_words(draft: ArticleVersion, remy: User) -> None:
    live(draft, remy)
    second = drafts.new_draft(article_id=draft.article_id, actor=draft.author, now=LATER)
    newer = drafts.edit_draft(
        version_id=second.pk, seen_digest=second.digest, title="Other", body="Other", changes="Other",
        actor=draft.author, now=LATER,
    )  # fmt: skip
    live(newer, remy)
    third = drafts.new_draft(article_id=draft.article_id, actor=draft.author, now=LATER, like=1)
    assert (third.number, third.title, third.body) == (3, "Where is my parcel?", "Look here.")


def test_nobody_approves_what_changed_since_it_was_looked_at(draft: ArticleVersion, remy: User) -> None:
    seen = draft.digest
    submitted(draft)
    reviewing.withdraw(version_id=draft.pk, actor=draft.author, now=NOW)
    newer = drafts.edit_draft(
        version_id=draft.pk,
        seen_digest=seen,
        title="Where?",
        body="Elsewhere.",
        changes="x",
        actor=draft.author,
        now=NOW,
    )
    submitted(newer)
    with pytest.raises(VersionChanged) as refused:
        reviewing.approve(version_id=draft.pk, seen_digest=seen, actor=remy, now=NOW)
    assert refused.value.digest == newer.digest


def test_two_editors_of_one_draft_do_not_write_over_each_other(draft: ArticleVersion) -> None:
    seen = draft.digest
    words = {"title": "A", "body": "B", "changes": "C"}
    drafts.edit_draft(version_id=draft.pk, seen_digest=seen, actor=draft.author, now=NOW, **words)
    with pytest.raises(VersionChanged):
        drafts.edit_draft(version_id=draft.pk, seen_digest=seen, actor=draft.author, now=NOW, **words)


def test_the_author_does_not_review(draft: ArticleVersion) -> None:
    submitted(draft)
    with pytest.raises(OwnVersion):
        reviewing.approve(version_id=draft.pk, seen_digest=draft.digest, actor=draft.author, now=NOW)


def test_only_those_asked_by_name_review(draft: ArticleVersion, olga: User, remy: User) -> None:
    named = person(Role.CONTENT_OWNER)
    drafts.change_details(
        article_id=draft.article_id, seen_edition=1, changes={}, reviewers=[named], actor=olga, now=NOW
    )
    submitted(draft)
    with pytest.raises(NotAllowed):
        reviewing.approve(version_id=draft.pk, seen_digest=draft.digest, actor=remy, now=NOW)
    reviewing.approve(version_id=draft.pk, seen_digest=draft.digest, actor=named, now=NOW)


@pytest.mark.parametrize("why", ["left", "wrote it"])
def test_a_named_reviewer_who_cannot_review_keeps_nobody_from_it(
    draft: ArticleVersion, olga: User, remy: User, why: str
) -> None:
    named = person(Role.CONTENT_OWNER) if why == "left" else olga
    drafts.change_details(
        article_id=draft.article_id, seen_edition=1, changes={}, reviewers=[named], actor=olga, now=NOW
    )
    if why == "left":
        assert not rights.may_review(remy, draft)
        User.objects.filter(pk=named.pk).update(is_active=False)
    submitted(draft)
    assert list(ArticleVersion.objects.to_review(remy)) == [draft]
    assert not ArticleVersion.objects.to_review(olga)
    assert Notification.objects.filter(recipient=remy, title__startswith="To review").exists()
    reviewing.approve(version_id=draft.pk, seen_digest=draft.digest, actor=remy, now=NOW)


def test_a_version_sent_back_is_a_draft_again_and_a_rejected_one_is_closed(draft: ArticleVersion, remy: User) -> None:
    submitted(draft)
    facts = {"version_id": draft.pk, "seen_digest": draft.digest, "actor": remy, "now": NOW}
    with pytest.raises(InvalidArticle):
        reviewing.send_back(reason=" ", **facts)
    reviewing.send_back(reason="Say when.", **facts)
    assert states(draft.article) == ["draft"]
    assert Notification.objects.filter(recipient=draft.author, body="Say when.").exists()
    submitted(draft)
    reviewing.send_back(reason="No.", final=True, **facts)
    drafts.new_draft(article_id=draft.article_id, actor=draft.author, now=NOW)
    assert states(draft.article) == ["rejected", "draft"]


def test_there_is_one_draft_at_a_time(draft: ArticleVersion) -> None:
    with pytest.raises(DraftExists):
        drafts.new_draft(article_id=draft.article_id, actor=draft.author, now=NOW)


def test_a_scheduled_version_goes_live_at_its_time_and_not_before(draft: ArticleVersion, remy: User) -> None:
    live(draft, remy)
    second = drafts.new_draft(article_id=draft.article_id, actor=draft.author, now=NOW)
    approved(second, remy)
    with pytest.raises(InvalidArticle):
        reviewing.schedule(version_id=second.pk, publish_at=NOW, actor=draft.author, now=NOW)
    reviewing.schedule(version_id=second.pk, publish_at=LATER, actor=draft.author, now=NOW)
    assert reviewing.publish_due(NOW) == 0
    assert states(draft.article) == ["published", "approved"]
    assert reviewing.publish_due(LATER) == 1
    assert reviewing.publish_due(LATER) == 0
    assert states(draft.article) == ["superseded", "published"]


def test_an_archived_article_is_taken_down_and_can_be_taken_up_again(draft: ArticleVersion, remy: User) -> None:
    live(draft, remy)
    reviewing.archive(article_id=draft.article_id, reason="No parcels any more", actor=draft.author, now=NOW)
    assert states(draft.article) == ["archived"]
    with pytest.raises(WrongState):
        drafts.new_draft(article_id=draft.article_id, actor=draft.author, now=NOW)
    reviewing.restore(article_id=draft.article_id, actor=draft.author, now=NOW)
    again = drafts.new_draft(article_id=draft.article_id, actor=draft.author, now=NOW)
    live(again, remy)
    assert states(draft.article) == ["archived", "published"]


def test_an_archived_article_does_not_come_back_by_its_schedule(draft: ArticleVersion, remy: User) -> None:
    live(draft, remy)
    second = drafts.new_draft(article_id=draft.article_id, actor=draft.author, now=NOW)
    approved(second, remy)
    reviewing.schedule(version_id=second.pk, publish_at=LATER, actor=draft.author, now=NOW)
    reviewing.archive(article_id=draft.article_id, reason="No parcels any more", actor=draft.author, now=NOW)
    assert reviewing.publish_due(LATER) == 0
    with pytest.raises(WrongState):
        reviewing.publish(version_id=second.pk, actor=draft.author, now=LATER)
    with pytest.raises(WrongState):
        reviewing.schedule(version_id=second.pk, publish_at=LATER + timedelta(days=1), actor=draft.author, now=LATER)
    reviewing.restore(article_id=draft.article_id, actor=draft.author, now=LATER)
    assert reviewing.publish_due(LATER) == 0, "the schedule ended with the article"
    reviewing.publish(version_id=second.pk, actor=draft.author, now=LATER)
    assert states(draft.article) == ["archived", "published"]


def test_one_publication_that_fails_stops_no_other(
    draft: ArticleVersion, remy: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = drafts.create_article(
        category=draft.article.category, title="Another one?", body="Yes.", actor=draft.author, now=NOW
    )
    for version in (draft, other):
        approved(version, remy)
        reviewing.schedule(version_id=version.pk, publish_at=LATER, actor=draft.author, now=NOW)
    goes_live = reviewing._go_live

    def broken(version: ArticleVersion, *args: Any) -> ArticleVersion:
        if version.pk == draft.pk:
            raise IntegrityError("broken")
        return goes_live(version, *args)

    monkeypatch.setattr(reviewing, "_go_live", broken)
    assert reviewing.publish_due(LATER) == 1
    assert (states(draft.article), states(other.article)) == (["approved"], ["published"])
    monkeypatch.setattr(reviewing, "_go_live", goes_live)
    assert reviewing.publish_due(LATER) == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_reviewers_at_once_one_approves() -> None:
    sync_roles()  # a flush between tests takes the roles away
    olga, remy, rosa = (person(Role.CONTENT_OWNER) for _ in range(3))
    draft = drafts.create_article(category=CategoryFactory.create(), title="A?", body="B.", actor=olga, now=NOW)
    reviewing.submit(version_id=draft.pk, seen_digest=draft.digest, actor=draft.author, now=NOW)
    barrier, said = threading.Barrier(2), []

    def decide(who: User) -> None:
        barrier.wait()
        try:
            reviewing.approve(version_id=draft.pk, seen_digest=draft.digest, actor=who, now=NOW)
            said.append("approved")
        except WrongState:
            said.append("late")
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=(who,)) for who in (remy, rosa)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == ["approved", "late"]
    assert Decision.objects.filter(action="version_approved").count() == 1


def test_what_went_live_is_indexed_even_if_its_task_was_lost(draft: ArticleVersion, remy: User) -> None:
    live(draft, remy)
    assert not Passage.objects.exists()
    assert index_left() == 1
    assert Passage.objects.filter(version=draft).count() == 2
    assert index_left() == 0


DONE_TO_ANOTHERS: dict[str, Callable[[ArticleVersion, User], Any]] = {
    "edit": lambda version, who: drafts.edit_draft(
        version_id=version.pk, seen_digest=version.digest, title="A", body="B", changes="C", actor=who, now=NOW
    ),
    "submit": lambda version, who: reviewing.submit(
        version_id=version.pk, seen_digest=version.digest, actor=who, now=NOW
    ),
    "details": lambda version, who: drafts.change_details(
        article_id=version.article_id, seen_edition=1, changes={"tags": ["x"]}, actor=who, now=NOW
    ),
    "archive": lambda version, who: reviewing.archive(article_id=version.article_id, reason="x", actor=who, now=NOW),
    "reassign": lambda version, who: keeping.reassign(
        article_id=version.article_id, owner=who, reason="x", actor=who, now=NOW
    ),
}


@pytest.mark.parametrize("verb", DONE_TO_ANOTHERS)
@pytest.mark.parametrize("role", [Role.CONTENT_OWNER, Role.SUPPORT_AGENT, Role.AUDITOR, Role.OPERATOR])
def test_others_do_not_change_an_article(draft: ArticleVersion, verb: str, role: Role) -> None:
    with pytest.raises(NotAllowed):
        DONE_TO_ANOTHERS[verb](draft, person(role))


@pytest.mark.parametrize("verb", [verb for verb in DONE_TO_ANOTHERS if verb != "archive"])
def test_a_manager_may_change_any_article(draft: ArticleVersion, verb: str) -> None:
    assert DONE_TO_ANOTHERS[verb](draft, person(Role.SUPPORT_MANAGER))


def test_an_article_of_another_scope_does_not_exist(draft: ArticleVersion) -> None:
    Article.objects.filter(pk=draft.article_id).update(scope=ScopeFactory.create())
    with pytest.raises(ArticleNotFound):
        drafts.comment(version_id=draft.pk, text="Hello", actor=person(Role.CONTENT_OWNER), now=NOW)


def test_whoever_rewrites_anothers_draft_is_its_author(draft: ArticleVersion, olga: User) -> None:
    manager = person(Role.SUPPORT_MANAGER)
    newer = DONE_TO_ANOTHERS["edit"](draft, manager)
    assert newer.author == manager
    submitted_one = reviewing.submit(version_id=newer.pk, seen_digest=newer.digest, actor=olga, now=NOW)
    with pytest.raises(OwnVersion):
        reviewing.approve(version_id=newer.pk, seen_digest=submitted_one.digest, actor=manager, now=NOW)


@pytest.mark.parametrize(
    ("field", "words"),
    [("title", ""), ("title", "x" * 201), ("body", " "), ("body", "x" * 100_001), ("changes", ""), ("body", "a\x00b")],
)
def test_words_that_do_not_fit_are_refused_by_name(draft: ArticleVersion, field: str, words: str) -> None:
    facts = {"title": "A", "body": "B", "changes": "C"} | {field: words}
    with pytest.raises(InvalidArticle) as refused:
        drafts.edit_draft(version_id=draft.pk, seen_digest=draft.digest, actor=draft.author, now=NOW, **facts)
    assert set(refused.value.fields) == {field}


def test_a_former_address_goes_on_leading_to_the_article(draft: ArticleVersion, olga: User) -> None:
    def moved(slug: str, edition: int) -> Article:
        return drafts.change_details(
            article_id=draft.article_id, seen_edition=edition, changes={"slug": slug}, actor=olga, now=NOW
        )

    moved("parcels", 1)
    assert SlugRedirect.objects.get().slug == "where-is-my-parcel"
    with pytest.raises(ArticleChanged):
        moved("late", 1)
    with pytest.raises(InvalidArticle):
        moved("Not a slug!", 2)
    moved("where-is-my-parcel", 2)
    assert SlugRedirect.objects.get().slug == "parcels"
    other = drafts.create_article(category=draft.article.category, title="Parcels", body="x", actor=olga, now=NOW)
    assert other.article.slug == "parcels-2"
    with pytest.raises(SlugTaken):
        drafts.create_article(
            category=draft.article.category, title="Parcels", body="x", slug="parcels", actor=olga, now=NOW
        )


def test_owners_are_reminded_ahead_on_the_day_and_weekly_after(draft: ArticleVersion, remy: User) -> None:
    live(draft, remy)
    due = NOW + timedelta(days=180)
    told = [days for days in range(-20, 30) if keeping.remind(due + timedelta(days=days))]
    assert told == [-14, -3, 0, 7, 14, 21, 28]


def test_a_reminder_that_was_missed_is_made_up_for_once(draft: ArticleVersion, remy: User) -> None:
    live(draft, remy)
    due = NOW + timedelta(days=180)
    assert keeping.remind(due - timedelta(days=10)) == 1
    assert keeping.remind(due - timedelta(days=10)) == 0
    assert keeping.remind(due - timedelta(days=9)) == 0


def test_confirming_that_it_is_true_begins_a_new_interval(draft: ArticleVersion, remy: User) -> None:
    with pytest.raises(WrongState):
        keeping.confirm(article_id=draft.article_id, actor=draft.author, now=NOW)
    live(draft, remy)
    keeping.confirm(article_id=draft.article_id, actor=draft.author, now=LATER)
    assert Article.objects.get().next_review_on == (LATER + timedelta(days=180)).date()


def test_no_article_is_left_without_an_owner(draft: ArticleVersion, olga: User, remy: User) -> None:
    assert keeping.reassign_left(NOW) == 0
    olga.is_active = False
    olga.save()
    assert keeping.reassign_left(NOW) == 1
    assert Article.objects.get().owner == remy
    assert Notification.objects.filter(recipient=remy, title__startswith="You own now").exists()
    assert not Article.objects.ownerless().exists()
