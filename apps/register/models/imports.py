"""Documents that were read into the register."""

from __future__ import annotations

from django.db import models


class RiskImport(models.Model):
    """One file: what it would do, whether it was done, and what was not understood."""

    class State(models.TextChoices):
        PREVIEW = "preview", "Preview"
        APPLIED = "applied", "Applied"
        DISCARDED = "discarded", "Discarded"

    file_name = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the file.")
    shape = models.CharField(max_length=20, help_text="prose, fenced, csv or xlsx.")
    mapping = models.JSONField(default=dict, blank=True, help_text="Columns and scales, for tables.")
    state = models.CharField(max_length=10, choices=State, default=State.PREVIEW)
    assessment = models.ForeignKey(
        "register.RiskAssessment", models.PROTECT, null=True, blank=True, related_name="imports"
    )
    document = models.JSONField(help_text="What was read, in the register's shape.")
    plan = models.JSONField(help_text="Each risk's label: new, changed (with both values), unchanged or missing.")
    not_understood = models.JSONField(default=list, blank=True, help_text='Entries {"line": 12, "text": "..."}')
    register_version = models.CharField(max_length=64, help_text="Digest of what the plan was made against.")
    uploaded_by = models.ForeignKey("core.User", models.PROTECT, null=True, related_name="+")
    uploaded_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-uploaded_at", "-id"]

    def __str__(self) -> str:
        return self.file_name
