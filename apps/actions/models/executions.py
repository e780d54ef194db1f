"""What approving a card did in the world outside."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q


class Execution(models.Model):
    """One effect, or its rollback, with its idempotency key and recorded result."""

    class Direction(models.TextChoices):
        EXECUTE = "execute", "Execute"
        ROLL_BACK = "roll_back", "Roll back"

    class Status(models.TextChoices):
        PENDING = "pending", "Waiting"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"

    class FailureKind(models.TextChoices):
        TRANSIENT = "transient", "May pass by itself"
        PERMANENT = "permanent", "Needs a person"

    card = models.ForeignKey("actions.ActionCard", models.CASCADE, related_name="executions")
    key = models.UUIDField(default=uuid.uuid4, unique=True, help_text="Idempotency key, sent with the effect.")
    action = models.SlugField(max_length=60, help_text="Which executor does it.")
    direction = models.CharField(max_length=10, choices=Direction, default=Direction.EXECUTE)
    payload = models.JSONField(default=dict, help_text="What is sent or set, as approved.")
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    result = models.JSONField(default=dict, blank=True)
    failure_kind = models.CharField(max_length=10, choices=FailureKind, blank=True)
    last_error = models.TextField(blank=True)
    requested_by = models.ForeignKey("core.User", models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["card"], condition=Q(status__in=["pending", "running"]), name="execution_one_under_way"
            )
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=Q(status__in=["pending", "running"]), name="execution_due"
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.get_status_display().lower()}"
