"""What is done about risks, and the controls that show that it is done."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper

from apps.register.querysets import ControlQuerySet, MitigationQuerySet


class Mitigation(models.Model):
    """A task that lowers a risk, or an action of an assessment's strategy that lowers many."""

    class Horizon(models.TextChoices):
        IMMEDIATE = "immediate", "Immediate"
        LONG_TERM = "long_term", "Long term"

    class Status(models.TextChoices):
        PLANNED = "planned", "Planned"
        IN_PROGRESS = "in_progress", "In progress"
        DONE = "done", "Done"
        DROPPED = "dropped", "Dropped"

    assessment = models.ForeignKey(
        "register.RiskAssessment", models.PROTECT, null=True, blank=True, related_name="mitigations"
    )
    risk = models.ForeignKey("register.Risk", models.CASCADE, null=True, blank=True, related_name="mitigations")
    position = models.PositiveIntegerField(default=1)
    title = models.CharField(max_length=500)
    description = models.TextField(blank=True)
    horizon = models.CharField(max_length=10, choices=Horizon, default=Horizon.IMMEDIATE)
    priority = models.CharField(max_length=60, blank=True, help_text="Such as high_priority, strategic.")
    owner_role = models.CharField(max_length=60, blank=True)
    owner = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="owned_mitigations")
    due_on = models.DateField(null=True, blank=True)
    status = models.CharField(max_length=12, choices=Status, default=Status.PLANNED)
    progress = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(100)], help_text="Percent.")
    effect = models.CharField(
        max_length=300, blank=True, help_text="What it does to the residual score, such as: impact High to Medium."
    )
    controls = models.ManyToManyField("register.Control", blank=True, related_name="mitigations")
    version = models.PositiveIntegerField(default=1)

    objects = MitigationQuerySet.as_manager()

    class Meta:
        ordering = ["assessment", "risk", "position", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(risk__isnull=False) | Q(assessment__isnull=False), name="mitigation_of_something"
            ),
            models.CheckConstraint(condition=Q(progress__lte=100), name="mitigation_progress"),
        ]
        indexes = [
            models.Index(fields=["due_on"], name="mitigation_due", condition=~Q(status__in=["done", "dropped"])),
            GinIndex(OpClass(Upper("title"), "gin_trgm_ops"), name="mitigation_title_words"),
        ]

    def __str__(self) -> str:
        return self.title


class Control(models.Model):
    """Something that shows that mitigations hold: attested by a person on a cadence, or checked by the system."""

    class Kind(models.TextChoices):
        ATTESTED = "attested", "Attested by a person"
        CHECKED = "checked", "Checked by the system"

    slug = models.SlugField(max_length=80, unique=True)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    kind = models.CharField(max_length=10, choices=Kind)
    check_slug = models.CharField(max_length=80, blank=True, help_text="Of the check that decides, see list_rules.")
    every_days = models.PositiveIntegerField(default=90, help_text="How long an attestation holds.")
    owner_role = models.CharField(max_length=60, blank=True)
    owner = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="owned_controls")
    active = models.BooleanField(default=True)
    reminded_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)

    objects = ControlQuerySet.as_manager()

    class Meta:
        ordering = ["title"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="checked") & ~Q(check_slug="") | Q(kind="attested", check_slug=""),
                name="control_check_fits_kind",
            )
        ]

    def __str__(self) -> str:
        return self.title


class Attestation(models.Model):
    """A person's word, with evidence, that a control is in place. Append-only (database trigger)."""

    class Outcome(models.TextChoices):
        IN_PLACE = "pass", "In place"
        PARTLY = "warn", "Partly in place"
        MISSING = "fail", "Not in place"

    control = models.ForeignKey(Control, models.PROTECT, related_name="attestations")
    outcome = models.CharField(max_length=6, choices=Outcome)
    statement = models.TextField()
    evidence_link = models.URLField(max_length=500, blank=True)
    evidence_file = models.FileField(upload_to="register/evidence/%Y/%m/", blank=True)
    attested_by = models.ForeignKey("core.User", models.PROTECT, related_name="+")
    attested_at = models.DateTimeField()
    valid_until = models.DateField()

    class Meta:
        ordering = ["control", "-id"]

    def __str__(self) -> str:
        return f"{self.control}: {self.get_outcome_display()}"


class CheckResult(models.Model):
    """What a check found at one moment. Append-only; old ones are thinned out by a daily job."""

    class Outcome(models.TextChoices):
        PASS = "pass", "Pass"
        WARN = "warn", "Warning"
        FAIL = "fail", "Fail"
        ERROR = "error", "Could not be checked"

    check_slug = models.CharField(max_length=80)
    outcome = models.CharField(max_length=6, choices=Outcome)
    summary = models.CharField(max_length=500)
    evidence = models.JSONField(default=list, blank=True, help_text="Entries as action cards keep them.")
    checked_at = models.DateTimeField()
    seconds = models.FloatField()
    since = models.DateTimeField(help_text="Since when the outcome is this one without a break.")
    latest = models.BooleanField(default=True)

    class Meta:
        ordering = ["check_slug", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["check_slug"], condition=Q(latest=True), name="checkresult_one_latest")
        ]
        indexes = [models.Index(fields=["check_slug", "-checked_at"], name="checkresult_history")]

    def __str__(self) -> str:
        return f"{self.check_slug}: {self.get_outcome_display()}"
