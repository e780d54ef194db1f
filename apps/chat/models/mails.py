"""Transcripts that customers want by e-mail."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class TranscriptMail(models.Model):
    """A transcript on its way. The row is the work; the address goes as soon as it was used, or could not be."""

    class Status(models.TextChoices):
        DUE = "due", "To be sent"
        SENT = "sent", "Sent"
        FAILED = "failed", "Could not be sent"

    conversation = models.ForeignKey("chat.Conversation", models.PROTECT, related_name="transcript_mails")
    address = models.EmailField(blank=True)
    up_to_seq = models.PositiveIntegerField()
    status = models.CharField(max_length=6, choices=Status, default=Status.DUE)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["next_attempt_at"], condition=Q(status="due"), name="transcriptmail_due")]

    def __str__(self) -> str:
        return f"Transcript {self.pk}: {self.get_status_display()}"
