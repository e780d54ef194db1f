"""The check of articles passes, warns and fails."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.knowledge.factories import ArticleFactory, PersonFactory
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
