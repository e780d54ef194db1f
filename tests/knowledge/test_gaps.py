"""Questions that nobody answered come together, are ranked, and close when they are answered."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache

from apps.core.roles import Role
from apps.knowledge import gaps
from apps.knowledge.answers import answer
from apps.knowledge.models import AskedQuestion, Gap
from apps.knowledge.refusals import NotAllowed, WrongState
from apps.knowledge.search import passages
from apps.knowledge.search.embedding import DELIVERED, EmbeddingFailed
from apps.knowledge.search.retrieve import Reader
from tests.knowledge.factories import NOW, CategoryFactory, PersonFactory, VersionFactory, moved, published

pytestmark = pytest.mark.django_db
GIFTS = ["Do you sell gift cards?", "can I buy a gift card", "Is there a gift card I can buy here?"]
JOBS = ["Are you hiring?", "Are you hiring at the moment?"]


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


def ask(text: str, customer: str = "", days: int = 0) -> AskedQuestion:
    said = answer(text, reader=Reader(), source="help_centre", customer=customer, now=NOW + timedelta(days=days))
    return AskedQuestion.objects.get(pk=said.asked)


def test_questions_that_mean_the_same_are_one_gap_ranked_by_customers() -> None:
    for n, text in enumerate(JOBS + GIFTS):
        ask(text, customer=f"customer{n}")
    assert gaps.collect() == 5
    assert gaps.collect() == 0
    found = Gap.objects.all()
    assert [(gap.questions, gap.customers) for gap in found] == [(3, 3), (2, 2)]
    assert found[0].title in GIFTS
    assert found[1].title in JOBS


def test_one_customer_who_asks_often_counts_once() -> None:
    for text in GIFTS:
        ask(text, customer="ann")
    gaps.collect()
    assert Gap.objects.values_list("questions", "customers").get() == (3, 1)


def test_answered_questions_and_attacks_are_no_gaps() -> None:
    AskedQuestion.objects.filter(pk=ask(GIFTS[0]).pk).update(outcome="answered")
    AskedQuestion.objects.filter(pk=ask(JOBS[0]).pk).update(attack=True)
    assert gaps.collect() == 0


def test_a_gap_closes_when_it_is_answered_and_opens_when_it_is_missed_again() -> None:
    for text in GIFTS:
        ask(text)
    gaps.collect()
    assert gaps.recheck(NOW) == 0
    version = published(VersionFactory.create(title="Do you sell gift cards?", body="Yes, from 10 EUR."))
    passages.index([version.article_id])
    assert gaps.recheck(NOW + timedelta(days=1)) == 1
    assert Gap.objects.get().state == "closed"
    AskedQuestion.objects.filter(pk=ask("do you sell a gift card", days=2).pk).update(outcome="unhelpful")
    gaps.collect()
    gap = Gap.objects.get()
    assert (gap.state, gap.reopened, gap.questions) == ("open", 1, 4)


def test_an_article_begins_with_what_was_asked_and_replied() -> None:
    for text in GIFTS:
        ask(text)
    gaps.collect()
    writer = PersonFactory.create()
    facts = {"gap_id": Gap.objects.get().pk, "category": CategoryFactory.create(), "now": NOW}
    with pytest.raises(NotAllowed):
        gaps.draft_article(actor=writer, **facts)
    writer.groups.add(Group.objects.get(name=Role.CONTENT_OWNER.value))
    writer = type(writer).objects.get(pk=writer.pk)
    version = gaps.draft_article(actor=writer, replies=["Yes, in the shop."], **facts)
    assert version.title in GIFTS
    assert set(version.article.questions.values_list("text", flat=True)) == set(GIFTS)
    assert "> Yes, in the shop." in version.body
    assert Gap.objects.get().article == version.article
    with pytest.raises(WrongState):
        gaps.draft_article(actor=writer, **facts)


def test_without_the_model_questions_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    ask(GIFTS[0])
    with monkeypatch.context() as patch:
        patch.setattr(gaps, "model_in_use", lambda: None)
        assert gaps.collect() == 0
    assert gaps.collect() == 1


def test_a_closed_gap_opens_again_when_its_article_is_taken_down() -> None:
    for text in GIFTS:
        ask(text)
    gaps.collect()
    version = published(VersionFactory.create(title="Do you sell gift cards?", body="Yes, from 10 EUR."))
    passages.index([version.article_id])
    assert gaps.recheck(NOW) == 1
    assert gaps.recheck(NOW) == 0
    assert Gap.objects.get().state == "closed"
    moved(version, "archived")
    passages.index([version.article_id])
    gaps.recheck(NOW + timedelta(days=1))
    assert Gap.objects.values_list("state", "reopened", "closed_at").get() == ("open", 1, None)


def test_gaps_of_a_former_model_go_on_with_the_new_one() -> None:
    for text in GIFTS:
        ask(text, customer="ann")
    gaps.collect()
    Gap.objects.update(model="former", centre=[0.05] * 384)
    ask("do you have gift cards", customer="bob")
    assert gaps.collect() == 1
    assert Gap.objects.values_list("questions", "customers", "model").get() == (4, 2, DELIVERED)


def test_a_model_that_fails_lets_questions_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(texts: object) -> None:
        raise EmbeddingFailed("out of order")

    fails.name = DELIVERED  # type: ignore[attr-defined]
    ask(GIFTS[0])
    with monkeypatch.context() as patch:
        patch.setattr(gaps, "model_in_use", lambda: fails)
        assert gaps.collect() == 0
    assert gaps.collect() == 1
