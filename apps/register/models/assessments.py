"""Risk assessments: the documents that risks come in, with their control and their reviews' rhythm."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.register.querysets import AssessmentQuerySet


class RiskAssessment(models.Model):
    """A risk assessment of a project: its scope, scales, risks, and when it is looked at again."""

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        IN_PROGRESS = "in_progress", "In progress"
        APPROVED = "approved", "Approved"
        CLOSED = "closed", "Closed"

    class Phase(models.TextChoices):
        BUILD = "build", "Being built"
        PILOT = "pilot", "Pilot"
        LIVE = "live", "Generally available"

    slug = models.SlugField(max_length=80, unique=True)
    title = models.CharField(max_length=200)
    project = models.CharField(max_length=120, blank=True)
    status = models.CharField(max_length=12, choices=Status, default=Status.IN_PROGRESS)
    phase = models.CharField(max_length=10, choices=Phase, default=Phase.BUILD)
    created_on = models.DateTimeField(help_text="As the document says; the import's moment if it does not.")
    references = models.JSONField(default=list, blank=True, help_text="Documents that it refers to.")
    overview = models.TextField(blank=True, help_text="Markdown: what is assessed, and for what.")
    matrix = models.ForeignKey("register.MatrixVersion", models.PROTECT, related_name="+", help_text="The scales.")
    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="+")
    owner = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    cadence = models.TextField(blank=True, help_text="How often it is reviewed, in the document's words.")
    review_every_days = models.JSONField(
        default=dict, blank=True, help_text='Days between reviews by phase, such as {"build": 7, "live": 90}.'
    )
    next_review_on = models.DateField(null=True, blank=True, help_text="Counted from the last completed review.")
    version = models.PositiveIntegerField(default=1)

    objects = AssessmentQuerySet.as_manager()

    class Meta:
        ordering = ["title"]
        permissions = [("approve_riskassessment", "Can approve versions of risk assessments")]

    def __str__(self) -> str:
        return self.title


class AssessmentVersion(models.Model):
    """The assessment as it was at one moment, for approval. Frozen once it is approved (database trigger)."""

    class State(models.TextChoices):
        DRAFT = "draft", "Waiting for approval"
        APPROVED = "approved", "Approved"
        SUPERSEDED = "superseded", "Superseded"

    assessment = models.ForeignKey(RiskAssessment, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    content = models.JSONField(help_text="The whole assessment with its risks, as exported.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the content.")
    changes = models.TextField(help_text="What changed since the version before.")
    author = models.ForeignKey("core.User", models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField()
    approved_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    approved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["assessment", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["assessment", "number"], name="assessmentversion_number"),
            models.UniqueConstraint(
                fields=["assessment"], condition=Q(state="approved"), name="assessmentversion_one_approved"
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True) | ~Q(approved_by=models.F("author")),
                name="assessmentversion_approved_by_another",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.assessment} v{self.number}"


class ReviewGate(models.Model):
    """A moment by which the assessment must be reviewed again, such as before the pilot."""

    assessment = models.ForeignKey(RiskAssessment, models.CASCADE, related_name="gates")
    name = models.CharField(max_length=120)
    due_on = models.DateField(null=True, blank=True, help_text="When the gate is planned; not known yet if empty.")
    passed_at = models.DateTimeField(null=True, blank=True)
    passed_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["assessment", "id"]
        constraints = [models.UniqueConstraint(fields=["assessment", "name"], name="reviewgate_name")]

    def __str__(self) -> str:
        return f"{self.assessment}: {self.name}"


class Provision(models.Model):
    """What an assessment provides beside its risks: how risks are detected, steps of procedures, who owns which area."""

    class Kind(models.TextChoices):
        DETECTION = "detection", "Detection mechanism"
        PROCEDURE = "procedure", "Procedure step"
        OWNERSHIP = "ownership", "Area of an owner"

    assessment = models.ForeignKey(RiskAssessment, models.CASCADE, related_name="provisions")
    kind = models.CharField(max_length=10, choices=Kind)
    group = models.CharField(max_length=120, help_text="Such as security, incident_response, or Engineering.")
    position = models.PositiveIntegerField(help_text="Within the group, from 1.")
    text = models.CharField(max_length=500)

    class Meta:
        ordering = ["assessment", "kind", "id"]
        constraints = [models.UniqueConstraint(fields=["assessment", "kind", "group", "text"], name="provision_once")]

    def __str__(self) -> str:
        return self.text
