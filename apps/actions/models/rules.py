"""Versions of rules' settings, and the record of every run."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.core.versions import SettingsVersion


class RuleVersion(SettingsVersion):
    """Settings of a rule as they were from one moment on. Rows are never changed (a database trigger refuses it)."""

    class Meta(SettingsVersion.Meta):
        pass


class RuleRun(models.Model):
    """One run of one rule: the heartbeat of monitoring, and what freshness is computed from."""

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", "Schedule"
        EVENT = "event", "Event"
        COMMAND = "command", "Command"

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"

    rule = models.SlugField(max_length=60)
    version = models.ForeignKey(RuleVersion, models.PROTECT, related_name="runs")
    trigger = models.CharField(max_length=10, choices=Trigger)
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    as_of = models.DateTimeField(help_text="The moment that was judged.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    hits = models.PositiveIntegerField(default=0)
    opened = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    resolved = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-started_at"]
        indexes = [
            models.Index(
                fields=["rule", "-finished_at"],
                condition=Q(status="succeeded", trigger__in=["schedule", "command"]),
                name="rulerun_last_good",
            ),
            models.Index(fields=["-started_at"], name="rulerun_started"),
        ]

    def __str__(self) -> str:
        return f"{self.rule} at {self.as_of:%Y-%m-%d %H:%M}"
