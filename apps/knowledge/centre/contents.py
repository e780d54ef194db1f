"""What the pages show, for one reader: every query says for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Count, F, QuerySet, Window
from django.db.models.functions import RowNumber
from django.urls import reverse

from apps.core.markdown import Document, document
from apps.knowledge.answers import find
from apps.knowledge.calibration import current_settings
from apps.knowledge.models import Article, ArticleVersion, Category, Passage, PassageVector, SlugRedirect
from apps.knowledge.search.embedding import Vectors
from apps.knowledge.search.in_use import name_in_use
from apps.knowledge.search.retrieve import Candidate, Reader

PICTURES = r"/help/images/[A-Za-z0-9_-]+(\.[a-z]+)?"
"""Addresses of pictures that articles may show: those that we keep."""
SHELF = 6
"""Articles of each category on the first page."""
RELATED = 4
ALIKE = 0.45
"""Cosine of titles, or share of common words, from which an article is related."""
OFTEN = 6
RESULTS = 10
FOUND = 0.3
"""Cosine, or share of common words, from which an article is shown among what was found."""
EXCERPT = 300
LATEST = 20_000
"""Asked questions that are looked at for what is often needed."""


@dataclass(frozen=True, slots=True)
class Link:
    """An article in a list."""

    title: str
    slug: str
    language: str
    internal: bool
    excerpt: str = ""

    @property
    def url(self) -> str:
        return reverse("help_article", args=[self.slug])


@dataclass(frozen=True, slots=True)
class Shelf:
    """A category with how many articles a reader has in it, and the first of them."""

    category: Category
    count: int
    links: tuple[Link, ...] = ()

    @property
    def more(self) -> int:
        return self.count - len(self.links)


@dataclass(frozen=True, slots=True)
class ArticlePage:
    """An article as a reader sees it."""

    version: ArticleVersion
    document: Document
    related: tuple[Link, ...]

    @property
    def reviewed_by(self) -> str:
        """Who reviewed, if the person has a name; the name for signing in is nobody's business."""
        return self.version.reviewer.get_full_name() if self.version.reviewer else ""


def live(reader: Reader) -> QuerySet[Any]:
    """Published versions that a reader sees, with their articles and categories."""
    found = ArticleVersion.objects.readable_by(reader).select_related("article__category")
    return found.filter(article__language=reader.language) if reader.language else found


def link(version: ArticleVersion) -> Link:
    """A version, its article at hand, in a list."""
    article = version.article
    return Link(version.title, article.slug, article.language, article.audience == Article.Audience.INTERNAL)


def languages(reader: Reader) -> list[str]:
    """Languages in which there are articles, the one with the most first."""
    counted = ArticleVersion.objects.readable_by(reader).values("article__language").annotate(articles=Count("pk"))
    return list(counted.order_by("-articles", "article__language").values_list("article__language", flat=True))


def shelves(reader: Reader) -> list[Shelf]:
    """Categories that have articles for a reader, each with its first ones by title."""
    counts = dict(live(reader).values_list("article__category").annotate(Count("pk")).order_by())
    place = Window(RowNumber(), partition_by=F("article__category"), order_by=[F("title"), F("pk")])
    first = live(reader).annotate(place=place).filter(place__lte=SHELF).order_by("place")
    held: dict[int, list[Link]] = {}
    for version in first.defer("body"):
        held.setdefault(version.article.category_id, []).append(link(version))
    categories = Category.objects.filter(pk__in=counts)
    return [Shelf(category, counts[category.pk], tuple(held[category.pk])) for category in categories]


_OFTEN = """
    SELECT version FROM (SELECT versions[1] AS version FROM knowledge_askedquestion
                         WHERE outcome = 'answered' ORDER BY asked_at DESC LIMIT %s) asked
    WHERE version IS NOT NULL GROUP BY version ORDER BY count(*) DESC, version LIMIT %s
"""


def often(reader: Reader) -> tuple[Link, ...]:
    """Articles that answered most of the latest questions."""
    with connection.cursor() as cursor:
        cursor.execute(_OFTEN, [LATEST, OFTEN * 3])
        order = [version for (version,) in cursor.fetchall()]
    found = {version.pk: version for version in live(reader).filter(pk__in=order).defer("body")}
    return tuple(link(found[pk]) for pk in order if pk in found)[:OFTEN]


def version_at(slug: str, reader: Reader) -> ArticleVersion | None:
    """The live version of the article of an address, or None if this reader has none there."""
    found: ArticleVersion | None = (
        live(reader).select_related("article__category", "reviewer").filter(article__slug=slug).first()
    )
    return found


def rendered(version: ArticleVersion) -> Document:
    """A version's body as it stands on its page."""
    return document(version.body, pictures=PICTURES)


def article_page(slug: str, reader: Reader) -> ArticlePage | None:
    """All that the page of an article shows, or None if this reader has none there."""
    version = version_at(slug, reader)
    return None if version is None else ArticlePage(version, rendered(version), related(version, reader))


def moved_to(slug: str, reader: Reader) -> str:
    """Where the article of a former address is now; empty if this reader has none there."""
    article = SlugRedirect.objects.filter(slug=slug).values_list("article", flat=True)
    return live(reader).filter(article__in=article).values_list("article__slug", flat=True).first() or ""


def related(version: ArticleVersion, reader: Reader) -> tuple[Link, ...]:
    """Articles about nearly the same; where there are too few, others of the category."""
    article = version.article
    same = Reader(reader.internal, reader.scopes, article.language)
    ranked = find(version.title, same, current_settings(), _title_vector(version)).ranked
    near = [one.article for one, _ in ranked if max(one.near, one.shared) >= ALIKE and one.article != article.pk]
    order = near[:RELATED]
    if len(order) < RELATED:
        others = live(same).filter(article__category=article.category_id).exclude(article__in=[article.pk, *order])
        order += others.order_by("title", "pk").values_list("article", flat=True)[: RELATED - len(order)]
    return in_order(order, same)


def _title_vector(version: ArticleVersion) -> Vectors | None:
    """A version's title as a vector, as the index has it; None where it has none yet, and it is made anew."""
    kept = PassageVector.objects.filter(
        passage__version=version, passage__kind=Passage.Kind.TITLE, model=name_in_use()
    ).values_list("vector", flat=True)
    found = kept.first()
    return None if found is None else np.array([*found], np.float32)


def in_order(articles: Sequence[int], reader: Reader) -> tuple[Link, ...]:
    """Links to articles by id, as far as a reader sees them."""
    found = {one.article_id: one for one in live(reader).filter(article__in=articles).defer("body")}
    return tuple(link(found[pk]) for pk in articles if pk in found)


def results(ranked: Sequence[tuple[Candidate, float]], reader: Reader) -> tuple[Link, ...]:
    """What was found, with the part of each article that fits best; what has hardly anything of the question is left out."""
    near = [one for one, _ in ranked if max(one.near, one.near_body, one.shared, one.shared_body) >= FOUND][:RESULTS]
    texts = dict(Passage.objects.filter(pk__in=[one.passage for one in near]).values_list("article", "text"))
    found = {
        one.article_id: one for one in live(reader).filter(article__in=[one.article for one in near]).defer("body")
    }
    return tuple(
        replace(link(found[one.article]), excerpt=texts.get(one.article, "")[:EXCERPT])
        for one in near
        if one.article in found
    )


def owner_of(article: Article) -> str:
    """Who answers for an article, for staff."""
    return article.owner.get_full_name() or article.owner.get_username()
