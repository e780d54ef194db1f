"""The risk register: standing risks, each recorded once from what it was found in."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.register.querysets import RiskQuerySet


class Risk(models.Model):
    """One risk of the organization."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        CLOSED = "closed", "Closed"

    reference = models.CharField(max_length=20, unique=True, editable=False, help_text="Such as R-0042.")
    source = models.CharField(
        max_length=100, unique=True, help_text="What it was recorded from, such as risk_flag:4; one risk per source."
    )
    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="risks")
    title = models.CharField(max_length=200)
    description = models.TextField()
    level = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(5)],
        help_text="From 1 (Minimal) to 5 (Critical), as it was when the risk was recorded.",
    )
    evidence = models.JSONField(default=list, blank=True)
    owner_role = models.CharField(max_length=60, help_text="The role that answers for it.")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    recorded_by = models.ForeignKey("core.User", models.PROTECT, related_name="recorded_risks")
    recorded_at = models.DateTimeField()

    objects = RiskQuerySet.as_manager()

    class Meta:
        ordering = ["-recorded_at", "-id"]
        constraints = [models.CheckConstraint(condition=Q(level__range=(1, 5)), name="risk_level_1_to_5")]
        indexes = [models.Index(fields=["status", "-level", "-recorded_at"], name="risk_board")]

    def __str__(self) -> str:
        return f"{self.reference} {self.title}"
