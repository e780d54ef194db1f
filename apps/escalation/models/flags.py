"""Risk flags: what a person, a card or a pattern raised for the escalation ladder to decide."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.escalation.querysets import OfFlagQuerySet, RiskFlagQuerySet


class Indicator(models.TextChoices):
    """The protocol's seven indicators of a risk."""

    SIMILAR_REPORTS = "similar_reports", "Multiple similar reports"
    DATA = "data", "Data concerns"
    SECURITY = "security", "Security issues"
    COMPLIANCE = "compliance", "Compliance questions"
    SEVERE_IMPACT = "severe_impact", "Severe impact"
    REPUTATION = "reputation", "Reputation threats"
    UNUSUAL_PATTERN = "unusual_pattern", "Unusual patterns"


class RiskFlag(models.Model):
    """One raised risk, by the protocol's Risk Flag template, with the evidence it was raised on."""

    class Level(models.IntegerChoices):
        MINIMAL = 1, "1 Minimal"
        LOW = 2, "2 Low"
        MEDIUM = 3, "3 Medium"
        HIGH = 4, "4 High"
        CRITICAL = 5, "5 Critical"

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        RESOLVED = "resolved", "Resolved"

    class Step(models.TextChoices):
        """Where on the ladder a flag is; apps.escalation.ladder says what leads from one to the next."""

        PROPOSED = "proposed", "Proposed by the system"
        DOCUMENTED = "documented", "Documented, in the weekly review"
        LEAD_REVIEW = "lead_review", "With the team lead"
        MANAGER_REVIEW = "manager_review", "Manager review"
        ESCALATED = "escalated", "Escalated at once"
        RISK_MANAGEMENT = "risk_management", "With Risk Management"
        ASSESSMENT = "assessment", "Joint assessment"
        RESPONSE_PLAN = "response_plan", "Response plan"
        RESOLUTION = "resolution", "Being resolved"
        VERIFICATION = "verification", "Being verified"
        CLOSED = "closed", "Closed"
        REJECTED = "rejected", "Not a risk"

    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="risk_flags")
    level = models.PositiveSmallIntegerField(
        choices=Level,
        validators=[MinValueValidator(1), MaxValueValidator(5)],
        help_text="Level of the escalation ladder.",
    )
    status = models.CharField(max_length=16, choices=Status, default=Status.OPEN)
    step = models.CharField(max_length=24, choices=Step, default=Step.DOCUMENTED)
    title = models.CharField(max_length=200)
    description = models.TextField()
    indicator = models.CharField(max_length=24, choices=Indicator, blank=True)
    affected_count = models.PositiveIntegerField("affected customers", null=True, blank=True)
    affected_customers = models.TextField(blank=True, help_text="Who they are, one per line.")
    frequency = models.TextField("frequency and timing", blank=True)
    impact = models.TextField("customer impact", blank=True)
    containment = models.TextField("containment taken", blank=True)
    communications = models.TextField(blank=True, help_text="What was said to customers, and when.")
    references = models.JSONField(default=list, blank=True, help_text="kind:id of tickets, conversations and cards.")
    source = models.CharField(max_length=100, help_text="What it was raised from, such as action_card:17.")
    evidence = models.JSONField(default=list, blank=True)
    assignee = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="assigned_flags")
    version = models.PositiveIntegerField(default=1, help_text="Rises with every change; writes say what they saw.")
    raised_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="raised_flags")
    raised_at = models.DateTimeField()
    step_since = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    objects = RiskFlagQuerySet.as_manager()

    class Meta:
        ordering = ["-level", "-raised_at"]
        constraints = [
            models.CheckConstraint(condition=Q(level__range=(1, 5)), name="riskflag_level_1_to_5"),
            models.UniqueConstraint(fields=["source"], condition=Q(status="open"), name="riskflag_one_open_per_source"),
            models.CheckConstraint(
                condition=Q(status="open", resolved_at=None) & ~Q(step__in=["closed", "rejected"])
                | Q(status="resolved", step__in=["closed", "rejected"], resolved_at__isnull=False),
                name="riskflag_status_of_step",
            ),
        ]
        indexes = [
            models.Index(fields=["status", "-level", "-raised_at"], name="riskflag_board"),
            models.Index(fields=["step", "-level"], condition=Q(status="open"), name="riskflag_step"),
        ]

    def __str__(self) -> str:
        return f"{self.get_level_display()}: {self.title}"


class FlagEvent(models.Model):
    """What happened to a flag: its timeline. Rows are never changed (a database trigger refuses it)."""

    class Kind(models.TextChoices):
        RAISED = "raised", "Raised"
        STEP = "step", "Went on"
        LEVEL = "level", "Level changed"
        TOLD = "told", "People told"
        ACKNOWLEDGED = "acknowledged", "Acknowledged"
        OVERDUE = "overdue", "Deadline passed"
        HANDOVER = "handover", "Handed over"
        NOTE = "note", "Note"
        EDITED = "edited", "Details changed"
        FEEDBACK = "feedback", "Feedback"

    flag = models.ForeignKey(RiskFlag, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=16, choices=Kind)
    at = models.DateTimeField()
    actor = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    text = models.TextField(blank=True)
    data = models.JSONField(default=dict, blank=True)

    objects = OfFlagQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} at {self.at:%Y-%m-%d %H:%M}"


class Handover(models.Model):
    """What one side told the other at a handover, by the protocol's two lists; every field is required."""

    class Direction(models.TextChoices):
        TO_RISK = "to_risk", "Customer Support to Risk Management"
        TO_SUPPORT = "to_support", "Risk Management to Customer Support"

    flag = models.ForeignKey(RiskFlag, models.PROTECT, related_name="handovers")
    direction = models.CharField(max_length=12, choices=Direction)
    fields = models.JSONField(help_text="The information of the direction's list, by field.")
    by = models.ForeignKey("core.User", models.PROTECT, related_name="+")
    at = models.DateTimeField()

    objects = OfFlagQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.get_direction_display()


class Feedback(models.Model):
    """Whether an escalation was useful to the person who got it, and what was missing."""

    flag = models.ForeignKey(RiskFlag, models.PROTECT, related_name="feedback")
    by = models.ForeignKey("core.User", models.PROTECT, related_name="+")
    useful = models.BooleanField()
    missing_fields = models.JSONField(default=list, blank=True)
    comment = models.TextField(blank=True)
    at = models.DateTimeField()

    objects = OfFlagQuerySet.as_manager()

    class Meta:
        ordering = ["-at"]
        verbose_name_plural = "feedback"
        constraints = [models.UniqueConstraint(fields=["flag", "by"], name="feedback_once")]

    def __str__(self) -> str:
        return "Useful" if self.useful else "Not useful"

    @property
    def missing_words(self) -> list[str]:
        """The missing fields as the forms call them."""
        names = {field.name: str(field.verbose_name).capitalize() for field in RiskFlag._meta.concrete_fields}
        return [names.get(name, name) for name in self.missing_fields]
