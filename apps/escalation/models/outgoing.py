"""News for other systems: signed webhooks that go out."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.core.fields import EncryptedTextField


class Endpoint(models.Model):
    """Where to send news of flags and tickets."""

    name = models.CharField(max_length=120, unique=True)
    url = models.URLField()
    secret = EncryptedTextField(help_text="Signs each delivery (HMAC-SHA256 over time and body).")
    kinds = ArrayField(models.CharField(max_length=40), default=list, blank=True, help_text="Empty: all news.")
    active = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class OutgoingNews(models.Model):
    """One piece of news for one endpoint; sent at least once, recognisable by its id."""

    class Status(models.TextChoices):
        PENDING = "pending", "Waiting"
        SENT = "sent", "Sent"
        DEAD = "dead", "Given up"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="news")
    kind = models.CharField(max_length=40)
    dedupe_key = models.CharField(max_length=200)
    body = models.JSONField()
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = verbose_name_plural = "outgoing news"
        constraints = [models.UniqueConstraint(fields=["endpoint", "dedupe_key"], name="outgoingnews_once")]
        indexes = [models.Index(fields=["next_attempt_at"], condition=Q(status="pending"), name="outgoingnews_due")]

    def __str__(self) -> str:
        return f"{self.kind} to {self.endpoint_id}"
