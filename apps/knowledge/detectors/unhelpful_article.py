"""Unhelpful article: readers say that it does not help, or that it was not the answer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection
from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.knowledge.models import ArticleFeedback, ArticleVersion

Z = 1.645
"""Of the one-sided 95 % bound."""


class Settings(RuleSettings):
    """How many readers may be left without help."""

    window_days: int = Field(90, ge=1, le=730, title="Window", description="Days of feedback and answers that count.")
    least_votes: int = Field(
        8, ge=3, le=1_000, title="Votes", description="Votes or answers below which nothing is said."
    )
    helpful: float = Field(
        0.6,
        ge=0.05,
        le=0.95,
        title="Helpful",
        description="Share of yes (0 to 1) that an article must not be surely below.",
    )
    unhelpful: float = Field(
        0.2,
        ge=0.01,
        le=0.95,
        title="Not the answer",
        description="Share of its answers that were refused (0 to 1) that an article must not be surely above.",
    )


@dataclass(frozen=True, slots=True)
class Said:
    """What readers said about one live version."""

    yes: int
    no: int
    answered: int
    refused: int
    reasons: dict[str, int]
    last: datetime


@detector(
    slug="article-unhelpful",
    title="Articles that do not help",
    kind="content-alert",
    settings=Settings,
    mitigation="Read what readers wrote, then begin a draft that says it better; a new version starts with no votes.",
    escalation="Escalate to the support manager when the article answers many questions and cannot be corrected soon.",
    rollback="Nothing to roll back; the card resolves itself when another version is live or readers are content again.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Live versions that surely help too few of their readers, by votes or by answers that were refused.

    Surely means: the bound of Wilson's interval (1927, one-sided 95 %), not the share itself, is past the threshold, so that
    a handful of votes opens no card.
    """
    live = ArticleVersion.objects.published().filter(article__archived_at__isnull=True)
    if subjects is not None:
        live = live.filter(article__in=subjects.ids("article"))
    found = said(now - timedelta(days=settings.window_days), now)
    wrong = {pk: why for pk, one in found.items() if (why := _why(one, settings))}
    versions = live.filter(pk__in=wrong).select_related("article__owner").defer("body").order_by("article_id")
    for version in versions.iterator(chunk_size=1_000):
        yield _hit(version, found[version.pk], wrong[version.pk])


def wilson(part: int, whole: int) -> tuple[float, float]:
    """The interval in which the true share lies, of what was seen ``part`` times of ``whole``."""
    if not whole:
        return 0.0, 1.0
    share, square = part / whole, Z * Z
    middle = (share + square / (2 * whole)) / (1 + square / whole)
    half = Z * math.sqrt(share * (1 - share) / whole + square / (4 * whole * whole)) / (1 + square / whole)
    return max(0.0, middle - half), min(1.0, middle + half)


_ANSWERS = """
    SELECT versions[1], count(*), count(*) FILTER (WHERE outcome = 'unhelpful'), max(asked_at)
    FROM knowledge_askedquestion
    WHERE asked_at > %s AND asked_at <= %s AND outcome IN ('answered', 'unhelpful') AND cardinality(versions) > 0
    GROUP BY 1
"""


def said(since: datetime, until: datetime) -> dict[int, Said]:
    """What readers said in a time, by version."""
    votes: dict[int, dict[str, int]] = {}
    last: dict[int, datetime] = {}
    rows = ArticleFeedback.objects.filter(given_at__gt=since, given_at__lte=until)
    for version, helpful, reason, at in rows.values_list("version", "helpful", "reason", "given_at").iterator():
        kind = "yes" if helpful else reason or "none"
        counts = votes.setdefault(version, {})
        counts[kind] = counts.get(kind, 0) + 1
        last[version] = max(at, last.get(version, at))
    with connection.cursor() as cursor:
        cursor.execute(_ANSWERS, [since, until])
        answers = {version: (count, refused, at) for version, count, refused, at in cursor.fetchall()}
    found = {}
    for version in votes.keys() | answers.keys():
        counts = dict(votes.get(version, {}))
        yes = counts.pop("yes", 0)
        count, refused, at = answers.get(version, (0, 0, None))
        latest = max(moment for moment in (at, last.get(version)) if moment is not None)
        found[version] = Said(yes, sum(counts.values()), count, refused, counts, latest)
    return found


def _why(one: Said, settings: Settings) -> str:
    """What is wrong, or nothing."""
    votes = one.yes + one.no
    reasons = []
    if votes >= settings.least_votes and wilson(one.yes, votes)[1] < settings.helpful:
        reasons.append(f"{one.no} of {votes} readers say that it did not help.")
    if one.answered >= settings.least_votes and wilson(one.refused, one.answered)[0] > settings.unhelpful:
        reasons.append(f"{one.refused} of {one.answered} who got it as the answer say that it was none.")
    return " ".join(reasons)


def _hit(version: ArticleVersion, one: Said, why: str) -> Hit:
    article = version.article
    wrong = one.reasons.get(ArticleFeedback.Reason.WRONG, 0)
    return Hit(
        subject=f"article:{article.pk}",
        scope_id=article.scope_id,
        target=f"Article: {version.title}"[:200],
        draft=f"“{version.title}” (version {version.number}) does not help. {why}",
        rationale=why + (f" {wrong} call it wrong or out of date." if wrong else ""),
        data={
            "article": article.slug,
            "version": version.number,
            "owner": str(article.owner),
            "helpful": one.yes,
            "notHelpful": one.no,
            "reasons": dict(sorted(one.reasons.items())),
            "answers": one.answered,
            "answersRefused": one.refused,
        },
        source="riskdesk",
        operation="article-feedback",
        query="feedback and refused answers by live version",
        observed_at=one.last,
        expected_impact=Decimal(0),
        currency="USD",
        confidence=Decimal("0.95"),
        ease=3,
        tier="safety" if wrong * 3 >= one.no > 0 else "low",
        can_execute=False,
    )
