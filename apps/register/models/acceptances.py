"""Requests to accept a risk, and what was decided."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from apps.register.models.risks import Risk
from apps.register.querysets import AcceptanceQuerySet


class Acceptance(models.Model):
    """A request to accept a risk for a time, bound to the risk as it was seen. Decided by somebody else."""

    class State(models.TextChoices):
        REQUESTED = "requested", "Waiting for a decision"
        APPROVED = "approved", "Accepted"
        REJECTED = "rejected", "Rejected"
        WITHDRAWN = "withdrawn", "Withdrawn"
        OUTDATED = "outdated", "Outdated: the risk changed"
        EXPIRED = "expired", "Expired"

    OPEN = (State.REQUESTED, State.APPROVED)

    risk = models.ForeignKey(Risk, models.PROTECT, related_name="acceptances")
    state = models.CharField(max_length=10, choices=State, default=State.REQUESTED)
    reason = models.TextField()
    expires_on = models.DateField(help_text="The risk is open again from this day on.")
    seen = models.JSONField(help_text="The risk as it was when it was asked for: its words, owner, treatment, scores.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of what was seen.")
    requested_by = models.ForeignKey("core.User", models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    decided_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True)
    warned_at = models.DateTimeField(null=True, blank=True, help_text="When its end was announced.")
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = AcceptanceQuerySet.as_manager()

    class Meta:
        ordering = ["-requested_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["risk"], condition=Q(state__in=["requested", "approved"]), name="acceptance_one_open"
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("requested_by")),
                name="acceptance_decided_by_another",
            ),
        ]
        indexes = [models.Index(fields=["state", "expires_on"], name="acceptance_expiry")]

    def __str__(self) -> str:
        return f"{self.risk.reference} until {self.expires_on}"
