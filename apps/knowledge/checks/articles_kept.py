"""Articles: each is kept by somebody who is there, and reviewed in time."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from apps.knowledge.models import Article
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


class Settings(CheckSettings):
    """What is bearable."""

    late_days: int = Field(
        14, ge=0, le=365, title="Late", description="Days after its review was due from which an article fails."
    )


@check(
    slug="articles-kept",
    title="Every article has an owner who is there, and is reviewed in time",
    every=timedelta(hours=6),
    settings=Settings,
    mitigation="Give the articles without an owner to somebody, and review those that are late.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Counts articles that are not archived whose owner is inactive, or whose review is past."""
    kept = Article.objects.kept()
    today = now.date()
    total, ownerless = kept.count(), Article.objects.ownerless().count()
    due = Article.objects.stale(today).count()
    late = Article.objects.stale(today - timedelta(days=settings.late_days)).count()
    failures = [f"{ownerless} articles belong to somebody who is not there any more."] if ownerless else []
    failures += [f"The review of {late} articles is late by more than {settings.late_days} days."] if late else []
    warnings = [f"The review of {due - late} articles is due."] if due > late else []
    warnings += [] if total else ["There is no article yet."]
    return concluded(
        f"{total} articles have an owner who is there, and none waits for its review.",
        failures=failures,
        warnings=warnings,
        facts={"articles": total, "ownerless": ownerless, "due": due, "late": late},
        query="articles by owner and next review",
    )
