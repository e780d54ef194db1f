"""Stale articles open cards, and the cards go when the articles are well again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.actions.models import ActionCard
from apps.actions.rules import Hit, Subjects
from apps.actions.runs import run_rules
from apps.core.roles import Role
from apps.knowledge import keeping
from apps.knowledge.calibration import current_settings
from apps.knowledge.detectors import contradicting_articles, past_review, unhelpful_article
from apps.knowledge.models import Article, ArticleFeedback, ArticleVersion, AskedQuestion, Question
from apps.knowledge.search import passages
from tests.core.factories import ScopeFactory, person
from tests.knowledge.factories import NOW, ArticleFactory, VersionFactory, moved, published

pytestmark = pytest.mark.django_db
TODAY = NOW.date()
DAY = timedelta(days=1)


def live(title: str = "Where is my parcel?", body: str = "Words.", **article: Any) -> ArticleVersion:
    return published(VersionFactory.create(article=ArticleFactory.create(**article), title=title, body=body))


def hits(module: Any, subjects: set[str] | None = None, **settings: Any) -> list[Hit]:
    which = None if subjects is None else Subjects(frozenset(subjects))
    return list(module.detect(now=NOW, settings=module.Settings(**settings), subjects=which))


def test_a_review_that_is_late_opens_a_card() -> None:
    scope = ScopeFactory.create()
    late = live(next_review_on=TODAY - 8 * DAY, scope=scope)
    later = live(next_review_on=TODAY - 46 * DAY)
    live(next_review_on=TODAY - 7 * DAY)  # its owner is still being reminded
    live(next_review_on=TODAY - 90 * DAY, archived_at=NOW)
    VersionFactory.create(article=ArticleFactory.create(next_review_on=TODAY - 90 * DAY))  # nobody reads a draft
    first, second = hits(past_review)
    assert (first.subject, first.scope_id, first.tier) == (f"article:{late.article_id}", scope.pk, "low")
    assert (second.subject, second.tier) == (f"article:{later.article_id}", "safety")
    assert first.data["reviewDue"] == "2026-02-22"
    assert "was to be reviewed by 2026-02-22" in first.draft
    assert [one.subject for one in hits(past_review, {f"article:{later.article_id}"})] == [second.subject]
    assert len(hits(past_review, grace_days=0)) == 3


def test_the_card_resolves_itself_when_the_article_is_confirmed() -> None:
    version = live(next_review_on=TODAY - 8 * DAY)

    def sweep(days: int) -> list[str]:
        run_rules(now=NOW + days * DAY, trigger="schedule", rules=["article-past-review"])
        return list(ActionCard.objects.order_by("pk").values_list("status", flat=True))

    assert sweep(0) == ["open"]
    card = ActionCard.objects.get()
    assert (card.kind, card.risk_tier, card.can_execute) == ("content-alert", "low", False)
    assert sweep(1) == ["open"]
    card.refresh_from_db()
    assert card.version == 1  # a day later nothing about it is different
    keeping.confirm(article_id=version.article_id, actor=person(Role.SUPPORT_DIRECTOR), now=NOW)
    assert sweep(2) == ["resolved"]


def vote(version: ArticleVersion, yes: int, no: int, reason: str = "", days: int = 1) -> None:
    for n in range(yes + no):
        ArticleFeedback.objects.create(
            version=version,
            helpful=n < yes,
            reason="" if n < yes else reason,
            visitor=f"{n}-{days}",
            given_at=NOW - days * DAY,
        )


def ask(version: ArticleVersion, answered: int, refused: int) -> None:
    for n in range(answered):
        AskedQuestion.objects.create(
            text="?", audience="public", source="help_centre", outcome="unhelpful" if n < refused else "answered",
            versions=[version.pk], scores=[1.0], confidence=0.9, settings=current_settings(), asked_at=NOW - DAY,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (lambda v: vote(v, 2, 8), True),
        (lambda v: vote(v, 4, 6), False),  # too few votes for so near a share
        (lambda v: vote(v, 40, 60), True),
        (lambda v: vote(v, 0, 7), False),
        (lambda v: vote(v, 0, 8), True),
        (lambda v: vote(v, 60, 40), False),
        (lambda v: vote(v, 0, 50, days=91), False),
        (lambda v: ask(v, 10, 6), True),
        (lambda v: ask(v, 10, 3), False),
        (lambda v: ask(v, 7, 7), False),
    ],
)
def test_an_article_that_surely_does_not_help_opens_a_card(said: Callable[[ArticleVersion], None], found: bool) -> None:
    version = live()
    said(version)
    assert bool(hits(unhelpful_article)) is found


def test_the_card_says_what_readers_said() -> None:
    version = live()
    vote(version, 1, 9, "wrong")
    vote(version, 0, 2, "unclear", days=2)
    (hit,) = hits(unhelpful_article)
    assert hit.draft == "“Where is my parcel?” (version 1) does not help. 11 of 12 readers say that it did not help."
    assert "9 call it wrong or out of date" in hit.rationale
    assert (hit.tier, hit.data["reasons"]) == ("safety", {"unclear": 2, "wrong": 9})
    assert hit.observed_at == NOW - DAY


def test_a_new_version_starts_anew() -> None:
    version = live()
    vote(version, 0, 20)
    assert len(hits(unhelpful_article)) == 1
    moved(version, "superseded", closed_at=NOW)
    published(VersionFactory.create(article=version.article, number=2))
    assert hits(unhelpful_article) == []


def test_wilsons_interval() -> None:
    assert unhelpful_article.wilson(0, 0) == (0.0, 1.0)
    low, high = unhelpful_article.wilson(5, 10)
    assert (round(low, 3), round(high, 3)) == (0.269, 0.731)


def indexed(*versions: ArticleVersion) -> None:
    passages.index([version.article_id for version in versions])


def test_articles_that_contradict_each_other_open_one_card() -> None:
    one = live("How do I return something?", "You can return articles within 14 days.")
    other = live("How can I return an article?", "Please print the label. You can return articles within 30 days.")
    third = live("Can I pay by invoice?", "You can pay within 30 days.")
    indexed(one, other, third)
    (hit,) = hits(contradicting_articles)
    assert hit.subject == f"articles:{one.article_id}-{other.article_id}"
    assert hit.data["says"] == ["You can return articles within 14 days.", "You can return articles within 30 days."]
    assert (hit.tier, hit.confidence) == ("safety", Decimal("0.7"))
    assert hits(contradicting_articles, {f"article:{third.article_id}"}) == []
    assert len(hits(contradicting_articles, {f"article:{other.article_id}"})) == 1
    Article.objects.filter(pk=one.article_id).update(audience="internal")
    assert [found.tier for found in hits(contradicting_articles)] == ["low"]
    Article.objects.filter(pk=one.article_id).update(archived_at=NOW)
    assert hits(contradicting_articles) == []


def test_other_ways_to_ask_are_compared_too() -> None:
    one = live("Returns", "You can return articles within 14 days.")
    Question.objects.create(article=one.article, text="How long can I send it back?", added_at=NOW)
    other = live("How long can I send it back?", "You can return articles within 30 days.")
    indexed(one, other)
    assert len(hits(contradicting_articles)) == 1


def test_shops_of_their_own_may_have_rules_of_their_own() -> None:
    texts = [("How do I return something?", f"You can return articles within {n} days.") for n in (14, 30)]
    versions = [live(*text, scope=ScopeFactory.create()) for text in texts]
    german = live(texts[0][0], "You can return articles within 60 days.", language="de")
    indexed(*versions, german)
    assert hits(contradicting_articles) == []


def test_twins_that_agree_are_nobodys_concern() -> None:
    indexed(*(live("How do I return something?", "You can return it within 14 days.") for _ in range(2)))
    assert hits(contradicting_articles) == []
