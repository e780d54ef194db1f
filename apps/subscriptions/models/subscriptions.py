"""Subscriptions, and the facts by which their risk is judged."""

from __future__ import annotations

import uuid

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from apps.subscriptions.querysets import OfSubscriptionQuerySet, SubscriptionQuerySet

currency_code = RegexValidator(r"^[A-Z]{3}\Z", "A currency is three capital letters (ISO 4217), such as EUR.")


class Subscription(models.Model):
    """What an owner pays for at an interval."""

    class Interval(models.TextChoices):
        WEEKLY = "weekly", "Weekly"
        MONTHLY = "monthly", "Monthly"
        QUARTERLY = "quarterly", "Quarterly"
        YEARLY = "yearly", "Yearly"

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        CANCELLED = "cancelled", "Cancelled"
        EXPIRED = "expired", "Expired"

    class BalanceSource(models.TextChoices):
        NONE = "none", "Not known"
        MANUAL = "manual", "Entered by a person"
        API = "api", "Reported through the API"
        PROVIDER = "provider", "Payment provider"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scope = models.ForeignKey(
        "core.Scope",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="subscriptions",
        help_text="The owner's organisation; who works in it sees the subscription.",
    )
    owner = models.ForeignKey("core.User", models.PROTECT, related_name="subscriptions")
    name = models.CharField(max_length=200)
    price = models.DecimalField(
        max_digits=14, decimal_places=2, validators=[MinValueValidator(0)], help_text="Amount of one renewal."
    )
    currency = models.CharField(max_length=3, default="USD", validators=[currency_code])
    interval = models.CharField(max_length=10, choices=Interval, default=Interval.MONTHLY)
    renews_on = models.DateField("renewal date", help_text="Day (UTC) on which the next renewal is due.")
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    balance_source = models.CharField(max_length=10, choices=BalanceSource, default=BalanceSource.NONE)
    payment_method = models.CharField(
        max_length=200, blank=True, help_text="The payment provider's own name of the stored method, never card data."
    )
    next_attempt_at = models.DateTimeField(
        null=True, blank=True, help_text="When the retry policy proposes the next attempt; empty: none proposed."
    )
    next_attempt_reason = models.CharField(max_length=200, blank=True, help_text="Why then, or why not at all.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [models.CheckConstraint(condition=Q(price__gte=0), name="subscription_price_not_negative")]
        indexes = [
            models.Index(fields=["id"], condition=Q(status="active"), name="subscription_active"),
            models.Index(fields=["owner", "id"], name="subscription_owner"),
            models.Index(fields=["scope", "id"], name="subscription_scope"),
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(next_attempt_at__isnull=False, status="active"),
                name="subscription_next_attempt",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RenewalAttempt(models.Model):
    """One try to charge one renewal. The first try has number 1; a retry belongs to the same renewal."""

    class DeclineKind(models.TextChoices):
        NONE = "", "Not declined"
        SOFT = "soft", "Soft: may work later"
        HARD = "hard", "Hard: never works with this method"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="renewal_attempts", db_index=False)
    renewal_on = models.DateField(help_text="The renewal date that was tried; all tries of one renewal share it.")
    number = models.PositiveSmallIntegerField(default=1, help_text="1 for the first try of the renewal.")
    attempt_date = models.DateTimeField()
    amount = models.DecimalField(max_digits=14, decimal_places=2)
    currency = models.CharField(max_length=3, validators=[currency_code])
    success = models.BooleanField()
    error_message = models.TextField(blank=True)
    decline_code = models.CharField(max_length=60, blank=True, help_text="As the payment provider names it.")
    decline_kind = models.CharField(max_length=4, choices=DeclineKind, blank=True, default=DeclineKind.NONE)
    payment_method = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="The stored method that was tried."
    )
    recorded_at = models.DateTimeField()

    objects = OfSubscriptionQuerySet.as_manager()

    class Meta:
        db_table = "subscription_renewal_attempts"
        ordering = ["-attempt_date"]
        constraints = [
            models.UniqueConstraint(fields=["subscription", "renewal_on", "number"], name="attempt_number"),
            models.UniqueConstraint(
                fields=["subscription", "renewal_on"], condition=Q(success=True), name="attempt_one_success"
            ),
            models.CheckConstraint(condition=Q(amount__gte=0), name="attempt_amount_not_negative"),
            models.CheckConstraint(
                condition=Q(success=False) | Q(decline_code="", decline_kind=""), name="attempt_success_not_declined"
            ),
        ]
        indexes = [models.Index(fields=["subscription", "-attempt_date"], name="attempt_latest")]

    def __str__(self) -> str:
        return f"{'Paid' if self.success else 'Failed'} {self.amount} {self.currency} on {self.attempt_date:%Y-%m-%d}"


class Approval(models.Model):
    """A person's consent to be charged, or to a way of paying."""

    class Kind(models.TextChoices):
        RENEWAL = "renewal", "Renewal"
        PAYMENT = "payment", "Payment"

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        EXPIRED = "expired", "Expired"
        REVOKED = "revoked", "Revoked"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="approvals", db_index=False)
    user = models.ForeignKey("core.User", models.PROTECT, related_name="subscription_approvals")
    approval_type = models.CharField(max_length=10, choices=Kind)
    expires_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    created_at = models.DateTimeField()

    objects = OfSubscriptionQuerySet.as_manager()

    class Meta:
        db_table = "subscription_approvals"
        ordering = ["-expires_at"]
        indexes = [models.Index(fields=["subscription", "status", "-expires_at"], name="approval_valid")]

    def __str__(self) -> str:
        return f"{self.get_approval_type_display()} approval until {self.expires_at:%Y-%m-%d}"


class AccountBalance(models.Model):
    """What is there to pay the next renewal with; older news than ``as_of`` is ignored."""

    subscription = models.OneToOneField(Subscription, models.PROTECT, primary_key=True, related_name="balance")
    amount = models.DecimalField(max_digits=14, decimal_places=2, help_text="May be negative.")
    currency = models.CharField(max_length=3, validators=[currency_code])
    as_of = models.DateTimeField()

    objects = OfSubscriptionQuerySet.as_manager()

    class Meta:
        ordering = [F("as_of").desc()]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"
