"""Conversations handed to people, and what people and customers think of how it went."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class Handoff(models.Model):
    """The bot (or a person) gives a conversation to a team, with what is known so far."""

    class Reason(models.TextChoices):
        WISH = "wish", "The customer asked for a person"
        MISSES = "misses", "The bot was not sure twice"
        ANGER = "anger", "The customer is angry"
        RISK = "risk", "A sign of risk"
        FAILURE = "failure", "A tool failed"
        TRANSFER = "transfer", "Given on by a person"
        NO_BOT = "no_bot", "No bot on this site"

    conversation = models.ForeignKey("chat.Conversation", models.PROTECT, related_name="handoffs")
    context = models.PositiveIntegerField()
    reason = models.CharField(max_length=10, choices=Reason)
    category = models.ForeignKey("escalation.Category", models.PROTECT, null=True, blank=True, related_name="+")
    team = models.ForeignKey("escalation.Team", models.PROTECT, null=True, blank=True, related_name="+")
    fields = models.JSONField(default=dict, blank=True, help_text="What the category needs to know, as far as known.")
    missing = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    summary = models.TextField(blank=True)
    transcript_to_seq = models.PositiveIntegerField(help_text="The conversation up to here belongs to it.")
    requested_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    closed_at = models.DateTimeField(null=True, blank=True, help_text="Resolved, withdrawn, or made a ticket.")
    ticket = models.ForeignKey("escalation.Ticket", models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["conversation"],
                condition=Q(accepted_at__isnull=True, closed_at__isnull=True),
                name="handoff_one_waiting",
            )
        ]
        indexes = [
            models.Index(fields=["team", "-accepted_at"], condition=Q(accepted_at__isnull=False), name="handoff_pace")
        ]

    def __str__(self) -> str:
        return f"{self.get_reason_display()} at {self.requested_at:%Y-%m-%d %H:%M}"


class HandoffRating(models.Model):
    """What the person who took a hand-off says about it; feeds the questions that are asked before the next."""

    handoff = models.OneToOneField(Handoff, models.PROTECT, related_name="rating")
    useful = models.BooleanField()
    missing = ArrayField(models.CharField(max_length=40), default=list, blank=True, help_text="What should be asked.")
    comment = models.CharField(max_length=500, blank=True)
    by = models.ForeignKey("core.User", models.PROTECT, related_name="+")
    at = models.DateTimeField()

    def __str__(self) -> str:
        return "useful" if self.useful else "not useful"


class Rating(models.Model):
    """How content a customer was with one context of a conversation; the last word counts."""

    conversation = models.ForeignKey("chat.Conversation", models.PROTECT, related_name="ratings")
    context = models.PositiveIntegerField()
    score = models.PositiveSmallIntegerField(help_text="From 1, very bad, to 5, very good.")
    comment = models.CharField(max_length=1000, blank=True, help_text="Redacted before it is stored.")
    resolved_by = models.CharField(max_length=10, help_text="Who had the conversation: bot or person.")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["conversation", "context"], name="rating_one_per_context"),
            models.CheckConstraint(condition=Q(score__gte=1, score__lte=5), name="rating_score"),
        ]

    def __str__(self) -> str:
        return f"{self.score} of 5"
