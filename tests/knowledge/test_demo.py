"""The knowledge base of the demonstration: whole, truthful in its states, and loaded once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.utils import timezone

from apps.core.models import User
from apps.core.roles import Role
from apps.knowledge.demo import load as demo
from apps.knowledge.exchange import read_papers
from apps.knowledge.models import Article, ArticleVersion, AskedQuestion, Gap
from tests.core.factories import person

pytestmark = pytest.mark.django_db


def tell(*_: Any) -> None:
    """Nobody listens."""


def test_its_articles_are_distinct_and_whole() -> None:
    found = [one.paper for one in read_papers(demo.ARTICLES)]
    assert len(found) >= 20
    assert {paper.category for paper in found} == {slug for slug, *_ in demo.SHELVES}
    assert {slug for slug in demo.MANAGERS | set(demo.LIVE_BEFORE)} <= {paper.slug for paper in found}
    assert all(paper.questions for paper in found)


def test_it_is_loaded_once_with_every_state_and_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "ANSWERED", demo.ANSWERED[:6])
    monkeypatch.setattr(demo, "MISSED", demo.MISSED[:2])
    assert demo.load(now=timezone.now(), report=tell) is False  # nobody is there yet
    for name, role in (("content", Role.CONTENT_OWNER), ("manager", Role.SUPPORT_MANAGER), ("director", Role.SUPPORT_DIRECTOR),
                       ("lead", Role.TEAM_LEAD)):  # fmt: skip
        person(role, username=name)
    now = timezone.now()
    assert demo.load(now=now, report=tell) is True
    assert demo.load(now=now, report=tell) is False
    states = Counter(ArticleVersion.objects.values_list("state", flat=True))
    assert set(states) == {"published", "superseded", "in_review", "approved", "draft", "archived"}
    assert ArticleVersion.objects.filter(publish_at__gt=now).count() == 1
    assert Article.objects.stale(now.date()).count() >= 2
    assert Article.objects.due((now + 14 * demo.DAY).date()).count() > Article.objects.stale(now.date()).count()
    assert ArticleVersion.objects.to_review(User.objects.get(username="manager")).exists()
    outcomes = Counter(AskedQuestion.objects.values_list("outcome", flat=True))
    assert outcomes["answered"] >= 4
    assert Gap.objects.filter(customers__gte=3).count() == 2
