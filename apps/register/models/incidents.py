"""Incidents: the response procedure as a record, and what is learnt from it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.register.querysets import IncidentQuerySet


class CommunicationTemplate(models.Model):
    """Words for one step of an incident's communication."""

    class Step(models.TextChoices):
        NOTIFICATION = "notification", "Stakeholder notification"
        UPDATE = "update", "Status update"
        CONFIRMATION = "confirmation", "Resolution confirmation"

    slug = models.SlugField(max_length=60, unique=True)
    step = models.CharField(max_length=12, choices=Step)
    subject = models.CharField(max_length=200)
    body = models.TextField(help_text="May use {reference}, {title}, {stage}, {summary} and {next_update}.")

    class Meta:
        ordering = ["step", "slug"]

    def __str__(self) -> str:
        return f"{self.get_step_display()}: {self.subject}"


class Incident(models.Model):
    """Something that happened and is being dealt with: initial assessment, containment, resolution."""

    class Stage(models.TextChoices):
        ASSESSMENT = "assessment", "Initial assessment"
        CONTAINMENT = "containment", "Containment"
        RESOLUTION = "resolution", "Resolution"
        RESOLVED = "resolved", "Resolved, review to be held"
        CLOSED = "closed", "Closed"

    reference = models.CharField(max_length=20, unique=True, editable=False, help_text="Such as I-0007.")
    title = models.CharField(max_length=200)
    description = models.TextField()
    severity = models.PositiveSmallIntegerField(help_text="1 (Minimal) to 5 (Critical).")
    stage = models.CharField(max_length=12, choices=Stage, default=Stage.ASSESSMENT)
    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="+")
    lead = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    started_at = models.DateTimeField(help_text="When it began to do harm, as far as known.")
    opened_at = models.DateTimeField()
    opened_by = models.ForeignKey("core.User", models.PROTECT, null=True, related_name="+")
    resolved_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    risks = models.ManyToManyField("register.Risk", blank=True, related_name="incidents")
    links = models.JSONField(default=list, blank=True, help_text='Flags, cards and tickets, such as "risk_flag:4".')
    version = models.PositiveIntegerField(default=1)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering = ["-opened_at", "-id"]
        constraints = [models.CheckConstraint(condition=Q(severity__range=(1, 5)), name="incident_severity_1_to_5")]

    def __str__(self) -> str:
        return f"{self.reference} {self.title}"


class IncidentEvent(models.Model):
    """One entry of an incident's timeline. Append-only (database trigger)."""

    class Kind(models.TextChoices):
        STAGE = "stage", "Next stage"
        ACTION = "action", "Action taken"
        FINDING = "finding", "Finding"
        MESSAGE = "message", "Message sent"
        CHANGE = "change", "Change of the record"

    incident = models.ForeignKey(Incident, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=10, choices=Kind)
    text = models.TextField()
    data = models.JSONField(default=dict, blank=True)
    actor = models.ForeignKey("core.User", models.PROTECT, null=True, related_name="+")
    happened_at = models.DateTimeField()
    recorded_at = models.DateTimeField()

    class Meta:
        ordering = ["incident", "happened_at", "id"]

    def __str__(self) -> str:
        return self.text[:80]


class PostIncidentReview(models.Model):
    """What is learnt from an incident."""

    incident = models.OneToOneField(Incident, models.PROTECT, related_name="review")
    summary = models.TextField()
    cause = models.TextField()
    went_well = models.TextField(blank=True)
    went_badly = models.TextField(blank=True)
    held_by = models.ForeignKey("core.User", models.PROTECT, related_name="+")
    held_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Review of {self.incident}"


class ProposedChange(models.Model):
    """A change of the register that a review proposes; somebody who may change the register decides."""

    class Kind(models.TextChoices):
        NEW_RISK = "new_risk", "New risk"
        RESCORE = "rescore", "Other score"
        NEW_MITIGATION = "new_mitigation", "New mitigation"

    class State(models.TextChoices):
        PROPOSED = "proposed", "Proposed"
        MADE = "made", "Made"
        REJECTED = "rejected", "Rejected"

    review = models.ForeignKey(PostIncidentReview, models.PROTECT, related_name="changes")
    kind = models.CharField(max_length=16, choices=Kind)
    risk = models.ForeignKey("register.Risk", models.PROTECT, null=True, blank=True, related_name="+")
    content = models.JSONField(help_text="Fields of the new risk, score or mitigation.")
    reason = models.TextField()
    state = models.CharField(max_length=10, choices=State, default=State.PROPOSED)
    decided_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["review", "id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.reason[:60]}"
