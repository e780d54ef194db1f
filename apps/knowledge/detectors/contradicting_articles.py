"""Contradicting articles: two live articles are asked the same and answer differently."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from django.db import connection
from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, Tier, detector
from apps.knowledge.contradictions import Contradiction, contradiction
from apps.knowledge.models import ArticleVersion
from apps.knowledge.search.in_use import name_in_use

BATCH = 500


class Settings(RuleSettings):
    """When two articles are about the same."""

    alike: float = Field(
        0.65,
        ge=0.5,
        le=1,
        title="Alike",
        description="Cosine of their questions (0 to 1) from which they are compared.",
    )


@detector(
    slug="article-contradiction",
    title="Articles that contradict each other",
    kind="content-alert",
    settings=Settings,
    once_a_day=True,
    mitigation="Find out which of the two is true, correct the other, and best make one article of both.",
    escalation="Escalate to the support manager when the owners do not agree on what is true.",
    rollback="Nothing to roll back; the card resolves itself when the two agree or one is archived.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Pairs of live articles in one language whose questions mean the same, and whose texts have different figures of one
    kind, or nearly the same statement once with and once without a denial."""
    pairs = _pairs(settings.alike, subjects.ids("article") if subjects else None)
    for start in range(0, len(pairs), BATCH):
        some = pairs[start : start + BATCH]
        ids = {article for first, second, _ in some for article in (first, second)}
        versions = ArticleVersion.objects.published().filter(article__in=ids, article__archived_at__isnull=True)
        live = {one.article_id: one for one in versions.select_related("article__owner")}
        for first, second, alike in some:
            if first in live and second in live:
                found = contradiction(live[first].body, live[second].body)
                if found is not None:
                    yield _hit(live[first], live[second], alike, found)


# Titles are compared with titles and other ways to ask. The index of vectors is left on its own until it has found enough.
_PAIRS = """
    SELECT least(mine.article_id, near.article_id), greatest(mine.article_id, near.article_id), max(near.cosine)
    FROM knowledge_passage mine JOIN knowledge_passagevector own ON own.passage_id = mine.id AND own.model = %(model)s
    CROSS JOIN LATERAL (
        SELECT other.article_id, -(vector.vector <#> own.vector) AS cosine
        FROM knowledge_passagevector vector JOIN knowledge_passage other ON other.id = vector.passage_id
        WHERE vector.model = %(model)s AND other.kind <> 'body' AND other.article_id <> mine.article_id
            AND other.language = mine.language
            AND (other.scope_id IS NULL OR mine.scope_id IS NULL OR other.scope_id = mine.scope_id)
        ORDER BY vector.vector <#> own.vector LIMIT 4) near
    WHERE mine.kind = 'title' AND near.cosine >= %(alike)s
        AND (%(only)s::bigint[] IS NULL OR mine.article_id = ANY(%(only)s) OR near.article_id = ANY(%(only)s))
    GROUP BY 1, 2 ORDER BY 1, 2
"""


def _pairs(alike: float, only: list[int] | None) -> list[tuple[int, int, float]]:
    with connection.cursor() as cursor:
        # Only about how well the index searches, never about what is right.
        cursor.execute("SET hnsw.ef_search = 40; SET hnsw.iterative_scan = relaxed_order")
        cursor.execute(_PAIRS, {"model": name_in_use(), "alike": alike, "only": only})
        return cursor.fetchall()


def _hit(first: ArticleVersion, second: ArticleVersion, alike: float, found: Contradiction) -> Hit:
    one, other = first.article, second.article
    tier: Tier = "safety" if one.audience == other.audience == "public" else "low"
    return Hit(
        subject=f"articles:{one.pk}-{other.pk}",
        scope_id=one.scope_id or other.scope_id,
        target=f"Articles: {first.title[:90]} / {second.title[:90]}",
        draft=f"“{first.title}” and “{second.title}” contradict each other: {found.why}.",
        rationale=f"One says “{found.first[:300]}”, the other “{found.second[:300]}”.",
        data={
            "articles": [one.slug, other.slug],
            "versions": [first.number, second.number],
            "owners": [str(one.owner), str(other.owner)],
            "difference": found.why,
            "says": [found.first[:500], found.second[:500]],
            "alike": round(alike, 2),
        },
        source="riskdesk",
        operation="article-pairs",
        query="pairs of live articles by the cosine of their questions",
        observed_at=max(moment for moment in (first.published_at, second.published_at) if moment is not None),
        expected_impact=Decimal(0),
        currency="USD",
        confidence=Decimal("0.7") if "figures" in found.why else Decimal("0.6"),
        ease=3,
        tier=tier,
        can_execute=False,
    )
