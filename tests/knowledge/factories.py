"""People and articles for tests of the knowledge base."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import factory
from factory.django import DjangoModelFactory

from apps.core.models import User
from apps.knowledge.models import Article, ArticleVersion, Category

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class PersonFactory(DjangoModelFactory[User]):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"writer{n}")
    email = factory.LazyAttribute(lambda person: f"{person.username}@example.com")
    is_staff = True


class CategoryFactory(DjangoModelFactory[Category]):
    class Meta:
        model = Category

    slug = factory.Sequence(lambda n: f"shelf-{n}")
    title = factory.LazyAttribute(lambda shelf: shelf.slug.replace("-", " ").capitalize())
    owner = factory.SubFactory(PersonFactory)


class ArticleFactory(DjangoModelFactory[Article]):
    class Meta:
        model = Article

    slug = factory.Sequence(lambda n: f"article-{n}")
    category = factory.SubFactory(CategoryFactory)
    owner = factory.SubFactory(PersonFactory)
    created_by = factory.SelfAttribute("owner")
    created_at = NOW
    next_review_on = date(2026, 8, 29)


class VersionFactory(DjangoModelFactory[ArticleVersion]):
    """A draft; :func:`published` takes one all the way."""

    class Meta:
        model = ArticleVersion

    article = factory.SubFactory(ArticleFactory)
    number = factory.LazyAttribute(lambda version: version.article.versions.count() + 1)
    title = "Where is my parcel?"
    body = "Look at the tracking page."
    changes = "First words"
    author = factory.SelfAttribute("article.owner")
    created_at = NOW
    updated_at = NOW


def moved(version: ArticleVersion, state: str, **fields: Any) -> ArticleVersion:
    """The version after a bare update of its row, as no service would do it."""
    ArticleVersion.objects.filter(pk=version.pk).update(state=state, **fields)
    version.refresh_from_db()
    return version


def approved(version: ArticleVersion, **fields: Any) -> ArticleVersion:
    """The version, submitted and approved by somebody else."""
    moved(version, "in_review", submitted_at=NOW)
    facts = {"reviewer": PersonFactory.create(), "reviewed_at": NOW, "approved_digest": version.digest} | fields
    return moved(version, "approved", **facts)


def published(version: ArticleVersion) -> ArticleVersion:
    """The version, live."""
    return moved(approved(version), "published", published_at=NOW)
