"""The protocol as data under document control: documents, levels, reviews and training."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.escalation.querysets import ReviewQuerySet


class Document(models.Model):
    """A controlled document, such as the risk management protocol."""

    slug = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=200)
    owner = models.CharField(max_length=200, help_text="Roles that answer for it.")
    review_every_days = models.PositiveIntegerField(default=365)
    last_reviewed_on = models.DateField(null=True, blank=True)
    next_review_on = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title


class DocumentVersion(models.Model):
    """One version of a document, with its data (levels, timeframes). Frozen once it is approved (database trigger)."""

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        APPROVED = "approved", "Approved, in force"
        SUPERSEDED = "superseded", "Superseded"

    document = models.ForeignKey(Document, models.PROTECT, related_name="versions")
    number = models.CharField(max_length=12, help_text="Such as 1.0.")
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    body = models.TextField(help_text="Markdown.")
    data = models.JSONField(default=dict, blank=True, help_text="What the system reads: see apps.escalation.levels.")
    changes = models.TextField()
    major = models.BooleanField(default=False, help_text="People need training after it.")
    author = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    approved_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    approved_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["document", "-id"]
        permissions = [("approve_documentversion", "Can approve versions of controlled documents")]
        constraints = [
            models.UniqueConstraint(fields=["document", "number"], name="documentversion_number"),
            models.UniqueConstraint(
                fields=["document"], condition=Q(state="approved"), name="documentversion_one_in_force"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.document} {self.number}"


class Review(models.Model):
    """A review meeting of the protocol: weekly, monthly or quarterly."""

    class Kind(models.TextChoices):
        WEEKLY = "weekly", "Weekly risk review"
        MONTHLY = "monthly", "Monthly coordination"
        QUARTERLY = "quarterly", "Quarterly assessment"

    class Status(models.TextChoices):
        PLANNED = "planned", "Planned"
        RUNNING = "running", "Being held"
        COMPLETED = "completed", "Completed"

    kind = models.CharField(max_length=10, choices=Kind)
    due_on = models.DateField()
    status = models.CharField(max_length=10, choices=Status, default=Status.PLANNED)
    led_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    notes = models.TextField(blank=True)
    summary = models.TextField(blank=True, help_text="The levels as they were when it began. Markdown.")

    objects = ReviewQuerySet.as_manager()

    class Meta:
        ordering = ["-due_on", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["kind"], condition=~Q(status="completed"), name="review_one_open_per_kind")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.due_on}"


class ReviewItem(models.Model):
    """One point of a review's agenda, with what was decided."""

    review = models.ForeignKey(Review, models.CASCADE, related_name="items")
    flag = models.ForeignKey("escalation.RiskFlag", models.PROTECT, null=True, blank=True, related_name="review_items")
    cluster = models.ForeignKey("escalation.Cluster", models.PROTECT, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=200, help_text="Why it is on the agenda.")
    brief = models.TextField(blank=True, help_text="What to know for it, as it was when the review began. Markdown.")
    decision = models.TextField(blank=True)
    next_action = models.TextField(blank=True)
    owner = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="review_actions")
    due_on = models.DateField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["review", "flag"], name="reviewitem_flag_once")]

    def __str__(self) -> str:
        return self.reason


class Course(models.Model):
    """A training of the protocol, and how often each role needs it."""

    slug = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=200)
    every_days = models.JSONField(default=dict, help_text='Days between refreshers by role, such as {"Team Lead": 91}.')
    document = models.ForeignKey(Document, models.PROTECT, null=True, blank=True, related_name="courses")

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title


class Completion(models.Model):
    """That a person completed a training."""

    course = models.ForeignKey(Course, models.PROTECT, related_name="completions")
    user = models.ForeignKey("core.User", models.PROTECT, related_name="trainings")
    completed_on = models.DateField()
    recorded_by = models.ForeignKey("core.User", models.PROTECT, related_name="+")

    class Meta:
        ordering = ["-completed_on"]
        constraints = [models.UniqueConstraint(fields=["course", "user", "completed_on"], name="completion_once")]

    def __str__(self) -> str:
        return f"{self.user}: {self.course} on {self.completed_on}"
