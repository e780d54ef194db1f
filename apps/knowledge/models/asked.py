"""Questions that were asked, what became of them, and the gaps that they show."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from pgvector.django import HalfVectorField

from apps.knowledge.models.articles import Article
from apps.knowledge.models.search import DIMENSIONS
from apps.knowledge.querysets import AskedQuerySet, GapQuerySet


class Gap(models.Model):
    """Questions that belong together and that no article answers."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        DRAFTED = "drafted", "An article is being written"
        CLOSED = "closed", "Answered"

    title = models.CharField(max_length=300, help_text="The question nearest to the middle.")
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    article = models.ForeignKey(Article, models.PROTECT, null=True, blank=True, related_name="gaps")
    centre = HalfVectorField(dimensions=DIMENSIONS, null=True, blank=True)
    model = models.CharField(max_length=60, blank=True)
    customers = models.PositiveIntegerField(default=0)
    questions = models.PositiveIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    reopened = models.PositiveIntegerField(default=0, help_text="How often it turned out not to be answered.")

    objects = GapQuerySet.as_manager()

    class Meta:
        ordering = ["-customers", "-last_at"]
        indexes = [models.Index(fields=["state", "-customers", "-last_at"], name="gap_ranked")]

    def __str__(self) -> str:
        return self.title


class AskedQuestion(models.Model):
    """One question with what was answered, by which versions, and how sure that was. The text is redacted."""

    class Outcome(models.TextChoices):
        ANSWERED = "answered", "Answered"
        CHOSEN = "chosen", "Offered a choice"
        NOT_SURE = "not_sure", "Not sure"
        ESCALATED = "escalated", "Handed to a person"
        UNHELPFUL = "unhelpful", "Answered, marked unhelpful"

    text = models.TextField(help_text="Redacted.")
    language = models.CharField(max_length=10, blank=True)
    audience = models.CharField(max_length=10)
    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="+")
    source = models.CharField(max_length=60, help_text="Where it was asked, such as help_centre, api, conversation:7.")
    customer = models.CharField(max_length=64, blank=True, help_text="A keyed hash of who asked.")
    outcome = models.CharField(max_length=10, choices=Outcome)
    versions = ArrayField(models.BigIntegerField(), default=list, help_text="Ids of the versions, the best first.")
    scores = ArrayField(models.FloatField(), default=list)
    confidence = models.FloatField()
    settings = models.ForeignKey("knowledge.AnswerSettings", models.PROTECT, related_name="+")
    degraded = models.CharField(max_length=100, blank=True, help_text="What was missing while it was answered.")
    attack = models.BooleanField(default=False, help_text="It looked like instructions to the system.")
    vector = HalfVectorField(dimensions=DIMENSIONS, null=True, blank=True)
    gap = models.ForeignKey(Gap, models.SET_NULL, null=True, blank=True, related_name="asked")
    asked_at = models.DateTimeField()

    objects = AskedQuerySet.as_manager()

    class Meta:
        ordering = ["-asked_at", "-id"]
        indexes = [
            models.Index(fields=["-asked_at"], name="askedquestion_latest"),
            models.Index(
                fields=["asked_at"],
                name="askedquestion_missed",
                condition=Q(gap__isnull=True) & ~Q(outcome="answered"),
            ),
        ]

    def __str__(self) -> str:
        return self.text[:60]
