"""News for people, and how it reached them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.core.querysets import DeliveryQuerySet, NotificationQuerySet


class Notification(models.Model):
    """One piece of news for one person; the same news (``dedupe_key``) reaches a person once."""

    recipient = models.ForeignKey("core.User", models.CASCADE, related_name="notifications")
    kind = models.SlugField(max_length=60)
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True)
    url = models.CharField(max_length=500, blank=True, help_text="A path of this site.")
    urgent = models.BooleanField(default=False)
    dedupe_key = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["recipient", "dedupe_key"], name="notification_once")]
        indexes = [
            models.Index(fields=["recipient", "-created_at", "-id"], name="notification_inbox"),
            models.Index(fields=["recipient"], condition=Q(read_at=None), name="notification_unread"),
        ]

    def __str__(self) -> str:
        return self.title


class Delivery(models.Model):
    """How a notification goes out by one channel. Doubles as the work queue of e-mails."""

    class Channel(models.TextChoices):
        IN_APP = "in_app", "Inbox"
        EMAIL = "email", "E-mail"

    class Status(models.TextChoices):
        PENDING = "pending", "Waiting"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "Not wanted"

    notification = models.ForeignKey(Notification, models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=8, choices=Channel)
    status = models.CharField(max_length=8, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True, help_text="Also the end of a sender's claim.")
    last_error = models.TextField(blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["notification", "channel"], name="delivery_once")]
        indexes = [models.Index(fields=["next_attempt_at"], condition=Q(status="pending"), name="delivery_due")]

    def __str__(self) -> str:
        return f"{self.get_channel_display()}: {self.get_status_display().lower()}"


class NotificationSetting(models.Model):
    """A person's wish for one kind of news. Without a row, e-mail is on."""

    user = models.ForeignKey("core.User", models.CASCADE, related_name="notification_settings")
    kind = models.SlugField(max_length=60)
    email = models.BooleanField(default=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="notificationsetting_kind")]

    def __str__(self) -> str:
        return f"{self.kind}: e-mail {'on' if self.email else 'off'}"
