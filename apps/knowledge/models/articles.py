"""Articles: what is asked, who answers for it, and when it is looked at again. Its words are in its versions."""

from __future__ import annotations

from datetime import date

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from apps.knowledge.querysets import ArticleQuerySet


class Category(models.Model):
    """A shelf of the help centre."""

    slug = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=120)
    description = models.CharField(max_length=300, blank=True)
    position = models.PositiveIntegerField(default=100, help_text="Lower ones come first.")
    owner = models.ForeignKey(
        "core.User",
        models.PROTECT,
        related_name="owned_categories",
        help_text="Takes over articles whose owner leaves, unless one of their reviewers can.",
    )

    class Meta:
        ordering = ["position", "title"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.title


class Article(models.Model):
    """One question and its answer, kept true by an owner."""

    class Audience(models.TextChoices):
        PUBLIC = "public", "Everybody"
        INTERNAL = "internal", "Staff only"

    slug = models.SlugField(max_length=120, unique=True, help_text="Its address in the help centre.")
    category = models.ForeignKey(Category, models.PROTECT, related_name="articles")
    audience = models.CharField(max_length=10, choices=Audience, default=Audience.PUBLIC)
    language = models.CharField(max_length=10, default="en", help_text="Code of the language, such as en or de.")
    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="articles")
    owner = models.ForeignKey("core.User", models.PROTECT, related_name="owned_articles")
    reviewers = models.ManyToManyField("core.User", blank=True, related_name="reviewed_articles")
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    review_every_days = models.PositiveIntegerField(default=180)
    next_review_on = models.DateField(help_text="Counted from the last review or publication.")
    reminded_on = models.DateField(null=True, blank=True, help_text="When the owner was last reminded of it.")
    archived_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey("core.User", models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField()
    edition = models.PositiveIntegerField(
        default=1, help_text="Counts changes of this row, for edits at the same time."
    )

    objects = ArticleQuerySet.as_manager()

    class Meta:
        ordering = ["slug"]
        permissions = [
            ("edit_any_article", "Can edit articles that others own"),
            ("review_article", "Can approve and reject versions of articles"),
            ("publish_article", "Can publish, schedule and archive articles"),
        ]
        indexes = [
            models.Index(fields=["next_review_on"], name="article_due", condition=Q(archived_at__isnull=True)),
            models.Index(fields=["category", "slug"], name="article_shelf", condition=Q(archived_at__isnull=True)),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(audience__in=["public", "internal"]), name="article_audience"),
            models.CheckConstraint(condition=Q(review_every_days__gte=1), name="article_reviewed_again"),
            models.CheckConstraint(condition=~Q(slug=""), name="article_has_address"),
        ]

    def __str__(self) -> str:
        return self.slug

    def is_stale(self, today: date) -> bool:
        """Whether its review is overdue."""
        return self.archived_at is None and self.next_review_on < today


class SlugRedirect(models.Model):
    """A former address of an article."""

    slug = models.SlugField(max_length=120, unique=True)
    article = models.ForeignKey(Article, models.CASCADE, related_name="former_slugs")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug


class Question(models.Model):
    """Another way to ask what an article answers."""

    article = models.ForeignKey(Article, models.CASCADE, related_name="questions")
    text = models.CharField(max_length=300)
    added_by = models.ForeignKey("core.User", models.PROTECT, null=True, related_name="+")
    added_at = models.DateTimeField()

    class Meta:
        ordering = ["article", "id"]
        constraints = [models.UniqueConstraint(fields=["article", "text"], name="question_once")]

    def __str__(self) -> str:
        return self.text


class Synonym(models.Model):
    """Words that mean the same to the search, such as parcel, package, delivery."""

    words = ArrayField(models.CharField(max_length=60), help_text="At least two single words.")
    stems = ArrayField(models.CharField(max_length=60), editable=False, default=list, help_text="By the database.")
    language = models.CharField(max_length=10, default="en")
    added_by = models.ForeignKey("core.User", models.PROTECT, null=True, related_name="+")
    added_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [models.CheckConstraint(condition=Q(words__len__gte=2), name="synonym_two_words")]
        indexes = [GinIndex(fields=["stems"], name="synonym_stems")]

    def __str__(self) -> str:
        return ", ".join(self.words)
