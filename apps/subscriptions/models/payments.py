"""The payment provider, retries of renewals through it, and the predicted chance that a renewal fails."""

from __future__ import annotations

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.core.fields import EncryptedTextField
from apps.subscriptions.models.subscriptions import Subscription
from apps.subscriptions.querysets import OfSubscriptionQuerySet


class PaymentProvider(models.Model):
    """An HTTP payment provider through which renewals are charged."""

    scope = models.OneToOneField(
        "core.Scope",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="payment_provider",
        help_text="The organisation whose subscriptions it charges; empty: all that have none of their own.",
    )
    name = models.CharField(max_length=120)
    base_url = models.URLField()
    api_token = EncryptedTextField()
    active = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class RetryPolicyVersion(models.Model):
    """When a softly declined renewal is tried again, from one moment on. Never changed (a database trigger refuses it)."""

    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="retry_policies")
    number = models.PositiveIntegerField()
    settings = models.JSONField(default=dict, help_text="Validated by apps.subscriptions.retries.RetryPolicy.")
    reason = models.CharField(max_length=300)
    created_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["scope", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["scope", "number"], name="retrypolicy_number", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return f"{self.scope.name if self.scope else 'Everybody'} v{self.number}"


class PaymentRetry(models.Model):
    """One retry asked of the provider. Its id is the idempotency key, so asking again never charges twice."""

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        PAID = "paid", "Paid"
        DECLINED = "declined", "Declined"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="payment_retries")
    provider = models.ForeignKey(
        PaymentProvider, models.PROTECT, related_name="retries", help_text="Only it knows what became of the key."
    )
    renewal_on = models.DateField()
    number = models.PositiveSmallIntegerField(help_text="The number of the attempt that it becomes.")
    amount = models.DecimalField(max_digits=14, decimal_places=2)
    currency = models.CharField(max_length=3)
    payment_method = models.CharField(max_length=200, blank=True, default="", help_text="The method that is charged.")
    description = models.CharField(
        max_length=200, blank=True, default="", help_text="What the provider was told; the same in every repetition."
    )
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    tries = models.PositiveSmallIntegerField(default=0, help_text="How often the provider was asked.")
    next_try_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    charge_id = models.CharField(max_length=120, blank=True, help_text="The provider's own name of the charge.")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = OfSubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "payment retries"
        constraints = [
            models.UniqueConstraint(fields=["subscription", "renewal_on", "number"], name="retry_once"),
            models.UniqueConstraint(fields=["subscription"], condition=Q(status="running"), name="retry_one_running"),
        ]
        indexes = [models.Index(fields=["next_try_at"], condition=Q(status="running"), name="retry_due")]

    def __str__(self) -> str:
        return f"Try {self.number} of the renewal of {self.renewal_on}"


class RenewalModel(models.Model):
    """A trained model of the chance that a renewal fails. Its file lies outside the repository; its hash is here."""

    version = models.PositiveIntegerField(unique=True)
    file = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    trained_at = models.DateTimeField()
    observed_until = models.DateTimeField(help_text="Labels lie strictly after it.")
    rows = models.PositiveIntegerField()
    metrics = models.JSONField(default=dict, help_text="Of the held-out later part, with the plain rules beside them.")
    active = models.BooleanField(default=False)
    threshold = models.FloatField(default=0.5, help_text="Chance of failure from which people are alerted.")
    created_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["active"], condition=Q(active=True), name="renewalmodel_one_active")
        ]

    def __str__(self) -> str:
        return f"Renewal model v{self.version}"


class RenewalPrediction(models.Model):
    """The predicted chance that a subscription's next renewal fails, beside its score and never in its place."""

    subscription = models.OneToOneField(Subscription, models.PROTECT, primary_key=True, related_name="prediction")
    model = models.ForeignKey(RenewalModel, models.PROTECT, related_name="predictions")
    chance = models.FloatField(validators=[MinValueValidator(0), MaxValueValidator(1)], help_text="0 to 1.")
    reasons = models.JSONField(default=list, help_text="Main reasons, strongest first: feature, value, effect.")
    renewal_on = models.DateField()
    predicted_at = models.DateTimeField()
    alerted_at = models.DateTimeField(null=True, blank=True)

    objects = OfSubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ["-chance"]
        constraints = [models.CheckConstraint(condition=Q(chance__range=(0, 1)), name="prediction_chance_0_to_1")]
        indexes = [models.Index(fields=["-chance"], name="prediction_worst")]

    def __str__(self) -> str:
        return f"{self.chance:.0%} for the renewal of {self.renewal_on}"
