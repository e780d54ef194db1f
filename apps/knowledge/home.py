"""What the home page says about articles: to each who writes or reviews them what has to be done next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from apps.core import home

if TYPE_CHECKING:
    from apps.core.models import User

SHOWN = 5
SOON = timedelta(days=14)


@home.panel(
    slug="articles", title="Articles", icon="book", order=22, permission="knowledge.change_article", column="side"
)
def articles_panel(user: User, now: datetime) -> home.Content:
    """Versions to review, own articles whose review is due, and what no article answers. Six queries."""
    from apps.knowledge.models import Article, ArticleVersion, Gap  # this module is imported while the apps are loading

    today = now.date()
    articles = home.address("admin:knowledge_article_changelist")
    gaps = home.address("admin:knowledge_gap_changelist")
    to_review = ArticleVersion.objects.to_review(user).order_by("submitted_at")
    waiting = to_review.count()
    stale = Article.objects.of(user).stale(today).count()
    work = Article.objects.of(user).in_work().count()
    open_gaps = Gap.objects.visible_to(user).filter(state=Gap.State.OPEN).count()
    stats = [
        home.Stat(value=waiting, label="To review", tone="info" if waiting else "ok", url=f"{articles}?list=review"),
        home.Stat(value=stale, label="Yours, stale", tone="bad" if stale else "ok", url=f"{articles}?list=stale"),
        home.Stat(value=work, label="Yours, on their way", tone="muted", url=f"{articles}?list=work"),
        home.Stat(value=open_gaps, label="Unanswered", tone="warn" if open_gaps else "ok", url=gaps),
    ]
    rows = [
        home.Row(
            title=version.title, url=home.address("admin:knowledge_article_version", version.article_id, version.number),
            meta=f"version {version.number} by {version.author}", badge="To review", tone="info", icon="edit",
            at=version.submitted_at,
        )
        for version in to_review.select_related("author")[:SHOWN]
    ]  # fmt: skip
    due: Iterable[Any] = (
        Article.objects.of(user).due(today + SOON).with_words().order_by("next_review_on")[: SHOWN - len(rows)]
    )
    rows += [
        home.Row(
            title=article.title or article.slug, url=home.address("admin:knowledge_article_change", article.pk), icon="book",
            meta=f"review due {article.next_review_on}", badge="Overdue" if article.next_review_on < today else "Due soon",
            tone="bad" if article.next_review_on < today else "warn",
        )
        for article in due
    ]  # fmt: skip
    return home.Content(
        stats=stats, rows=rows, empty_title="Nothing waits for you",
        empty="Versions to review and articles that are due stand here.", url=articles, more="Articles",
    )  # fmt: skip
