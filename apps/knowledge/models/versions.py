"""Versions of articles, and what people said about them."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.knowledge.models.articles import Article
from apps.knowledge.querysets import FeedbackQuerySet, VersionQuerySet


class ArticleVersion(models.Model):
    """The words of an article at one time.

    The database keeps the rules (constraints and the triggers of the migrations): one published version per article, a
    draft beside it, a reviewer who is not the author, an approval bound to the text it was given for, closed versions
    frozen, and only these ways from state to state::

        draft -> in_review -> approved -> published -> superseded | archived
                 in_review -> draft | rejected          approved -> draft
    """

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        IN_REVIEW = "in_review", "In review"
        APPROVED = "approved", "Approved"
        PUBLISHED = "published", "Published"
        SUPERSEDED = "superseded", "Superseded"
        REJECTED = "rejected", "Rejected"
        ARCHIVED = "archived", "Archived"

    article = models.ForeignKey(Article, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=200, help_text="The question, as a customer would ask it.")
    body = models.TextField(help_text="Markdown.")
    changes = models.CharField(max_length=300, help_text="What is different from the version before.")
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    digest = models.CharField(max_length=64, editable=False, help_text="SHA-256 of title and body, by the database.")
    author = models.ForeignKey("core.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True, blank=True)
    reviewer = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    reviewed_at = models.DateTimeField(null=True, blank=True)
    approved_digest = models.CharField(max_length=64, blank=True, help_text="The text that the approval was given for.")
    reason = models.TextField(blank=True, help_text="Why it was rejected, or sent back.")
    publish_at = models.DateTimeField(null=True, blank=True, help_text="When it is to go live by itself.")
    published_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = VersionQuerySet.as_manager()

    class Meta:
        ordering = ["article", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["article", "number"], name="articleversion_number"),
            models.UniqueConstraint(
                fields=["article"], condition=Q(state="published"), name="articleversion_one_published"
            ),
            models.UniqueConstraint(
                fields=["article"], condition=Q(state__in=["draft", "in_review"]), name="articleversion_one_draft"
            ),
            models.UniqueConstraint(
                fields=["article"], condition=Q(state="approved"), name="articleversion_one_approved"
            ),
            models.CheckConstraint(
                condition=Q(reviewer__isnull=True) | ~Q(reviewer=F("author")),
                name="articleversion_reviewed_by_another",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "in_review", "rejected"])
                | Q(reviewer__isnull=False, approved_digest=F("digest")),
                name="articleversion_approval_of_this_text",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["published", "superseded", "archived"]) | Q(published_at__isnull=False),
                name="articleversion_published_when",
            ),
            models.CheckConstraint(
                condition=Q(publish_at__isnull=True) | ~Q(state__in=["draft", "in_review", "rejected"]),
                name="articleversion_scheduled_when_approved",
            ),
        ]
        indexes = [
            models.Index(fields=["publish_at"], name="articleversion_scheduled", condition=Q(state="approved")),
            models.Index(fields=["state", "-submitted_at"], name="articleversion_to_review"),
        ]

    def __str__(self) -> str:
        return f"{self.title} (version {self.number})"


class VersionComment(models.Model):
    """What somebody says about a version while it is made."""

    version = models.ForeignKey(ArticleVersion, models.CASCADE, related_name="comments")
    author = models.ForeignKey("core.User", models.PROTECT, related_name="+")
    text = models.TextField()
    written_at = models.DateTimeField()

    class Meta:
        ordering = ["version", "id"]

    def __str__(self) -> str:
        return self.text[:60]


class ArticleImage(models.Model):
    """A picture of an article, checked by its content and stored under its digest."""

    article = models.ForeignKey(Article, models.PROTECT, related_name="images")
    file = models.ImageField(upload_to="knowledge/images/%Y/%m/", width_field="width", height_field="height")
    content_type = models.CharField(max_length=40)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the file.")
    width = models.PositiveIntegerField(default=0)
    height = models.PositiveIntegerField(default=0)
    uploaded_by = models.ForeignKey("core.User", models.PROTECT, related_name="+")
    uploaded_at = models.DateTimeField()

    class Meta:
        ordering = ["article", "id"]
        constraints = [models.UniqueConstraint(fields=["article", "digest"], name="articleimage_once")]

    def __str__(self) -> str:
        return str(self.file.name)


class ArticleFeedback(models.Model):
    """A reader's word on whether a version helped."""

    class Reason(models.TextChoices):
        WRONG = "wrong", _("It is wrong or out of date")
        UNCLEAR = "unclear", _("It is hard to understand")
        INCOMPLETE = "incomplete", _("Something is missing")
        OTHER = "other", _("It is about something else")

    version = models.ForeignKey(ArticleVersion, models.PROTECT, related_name="feedback")
    helpful = models.BooleanField()
    reason = models.CharField(max_length=10, choices=Reason, blank=True)
    comment = models.TextField(blank=True, help_text="Redacted.")
    visitor = models.CharField(max_length=64, help_text="A keyed hash of the visitor's session, never who it is.")
    given_at = models.DateTimeField()

    objects = FeedbackQuerySet.as_manager()

    class Meta:
        ordering = ["-given_at", "-id"]
        verbose_name_plural = "feedback"
        constraints = [models.UniqueConstraint(fields=["version", "visitor"], name="articlefeedback_once")]

    def __str__(self) -> str:
        return "helpful" if self.helpful else "not helpful"
