"""How store data came in: webhook deliveries, reconciliations and file imports."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from apps.orders.models.catalog import Store
from apps.orders.querysets import OfStoreQuerySet, WebhookDeliveryQuerySet


class WebhookDelivery(models.Model):
    """A webhook as it arrived: stored and acknowledged first, processed after. Doubles as the work queue."""

    class Status(models.TextChoices):
        PENDING = "pending", "Waiting"
        DONE = "done", "Processed"
        DEAD = "dead", "Gave up"

    store = models.ForeignKey(Store, models.CASCADE, related_name="webhook_deliveries")
    webhook_id = models.CharField(max_length=80)
    event_id = models.CharField(max_length=80, blank=True)
    topic = models.CharField(max_length=60)
    api_version = models.CharField(max_length=20, blank=True)
    triggered_at = models.DateTimeField(null=True, blank=True)
    received_at = models.DateTimeField()
    body = models.JSONField(help_text="Cleared some days after it was processed, or when the person is forgotten.")
    status = models.CharField(max_length=8, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When it is due; a worker that takes it moves this on, so a dead worker's is due again.",
    )
    processed_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints = [models.UniqueConstraint(fields=["store", "webhook_id"], name="webhook_once")]
        indexes = [
            models.Index(F("next_attempt_at"), condition=Q(status="pending"), name="webhook_due"),
            models.Index(fields=["status", "-received_at"], name="webhook_list"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.webhook_id}"


class ReconciliationRun(models.Model):
    """One pass over a store's Admin API; a run that was cut off continues from its cursor."""

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"

    store = models.ForeignKey(Store, models.CASCADE, related_name="reconciliations")
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    updated_from = models.DateTimeField(help_text="Orders changed since then are asked for.")
    cursor = models.CharField(max_length=500, blank=True)
    orders_seen = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    objects = OfStoreQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.UniqueConstraint(fields=["store"], condition=Q(status="running"), name="reconciliation_one")
        ]

    def __str__(self) -> str:
        return f"{self.store} from {self.updated_from:%Y-%m-%d %H:%M}"


class ImportRun(models.Model):
    """One file import and what it refused."""

    store = models.ForeignKey(Store, models.CASCADE, related_name="imports")
    mapping = models.CharField(max_length=60)
    source = models.CharField(max_length=500)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    read = models.PositiveIntegerField(default=0)
    written = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    problems = models.JSONField(default=list, blank=True, help_text="File, line and reason; the first 1,000.")
    as_of = models.DateTimeField(null=True, blank=True, help_text="Everything later was left out.")
    later = models.PositiveIntegerField(default=0, help_text="Orders left out because they came later.")

    objects = OfStoreQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.mapping} on {self.started_at:%Y-%m-%d %H:%M}"


class DataRequest(models.Model):
    """A customer asked, through the store, what is kept about them. The answer is kept until it was handed over."""

    store = models.ForeignKey(Store, models.CASCADE, related_name="data_requests")
    external_id = models.CharField(max_length=64, help_text="The store's number of the request.")
    customer_external_id = models.CharField(max_length=64)
    requested_at = models.DateTimeField()
    export = models.JSONField(
        default=dict, help_text="Everything kept about the person; cleared after the retention time."
    )
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = OfStoreQuerySet.as_manager()

    class Meta:
        ordering = ["-requested_at"]
        constraints = [models.UniqueConstraint(fields=["store", "external_id"], name="datarequest_once")]

    def __str__(self) -> str:
        return f"Data request {self.external_id}"
