"""Past review: readers get an article that nobody has looked at for longer than its owner promised."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.knowledge.models import ArticleVersion


class Settings(RuleSettings):
    """How late a review may be."""

    grace_days: int = Field(
        7,
        ge=0,
        le=365,
        title="Grace",
        description="Days after its review was due from which a live article gets a card.",
    )
    late_days: int = Field(
        45, ge=1, le=1_000, title="Late", description="Days after its review was due from which the tier is safety."
    )


@detector(
    slug="article-past-review",
    title="Articles past their review",
    kind="content-alert",
    settings=Settings,
    mitigation="Ask the owner to read the article: confirm it if it is still true, else begin a draft.",
    escalation="Give the article to another owner, or archive it, when nobody reviews it within two weeks.",
    rollback="Nothing to roll back; the card resolves itself when the article is confirmed, published anew or archived.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Articles that readers see and whose review was due more than some days ago.

    The owner has been reminded before the day, on it and every week since; the card tells somebody else.
    """
    last = now.date() - timedelta(days=settings.grace_days + 1)
    live = ArticleVersion.objects.published().filter(
        article__archived_at__isnull=True, article__next_review_on__lte=last
    )
    if subjects is not None:
        live = live.filter(article__in=subjects.ids("article"))
    for version in (
        live.select_related("article__owner").defer("body").order_by("article_id").iterator(chunk_size=1_000)
    ):
        yield _hit(version, now, settings)


def _hit(version: ArticleVersion, now: datetime, settings: Settings) -> Hit:
    article = version.article
    due = article.next_review_on
    late = (now.date() - due).days > settings.late_days
    owner = str(article.owner)
    return Hit(
        subject=f"article:{article.pk}",
        scope_id=article.scope_id,
        target=f"Article: {version.title}"[:200],
        draft=f"“{version.title}” was to be reviewed by {due:%Y-%m-%d}. It belongs to {owner}.",
        rationale=f"The review was due on {due:%Y-%m-%d} and is late by more than "
        f"{settings.late_days if late else settings.grace_days} days; what it says may not be true any more.",
        data={
            "article": article.slug,
            "version": version.number,
            "audience": article.audience,
            "owner": owner,
            "reviewDue": due.isoformat(),
            "publishedAt": version.published_at.isoformat() if version.published_at else None,
        },
        source="riskdesk",
        operation="article-review",
        query="published articles by next review",
        observed_at=now,
        expected_impact=Decimal(0),
        currency="USD",
        confidence=Decimal(1),
        ease=4,
        tier="safety" if late else "low",
        can_execute=False,
    )
