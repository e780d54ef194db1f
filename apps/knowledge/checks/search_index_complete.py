"""Search: what is published is found, and what is not published is not."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from apps.knowledge.answers import find
from apps.knowledge.calibration import current_settings
from apps.knowledge.models import ArticleVersion, Passage, PassageVector, SearchIndex
from apps.knowledge.search.in_use import name_in_use
from apps.knowledge.search.passages import to_forget, to_index
from apps.knowledge.search.retrieve import Reader
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site

PLACES = 3
"""An article is found if it is among so many when it is sought by its own title."""


class Settings(CheckSettings):
    """What is bearable."""

    minutes: int = Field(
        15, ge=1, le=1440, title="Minutes", description="After a publication the index may lack it for so long."
    )
    sample: int = Field(
        10, ge=1, le=200, title="Sample", description="Newest articles that are sought by their titles."
    )


@check(
    slug="search-index-complete",
    title="Every published article is found, and no other",
    every=timedelta(hours=1),
    settings=Settings,
    later=True,
    mitigation="See that a worker runs, which completes the index every few minutes; else run manage.py rebuild_search.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Compares passages with published versions, counts passages without a vector of the model in use, and seeks the newest
    articles by their titles."""
    settled = now - timedelta(minutes=settings.minutes)
    left = to_index().filter(versions__state="published", versions__published_at__lte=settled).distinct().count()
    dead = to_forget().count()
    model = name_in_use()
    passages = Passage.objects.count()
    bare = passages - PassageVector.objects.filter(model=model).count()
    counted = SearchIndex.objects.values_list("passages", flat=True).first()
    sought, lost = _lost(settings.sample, settled)
    failures = [f"{left} published articles are not in the index."] if left else []
    failures += [f"{dead} articles are in the index that are not published."] if dead else []
    failures += [f"{lost} of the {sought} newest articles are not found by their titles."] if lost else []
    warnings = [f"{bare} of {passages} passages have no vector of {model} yet."] if bare else []
    warnings += [f"{counted} passages were counted, {passages} are there."] if counted != passages else []
    return concluded(
        f"All {passages} passages are of published articles, and the {sought} newest articles are found by their titles.",
        failures=failures,
        warnings=warnings,
        facts={"left": left, "dead": dead, "passages": passages, "bare": bare, "sought": sought, "lost": lost},
        query="passages beside published versions",
    )


def _lost(sample: int, settled: datetime) -> tuple[int, int]:
    """How many of the newest articles were sought, and how many of them not found."""
    newest = ArticleVersion.objects.published().filter(article__archived_at__isnull=True, published_at__lte=settled)
    sought = newest.select_related("article").defer("body").order_by("-published_at")[:sample]
    lost = 0
    for version in sought:
        reader = Reader(internal=True, scopes=None, language=version.article.language)
        found = [one.article for one, _ in find(version.title, reader, current_settings()).ranked[:PLACES]]
        lost += version.article_id not in found
    return len(sought), lost
