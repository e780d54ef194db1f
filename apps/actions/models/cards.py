"""The action card: a machine found a risk, an operator decides."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper

from apps.actions.models.rules import RuleVersion
from apps.actions.querysets import ActionCardQuerySet


class ActionCard(models.Model):
    """One risk about one subject. A partial unique constraint allows one live card per rule and subject."""

    class Kind(models.TextChoices):
        ORDER_AGING = "order-aging-alert", "Order ageing"
        CARRIER_DELAY = "carrier-delay-alert", "Carrier delay"
        REFUND_ANOMALY = "refund-anomaly-alert", "Refund anomaly"
        FRAUD_PATTERN = "fraud-pattern-alert", "Fraud pattern"
        SUBSCRIPTION_RISK = "subscription-risk-alert", "Subscription risk"
        CONTENT = "content-alert", "Content"
        MONITORING = "monitoring-alert", "Monitoring"

    class Tier(models.TextChoices):
        """Ordered by severity: low, safety, policy."""

        LOW = "low", "Low"
        SAFETY = "safety", "Safety"
        POLICY = "policy", "Policy"

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        EXECUTING = "executing", "Executing"
        FAILED = "failed", "Execution failed"
        EXECUTED = "executed", "Done"
        ROLLED_BACK = "rolled_back", "Rolled back"
        DISMISSED = "dismissed", "Dismissed"
        ESCALATED = "escalated", "Escalated"
        RESOLVED = "resolved", "Resolved by itself"

    class Outcome(models.TextChoices):
        TRUE = "true", "True: a real risk, handled"
        BENIGN = "benign", "Benign: right, but harmless"
        FALSE = "false", "False: the rule was wrong"

    LIVE = (Status.OPEN, Status.EXECUTING, Status.FAILED)

    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="action_cards")
    rule = models.SlugField(max_length=60)
    rule_version = models.ForeignKey(RuleVersion, models.PROTECT, related_name="cards")
    subject = models.CharField(max_length=160, help_text="What it is about, such as order:17.")
    kind = models.CharField("type", max_length=30, choices=Kind)
    status = models.CharField(max_length=12, choices=Status, default=Status.OPEN)
    version = models.PositiveIntegerField(default=1, help_text="Rises with each change; decisions are bound to it.")

    target = models.CharField(max_length=200)
    draft = models.TextField()
    message = models.TextField(blank=True, help_text="What approving would send to the customer; editable.")
    evidence = models.JSONField(default=list, help_text="Oldest first; see apps.actions.reconcile.")
    expected_impact = models.DecimalField(max_digits=14, decimal_places=2, help_text="Money at risk.")
    currency = models.CharField(max_length=3, default="USD")
    expected_loss = models.DecimalField(max_digits=14, decimal_places=2, help_text="What the queue is sorted by.")
    confidence = models.DecimalField(
        max_digits=4, decimal_places=3, validators=[MinValueValidator(0), MaxValueValidator(1)], help_text="0 to 1."
    )
    ease = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(5)], help_text="1 hard to 5 easy to resolve."
    )
    risk_tier = models.CharField(max_length=10, choices=Tier)
    can_execute = models.BooleanField(default=False)
    rationale = models.TextField()
    mitigation = models.TextField()
    escalation = models.TextField()
    rollback_plan = models.TextField()

    priority = models.GeneratedField(
        expression=F("expected_loss") * F("confidence") * F("ease"),
        output_field=models.DecimalField(max_digits=20, decimal_places=5),
        db_persist=True,
    )
    fingerprint = models.CharField(max_length=32, help_text="Digest of the last hit; an unchanged hit writes nothing.")
    observed_at = models.DateTimeField(help_text="When the youngest fact in the evidence was known.")
    opened_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    hit_ended_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the finding of a decided card went away; until then it is not raised again.",
    )
    decided_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    outcome = models.CharField(max_length=8, choices=Outcome, blank=True)
    outcome_reason = models.CharField(max_length=500, blank=True)

    objects = ActionCardQuerySet.as_manager()

    class Meta:
        ordering = ["-priority", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "subject"],
                condition=Q(status__in=["open", "executing", "failed"]),
                name="actioncard_one_live_per_subject",
            ),
            models.CheckConstraint(condition=Q(confidence__range=(0, 1)), name="actioncard_confidence"),
            models.CheckConstraint(condition=Q(ease__range=(1, 5)), name="actioncard_ease"),
        ]
        indexes = [
            models.Index(
                F("priority").desc(), F("id"), condition=Q(status__in=["open", "failed"]), name="actioncard_queue"
            ),
            models.Index(
                F("scope"),
                F("priority").desc(),
                F("id"),
                condition=Q(status__in=["open", "failed"]),
                name="actioncard_scope",
            ),
            models.Index(fields=["subject"], name="actioncard_subject"),
            models.Index(
                fields=["rule", "subject"],
                condition=Q(status__in=["dismissed", "escalated", "executed"], hit_ended_at=None),
                name="actioncard_decided",
            ),
            models.Index(fields=["-closed_at"], name="actioncard_closed"),
            models.Index(fields=["-opened_at"], name="actioncard_opened"),
            GinIndex(OpClass(Upper("target"), "gin_trgm_ops"), name="actioncard_target_words"),
        ]
        permissions = [
            ("decide_actioncard", "Can approve, dismiss, escalate and annotate cards"),
            ("rollback_actioncard", "Can roll back executed cards"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.target}"


class CardEvent(models.Model):
    """One line of a card's timeline. Append-only."""

    class Kind(models.TextChoices):
        OPENED = "opened", "Opened"
        UPDATED = "updated", "Updated"
        RAISED = "raised", "Tier raised"
        RESOLVED = "resolved", "Resolved by itself"
        APPROVED = "approved", "Approved"
        EXECUTED = "executed", "Executed"
        FAILED = "failed", "Execution failed"
        ROLLED_BACK = "rolled_back", "Rolled back"
        DISMISSED = "dismissed", "Dismissed"
        ESCALATED = "escalated", "Escalated"
        NOTE = "note", "Note"

    card = models.ForeignKey(ActionCard, models.CASCADE, related_name="events")
    card_version = models.PositiveIntegerField()
    kind = models.CharField(max_length=12, choices=Kind)
    actor = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    at = models.DateTimeField()
    text = models.TextField(blank=True)
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["at", "id"]
        indexes = [models.Index(fields=["card", "at"], name="cardevent_timeline")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} at {self.at:%Y-%m-%d %H:%M}"


class SavedView(models.Model):
    """A person's named set of queue filters."""

    user = models.ForeignKey("core.User", models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=500, blank=True, help_text="The query string of the queue page.")

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="savedview_name")]

    def __str__(self) -> str:
        return self.name
