"""Business calendars, and the clocks that run on them."""

from __future__ import annotations

from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from apps.escalation.querysets import ClockQuerySet


def known_time_zone(name: str) -> None:
    """Refuse a name that the time zone database does not have."""
    if name not in available_timezones():
        raise ValidationError(
            "There is no time zone %(name)r; use a name such as Europe/Berlin.", params={"name": name}
        )


class Calendar(models.Model):
    """When a team works: weekly hours, and days that differ from them."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[known_time_zone])
    always_open = models.BooleanField("24x7", default=False, help_text="Never closed; hours and days are not asked.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class OpenHours(models.Model):
    """One interval of a weekday in which a team works; a day may have several."""

    class Weekday(models.IntegerChoices):
        MONDAY = 0, "Monday"
        TUESDAY = 1, "Tuesday"
        WEDNESDAY = 2, "Wednesday"
        THURSDAY = 3, "Thursday"
        FRIDAY = 4, "Friday"
        SATURDAY = 5, "Saturday"
        SUNDAY = 6, "Sunday"

    calendar = models.ForeignKey(Calendar, models.CASCADE, related_name="hours")
    weekday = models.PositiveSmallIntegerField(choices=Weekday)
    opens = models.PositiveSmallIntegerField(help_text="Minutes after midnight, local time; 540 is 09:00.")
    closes = models.PositiveSmallIntegerField(help_text="Minutes after midnight, at most 1440, which is 24:00.")

    class Meta:
        ordering = ["weekday", "opens"]
        verbose_name_plural = "open hours"
        constraints = [
            models.CheckConstraint(condition=Q(opens__lt=F("closes"), closes__lte=1440), name="openhours_within_a_day"),
            models.UniqueConstraint(fields=["calendar", "weekday", "opens"], name="openhours_start_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_weekday_display()} {clock_time(self.opens)}-{clock_time(self.closes)}"


class CalendarDay(models.Model):
    """A day that differs from the weekly hours: a holiday, a half day, a day of one's own. Counts once it is active."""

    calendar = models.ForeignKey(Calendar, models.CASCADE, related_name="days")
    day = models.DateField()
    name = models.CharField(max_length=120, help_text="Why the day differs; shown in the reason of a deadline.")
    intervals = models.JSONField(
        default=list, blank=True, help_text="Open minutes after midnight, such as [[540, 720]]; empty: closed all day."
    )
    source = models.CharField(max_length=40, default="own", help_text="'own', or the holidays it was proposed from.")
    active = models.BooleanField(default=False, help_text="Proposed days count when a person has activated them.")
    activated_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["day"]
        constraints = [models.UniqueConstraint(fields=["calendar", "day"], name="calendarday_once")]

    def __str__(self) -> str:
        return f"{self.day}: {self.name}"


class Clock(models.Model):
    """A deadline that somebody has to meet, with the reason why it is what it is.

    ``due_at`` is what the events of the clock amount to; it is written with them and never apart from them.
    """

    class Target(models.TextChoices):
        FIRST_RESPONSE = "first_response", "First response"
        NEXT_RESPONSE = "next_response", "Next response"
        RESOLUTION = "resolution", "Resolution"
        STEP = "step", "Step of the ladder"
        ACKNOWLEDGE = "acknowledge", "Acknowledgement"

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        PAUSED = "paused", "Paused"
        MET = "met", "Met"
        MISSED = "missed", "Missed"
        CANCELLED = "cancelled", "Cancelled"

    flag = models.ForeignKey("escalation.RiskFlag", models.PROTECT, null=True, blank=True, related_name="clocks")
    ticket = models.ForeignKey("escalation.Ticket", models.PROTECT, null=True, blank=True, related_name="clocks")
    target = models.CharField(max_length=20, choices=Target)
    step = models.CharField(max_length=24, blank=True, help_text="The ladder's step that it belongs to.")
    calendar = models.ForeignKey(Calendar, models.PROTECT, related_name="clocks")
    allowed = models.DurationField(help_text="Working time until the deadline.")
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    rung = models.PositiveSmallIntegerField(default=0, help_text="How often it went on to the next rung.")
    started_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, help_text="Empty while paused.")
    next_deadline_at = models.DateTimeField(
        null=True, blank=True, help_text="When the sweep has to look at it next; empty: nothing to do."
    )
    trace = models.JSONField(default=list, help_text="Why the deadline is what it is, step by step.")
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = ClockQuerySet.as_manager()

    class Meta:
        ordering = ["next_deadline_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(flag__isnull=False, ticket__isnull=True) | Q(flag__isnull=True, ticket__isnull=False),
                name="clock_of_flag_or_ticket",
            ),
            models.UniqueConstraint(
                fields=["flag", "target", "step"],
                condition=Q(flag__isnull=False, status__in=["running", "paused"]),
                name="clock_one_per_flag_target",
            ),
            models.UniqueConstraint(
                fields=["ticket", "target"],
                condition=Q(ticket__isnull=False, status__in=["running", "paused"]),
                name="clock_one_per_ticket_target",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_deadline_at", "id"],
                condition=Q(next_deadline_at__isnull=False),
                name="clock_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_target_display()} by {self.due_at:%Y-%m-%d %H:%M}" if self.due_at else "Paused"


class ClockEvent(models.Model):
    """What happened to a clock. Rows are never changed (a database trigger refuses it)."""

    class Kind(models.TextChoices):
        START = "start", "Started"
        PAUSE = "pause", "Paused"
        RESUME = "resume", "Resumed"
        POLICY = "policy", "Policy changed"
        DUE = "due", "Deadline passed"
        RUNG = "rung", "Next rung told"
        MET = "met", "Met"
        CANCEL = "cancel", "Cancelled"

    clock = models.ForeignKey(Clock, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=10, choices=Kind)
    at = models.DateTimeField()
    reason = models.CharField(max_length=300)
    actor = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} at {self.at:%Y-%m-%d %H:%M}"


def clock_time(minutes: int) -> str:
    """Minutes after midnight as a time of day: 540 is 09:00, 1440 is 24:00."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
