"""Risk scores, their history, and the versions and runs they came from."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.db import models
from django.db.models import Case, F, Q, Value, When

from apps.subscriptions.models.subscriptions import Subscription
from apps.subscriptions.querysets import PLACES, WORST_FIRST, OfSubscriptionQuerySet, RiskScoreQuerySet


class RiskLevel(models.TextChoices):
    LOW = "LOW", "Low"
    MEDIUM = "MEDIUM", "Medium"
    HIGH = "HIGH", "High"


class FactorVersion(models.Model):
    """Which factors count, and how much, from one moment on. Rows are never changed (a database trigger refuses it).

    A version belongs to one organisation, or to all that have none of their own (``scope`` empty).
    """

    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="factor_versions")
    number = models.PositiveIntegerField()
    factors = models.JSONField(
        default=dict,
        help_text='Per factor type: {"enabled": true, "weights": {"HIGH": 10}}; what is absent is default.',
    )
    reason = models.CharField(max_length=300, help_text="Why this version was made.")
    created_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["scope", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["scope", "number"], name="factorversion_number", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return f"{self.scope.name if self.scope else 'Everybody'} v{self.number}"


class RiskScore(models.Model):
    """How risky a subscription's next renewal is, with the reasons it was computed from.

    Owner and organisation are those of the subscription, which a trigger of the database keeps here, so that indexes have
    the scores of each in the order of the list.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    subscription = models.OneToOneField(Subscription, models.PROTECT, related_name="risk_score")
    user = models.ForeignKey("core.User", models.PROTECT, related_name="subscription_risk_scores", db_index=False)
    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="+", db_index=False)
    risk_level = models.CharField(max_length=6, choices=RiskLevel)
    risk_factors = models.JSONField(
        default=list, help_text="Each with factor_type, weight (its name), weight_value and details."
    )
    total_weight = models.DecimalField(
        max_digits=8, decimal_places=2, default=0, help_text="Sum of all weights; orders scores within a level."
    )
    place = models.GeneratedField(
        expression=Case(
            When(risk_level=RiskLevel.HIGH, then=-F("total_weight")),
            When(risk_level=RiskLevel.MEDIUM, then=Value(PLACES) - F("total_weight")),
            default=Value(2 * PLACES) - F("total_weight"),
        ),
        output_field=models.DecimalField(max_digits=9, decimal_places=2),
        db_persist=True,
        help_text="Orders all scores, the worst first: HIGH before MEDIUM before LOW, then by the sum of weights.",
    )
    last_calculated_at = models.DateTimeField()
    last_notified_risk_level = models.CharField(max_length=6, choices=RiskLevel, blank=True)
    rule_version = models.CharField(max_length=80, help_text="Weights and evaluators it was computed with.")
    degraded = models.BooleanField(default=False, help_text="Part of the calculation failed; retried at the next run.")
    degraded_reason = models.CharField(max_length=300, blank=True)

    objects = RiskScoreQuerySet.as_manager()

    class Meta:
        db_table = "subscription_risk_scores"
        ordering = ["place", "id"]
        indexes = [
            models.Index(fields=["place", "id"], name="riskscore_worst"),
            models.Index(fields=["user", "place", "id"], name="riskscore_of_user"),
            models.Index(fields=["scope", "place", "id"], name="riskscore_of_scope"),
            models.Index(fields=["place", "id"], condition=Q(risk_level="HIGH"), name="riskscore_high"),
            models.Index(fields=["place", "id"], condition=Q(degraded=True), name="riskscore_degraded"),
        ]

    def __str__(self) -> str:
        return f"{self.risk_level} for {self.subscription_id}"

    @staticmethod
    def place_of(level: str, weight: Decimal) -> Decimal:
        """Where a score of this level and sum of weights stands among all, as the database computes it."""
        return WORST_FIRST.index(level) * PLACES - weight


class RiskScoreHistory(models.Model):
    """A change of a score: of its level, its factors' weights or its degradation. Never changed afterwards."""

    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="score_history", db_index=False)
    calculated_at = models.DateTimeField()
    risk_level = models.CharField(max_length=6, choices=RiskLevel)
    previous_level = models.CharField(max_length=6, choices=RiskLevel, blank=True)
    risk_factors = models.JSONField(default=list)
    total_weight = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    rule_version = models.CharField(max_length=80)
    degraded = models.BooleanField(default=False)

    objects = OfSubscriptionQuerySet.as_manager()

    class Meta:
        db_table = "subscription_risk_score_history"
        ordering = ["-calculated_at", "-id"]
        verbose_name_plural = "risk score history"
        indexes = [
            models.Index(fields=["subscription", "-calculated_at"], name="scorehistory_of"),
            models.Index(fields=["calculated_at"], name="scorehistory_time"),
            models.Index(
                fields=["calculated_at"],
                condition=Q(risk_level="HIGH") | Q(previous_level="HIGH"),
                name="scorehistory_high",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.previous_level or 'New'} to {self.risk_level} at {self.calculated_at:%Y-%m-%d %H:%M}"


class LevelCount(models.Model):
    """How many active subscriptions an organisation had at each level at the end of a day's calculation."""

    day = models.DateField()
    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="+")
    risk_level = models.CharField(max_length=6, choices=RiskLevel)
    subscriptions = models.PositiveIntegerField()

    class Meta:
        ordering = ["day"]
        constraints = [
            models.UniqueConstraint(fields=["day", "scope", "risk_level"], name="levelcount_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.subscriptions} {self.risk_level}"


class RecalculationRun(models.Model):
    """One recalculation of all active subscriptions; a run that was cut off goes on after its cursor."""

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", "Schedule"
        API = "api", "API"
        ADMIN = "admin", "Admin"
        COMMAND = "command", "Command"

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        FINISHED = "finished", "Finished"
        FAILED = "failed", "Failed"

    trigger = models.CharField(max_length=10, choices=Trigger)
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    requested_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    as_of = models.DateTimeField(help_text="The moment that is judged, for all of the run.")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True, help_text="When the last batch was committed.")
    cursor = models.UUIDField(null=True, blank=True, help_text="Everything up to this subscription is done.")
    batch_size = models.PositiveIntegerField()
    total = models.PositiveIntegerField(default=0, help_text="Active subscriptions when it started.")
    succeeded = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    degraded = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0, help_text="Scores whose level changed.")
    seconds = models.FloatField(default=0, help_text="Time spent working, without interruptions.")
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["status"], condition=Q(status="running"), name="recalculation_one_running")
        ]

    def __str__(self) -> str:
        return f"Recalculation as of {self.as_of:%Y-%m-%d %H:%M}"
