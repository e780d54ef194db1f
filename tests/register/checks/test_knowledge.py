"""The checks of articles and of their search pass, warn and fail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.core.cache import cache

from apps.knowledge import answers
from apps.knowledge.checks import embedding_model
from apps.knowledge.models import Article, ArticleVersion, AskedQuestion, Passage, PassageVector, SearchIndex
from apps.knowledge.search import passages
from tests.knowledge.factories import ArticleFactory, PersonFactory, VersionFactory, published
from tests.register.looking import NOON, look

pytestmark = pytest.mark.django_db
TODAY = NOON.date()


def test_articles_belong_to_somebody_and_are_reviewed() -> None:
    assert look("articles-kept").outcome == "warn"  # there is none
    article = ArticleFactory.create(next_review_on=TODAY)
    assert look("articles-kept").outcome == "pass"
    article.next_review_on = TODAY - timedelta(days=14)
    article.save()
    assert look("articles-kept").outcome == "warn"
    found = look("articles-kept", late_days=13)
    assert (found.outcome, found.facts["late"]) == ("fail", 1)
    article.archived_at = NOON
    article.save()
    ArticleFactory.create(next_review_on=TODAY, owner=PersonFactory.create(is_active=False))
    found = look("articles-kept")
    assert (found.outcome, found.facts["ownerless"], found.facts["articles"]) == ("fail", 1, 1)


def live(title: str) -> ArticleVersion:
    return published(VersionFactory.create(title=title))


def test_the_index_has_what_is_published_and_nothing_else() -> None:
    SearchIndex.objects.get_or_create(pk=1)
    versions = [live("Where is my parcel?"), live("How do I change my password?")]
    found = look("search-index-complete")
    assert (found.outcome, found.facts["left"], found.facts["lost"]) == ("fail", 2, 2)
    assert look("search-index-complete", minutes=1440).outcome == "pass"  # they went live a moment ago
    passages.index([version.article_id for version in versions])
    assert look("search-index-complete").outcome == "pass"
    PassageVector.objects.filter(passage__article=versions[0].article_id).delete()
    found = look("search-index-complete")
    assert (found.outcome, found.facts["bare"]) == ("warn", 2)
    Article.objects.filter(pk=versions[0].article_id).update(archived_at=NOON)
    found = look("search-index-complete")
    assert (found.outcome, found.facts["dead"]) == ("fail", 1)
    passages.index([versions[0].article_id])
    assert look("search-index-complete").outcome == "pass"
    Passage.objects.filter(kind="body").delete()
    assert look("search-index-complete").outcome == "warn"  # somebody else took passages away


class Odd:
    """A model for which all texts are the same, or that does not make vectors of length 1."""

    name = "odd"

    def __init__(self, length: float) -> None:
        self.length = length

    def __call__(self, texts: Any) -> Any:
        return np.full((len(texts), 4), self.length / 2, np.float32)


def test_the_embedding_model_is_there_and_works(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look("embedding-model", milliseconds=10_000)
    assert found.outcome == "pass", found
    assert found.facts["near"] > found.facts["far"]
    for model, words in ((None, "not there"), (Odd(1), "no nearer"), (Odd(3), "length 1")):
        monkeypatch.setattr(embedding_model, "model_in_use", lambda model=model: model)
        found = look("embedding-model")
        assert found.outcome == "fail"
        assert words in found.summary


def test_what_no_article_answers_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    passages.index([live("Where is my parcel?").article_id])
    found = look("answers-unsure")
    assert found.outcome == "pass", found
    assert not AskedQuestion.objects.exists()
    monkeypatch.setattr(answers, "confidence", lambda *_: 0.99)
    cache.clear()
    assert look("answers-unsure").outcome == "fail"
