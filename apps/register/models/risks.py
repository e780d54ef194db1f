"""Risks, the scores given to them, and what they hang together with."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper

from apps.register.querysets import RatingQuerySet, RiskQuerySet


class Category(models.Model):
    """A node of the tree of risk categories, such as Security > Authentication & Authorization."""

    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    name = models.CharField(max_length=120)
    path = models.CharField(max_length=500, unique=True, help_text="Names from the root, joined by ' > '.")

    class Meta:
        ordering = ["path"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.path


class Risk(models.Model):
    """One risk of the organization."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        TREATED = "treated", "Being treated"
        ACCEPTED = "accepted", "Accepted"
        CLOSED = "closed", "Closed"

    class Treatment(models.TextChoices):
        MITIGATE = "mitigate", "Mitigate"
        ACCEPT = "accept", "Accept"
        AVOID = "avoid", "Avoid"
        TRANSFER = "transfer", "Transfer"

    class Proximity(models.TextChoices):
        NOW = "now", "Now"
        QUARTER = "quarter", "Within three months"
        YEAR = "year", "Within a year"
        LATER = "later", "Later"

    reference = models.CharField(max_length=20, unique=True, editable=False, help_text="Such as R-0042.")
    source = models.CharField(
        max_length=300, unique=True, help_text="What it was recorded from, such as risk_flag:4; one risk per source."
    )
    assessment = models.ForeignKey(
        "register.RiskAssessment", models.PROTECT, null=True, blank=True, related_name="risks"
    )
    position = models.PositiveIntegerField(null=True, blank=True, help_text="Within the assessment.")
    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="risks")
    category = models.ForeignKey(Category, models.PROTECT, null=True, blank=True, related_name="risks")
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    cause = models.TextField(blank=True)
    consequence = models.TextField(blank=True)
    level = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(5)],
        help_text="From 1 (Minimal) to 5 (Critical) on the escalation ladder, as it was when it was recorded from a flag.",
    )
    evidence = models.JSONField(default=list, blank=True)
    owner_role = models.CharField(max_length=60, help_text="The role that answers for it.")
    owner = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="owned_risks")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    treatment = models.CharField(max_length=10, choices=Treatment, default=Treatment.MITIGATE)
    proximity = models.CharField(max_length=10, choices=Proximity, blank=True)
    severity = models.PositiveSmallIntegerField(
        default=0, help_text="Of the current score, 0 to 100, comparable between matrices; 0 while there is none."
    )
    next_review_on = models.DateField(null=True, blank=True)
    recorded_by = models.ForeignKey("core.User", models.PROTECT, null=True, related_name="recorded_risks")
    recorded_at = models.DateTimeField()
    version = models.PositiveIntegerField(default=1)

    objects = RiskQuerySet.as_manager()

    class Meta:
        ordering = ["-severity", "id"]
        permissions = [
            ("edit_any_risk", "Can edit risks that others own"),
            ("decide_acceptance", "Can decide requests to accept a risk"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(level__isnull=True) | Q(level__range=(1, 5)), name="risk_level_1_to_5")
        ]
        indexes = [
            models.Index(fields=["-severity", "id"], name="risk_worst_first"),
            models.Index(fields=["status", "-severity", "id"], name="risk_board"),
            GinIndex(OpClass(Upper("title"), "gin_trgm_ops"), name="risk_title_words"),
            models.Index(fields=["next_review_on"], name="risk_review_due", condition=Q(next_review_on__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.title}"


class Rating(models.Model):
    """A score given to a risk. Append-only (database trigger): a new one makes the former not the latest, nothing else."""

    class Kind(models.TextChoices):
        INHERENT = "inherent", "Inherent: before any treatment"
        CURRENT = "current", "Current"
        RESIDUAL = "residual", "Residual: when the treatment is done"

    risk = models.ForeignKey(Risk, models.PROTECT, related_name="ratings")
    kind = models.CharField(max_length=10, choices=Kind)
    matrix = models.ForeignKey("register.MatrixVersion", models.PROTECT, related_name="+")
    probability = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Step of the scale, from 1.")
    impact = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Step of the scale, from 1.")
    level = models.CharField(
        max_length=40, help_text="What the matrix made of both; as the document says where it says only the level."
    )
    severity = models.PositiveSmallIntegerField(help_text="0 to 100, comparable between matrices.")
    reason = models.TextField(blank=True)
    rated_by = models.ForeignKey("core.User", models.PROTECT, null=True, related_name="+")
    rated_at = models.DateTimeField()
    latest = models.BooleanField(default=True)

    objects = RatingQuerySet.as_manager()

    class Meta:
        ordering = ["risk", "kind", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["risk", "kind"], condition=Q(latest=True), name="rating_one_latest"),
            models.CheckConstraint(
                condition=Q(probability__isnull=True, impact__isnull=True)
                | Q(probability__isnull=False, impact__isnull=False),
                name="rating_both_steps_or_none",
            ),
        ]
        indexes = [
            models.Index(
                fields=["kind", "matrix", "probability", "impact", "risk"],
                name="rating_heat_map",
                condition=Q(latest=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.level}"


class RiskLink(models.Model):
    """Something a risk hangs together with: a flag, a card, a ticket, a conversation or an incident."""

    risk = models.ForeignKey(Risk, models.CASCADE, related_name="links")
    target = models.CharField(max_length=100, help_text="Such as risk_flag:4 or action_card:17.")
    note = models.CharField(max_length=300, blank=True)
    added_by = models.ForeignKey("core.User", models.PROTECT, null=True, related_name="+")
    added_at = models.DateTimeField()

    class Meta:
        ordering = ["risk", "id"]
        constraints = [models.UniqueConstraint(fields=["risk", "target"], name="risklink_once")]
        indexes = [models.Index(fields=["target"], name="risklink_target")]

    def __str__(self) -> str:
        return self.target
