"""Reviews of assessments and of single risks."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.register.querysets import RegisterReviewQuerySet


class RegisterReview(models.Model):
    """A review of an assessment (by cadence or for a gate) or of one risk. One is open at a time for each."""

    class Status(models.TextChoices):
        PLANNED = "planned", "Planned"
        RUNNING = "running", "Being held"
        COMPLETED = "completed", "Completed"

    assessment = models.ForeignKey(
        "register.RiskAssessment", models.PROTECT, null=True, blank=True, related_name="reviews"
    )
    risk = models.ForeignKey("register.Risk", models.PROTECT, null=True, blank=True, related_name="reviews")
    gate = models.ForeignKey("register.ReviewGate", models.PROTECT, null=True, blank=True, related_name="reviews")
    due_on = models.DateField()
    status = models.CharField(max_length=10, choices=Status, default=Status.PLANNED)
    led_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    started_at = models.DateTimeField(null=True, blank=True)
    agenda_at = models.DateTimeField(null=True, blank=True, help_text="As of when its agenda was made.")
    minutes = models.TextField(blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    notified_at = models.DateTimeField(null=True, blank=True, help_text="When it was last announced as due.")

    objects = RegisterReviewQuerySet.as_manager()

    class Meta:
        ordering = ["-due_on", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(assessment__isnull=False, risk__isnull=True)
                | Q(assessment__isnull=True, risk__isnull=False, gate__isnull=True),
                name="registerreview_of_one_thing",
            ),
            models.UniqueConstraint(
                fields=["assessment"],
                condition=~Q(status="completed") & Q(gate__isnull=True),
                name="registerreview_one_open_of_assessment",
            ),
            models.UniqueConstraint(
                fields=["risk"], condition=~Q(status="completed"), name="registerreview_one_open_of_risk"
            ),
        ]

    def __str__(self) -> str:
        return f"Review of {self.assessment or self.risk} on {self.due_on}"


class ReviewPoint(models.Model):
    """One point of a review's agenda, and what was decided on it."""

    review = models.ForeignKey(RegisterReview, models.CASCADE, related_name="points")
    risk = models.ForeignKey("register.Risk", models.PROTECT, null=True, blank=True, related_name="+")
    topic = models.CharField(max_length=300)
    facts = models.JSONField(default=list, blank=True, help_text="What is to be known, as lines.")
    decision = models.TextField(blank=True)
    next_action = models.CharField(max_length=300, blank=True)
    action_owner = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    decided_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["review", "id"]

    def __str__(self) -> str:
        return self.topic
