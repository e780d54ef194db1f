"""What the system finds in messages: phrases, similar reports, bursts; it proposes flags, people decide."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.core.versions import SettingsVersion
from apps.escalation.models.flags import Indicator
from apps.escalation.querysets import InScopeQuerySet


class Phrase(models.Model):
    """A wording that points to a risk, with its weight. Editable data."""

    indicator = models.CharField(max_length=24, choices=Indicator)
    language = models.CharField(max_length=10, default="en")
    text = models.CharField(
        max_length=200,
        help_text="Words in order; * alone stands for up to three words, at the end of a word for any ending.",
    )
    weight = models.FloatField(validators=[MinValueValidator(-10), MaxValueValidator(10)])
    reason = models.CharField(max_length=200, help_text="What it says to the person who decides.")
    active = models.BooleanField(default=True)
    version = models.PositiveIntegerField(
        default=1, editable=False, help_text="Rises with every change; writes say what they saw."
    )

    class Meta:
        ordering = ["indicator", "text"]
        constraints = [models.UniqueConstraint(fields=["indicator", "language", "text"], name="phrase_once")]

    def __str__(self) -> str:
        return self.text

    def clean(self) -> None:
        """A gap at an end would say nothing.

        Raises:
            ValidationError: the text does not begin and end with a word.
        """
        words = self.text.split()
        if not words or "*" in (words[0], words[-1]):
            raise ValidationError({"text": "A phrase begins and ends with a word."})


class Cluster(models.Model):
    """Reports that say nearly the same, within a window of time."""

    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="+")
    title = models.CharField(max_length=200, help_text="The report that stands for all.")
    reports = models.PositiveIntegerField(default=0)
    customers = models.PositiveIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    merged_into = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="merged_clusters",
        help_text="Where its members went; never to one that was merged itself.",
    )  # fmt: skip

    objects = InScopeQuerySet.as_manager()

    class Meta:
        ordering = ["-last_at"]
        indexes = [models.Index(fields=["-last_at"], name="cluster_latest")]

    def __str__(self) -> str:
        return self.title


class Report(models.Model):
    """A customer's message as the indicators see it: redacted text, where it came from, and which cluster it joined."""

    source = models.CharField(max_length=100, unique=True, help_text="Such as ticket_message:4 or chat_message:9.")
    subject = models.CharField(
        max_length=100, blank=True, help_text="What it belongs to, such as ticket:4; the source if empty."
    )
    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="+")
    customer = models.CharField(max_length=64, help_text="A digest that tells customers apart, not who they are.")
    category = models.CharField(max_length=60, blank=True)
    text = models.TextField()
    at = models.DateTimeField()
    judged_at = models.DateTimeField(null=True, blank=True, help_text="When the indicators judged it.")
    words = ArrayField(
        models.IntegerField(), null=True, blank=True, help_text="Its words as numbers; empty once it left the window."
    )
    cluster = models.ForeignKey(Cluster, models.SET_NULL, null=True, blank=True, related_name="members")

    objects = InScopeQuerySet.as_manager()

    class Meta:
        ordering = ["-at"]
        indexes = [
            models.Index(fields=["-at"], name="report_latest"),
            models.Index(fields=["category", "at"], name="report_category"),
            models.Index(fields=["at"], condition=Q(words__isnull=False), name="report_window"),
            models.Index(fields=["id"], condition=Q(judged_at=None), name="report_waiting"),
            models.Index(fields=["cluster", "at"], condition=Q(cluster__isnull=False), name="report_cluster"),
            GinIndex(fields=["words"], fastupdate=False, name="report_words"),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class IndicatorVersion(SettingsVersion):
    """Thresholds of an indicator as they were from one moment on. Rows are never changed (a trigger refuses it)."""

    class Meta(SettingsVersion.Meta):
        pass


class Proposal(models.Model):
    """A flag that the system proposes; a person confirms or rejects it with a reason."""

    class Status(models.TextChoices):
        OPEN = "open", "Waiting for a person"
        CONFIRMED = "confirmed", "Confirmed"
        REJECTED = "rejected", "Rejected"
        JOINED = "joined", "Joined to another"

    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="flag_proposals")
    indicator = models.CharField(max_length=24, choices=Indicator)
    subject = models.CharField(max_length=100, help_text="What it is about, such as cluster:4 or ticket:9.")
    title = models.CharField(max_length=200)
    reasons = models.JSONField(default=list, help_text="Why, in words, strongest first.")
    evidence = models.JSONField(default=list)
    score = models.FloatField(help_text="Of the rule that found it.")
    thresholds = models.ForeignKey(
        IndicatorVersion, models.PROTECT, null=True, blank=True, related_name="proposals",
        help_text="The version it was found with last; empty: found before there were versions.",
    )  # fmt: skip
    level = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])
    affected_count = models.PositiveIntegerField(null=True, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    flag = models.ForeignKey("escalation.RiskFlag", models.PROTECT, null=True, blank=True, related_name="proposals")
    decided_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = InScopeQuerySet.as_manager()

    class Meta:
        ordering = ["-level", "-score"]
        permissions = [("decide_proposal", "Can confirm and reject proposed flags")]
        constraints = [
            models.UniqueConstraint(
                fields=["indicator", "subject"], condition=Q(status="open"), name="proposal_one_open"
            ),
            models.CheckConstraint(condition=Q(level__range=(1, 5)), name="proposal_level_1_to_5"),
        ]
        indexes = [models.Index(fields=["status", "-level", "-score"], name="proposal_board")]

    def __str__(self) -> str:
        return self.title
