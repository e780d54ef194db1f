"""Risk flags: what a person, a card or a pattern raised for the escalation ladder to decide."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.escalation.querysets import RiskFlagQuerySet


class RiskFlag(models.Model):
    """One raised risk, with the evidence it was raised on."""

    class Level(models.IntegerChoices):
        MINIMAL = 1, "1 Minimal"
        LOW = 2, "2 Low"
        MEDIUM = 3, "3 Medium"
        HIGH = 4, "4 High"
        CRITICAL = 5, "5 Critical"

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        RESOLVED = "resolved", "Resolved"

    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="risk_flags")
    level = models.PositiveSmallIntegerField(
        choices=Level,
        validators=[MinValueValidator(1), MaxValueValidator(5)],
        help_text="Level of the escalation ladder.",
    )
    status = models.CharField(max_length=16, choices=Status, default=Status.OPEN)
    title = models.CharField(max_length=200)
    description = models.TextField()
    source = models.CharField(max_length=100, help_text="What it was raised from, such as action_card:17.")
    evidence = models.JSONField(default=list, blank=True)
    raised_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="raised_flags")
    raised_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)

    objects = RiskFlagQuerySet.as_manager()

    class Meta:
        ordering = ["-level", "-raised_at"]
        constraints = [
            models.CheckConstraint(condition=Q(level__range=(1, 5)), name="riskflag_level_1_to_5"),
            models.UniqueConstraint(fields=["source"], condition=Q(status="open"), name="riskflag_one_open_per_source"),
        ]
        indexes = [models.Index(fields=["status", "-level", "-raised_at"], name="riskflag_board")]

    def __str__(self) -> str:
        return f"{self.get_level_display()}: {self.title}"
