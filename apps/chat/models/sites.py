"""Where the widget stands, and who writes from there."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.chat.querysets import ChatSiteQuerySet, VisitorQuerySet
from apps.core.fields import EncryptedTextField


class ChatSite(models.Model):
    """One installation of the widget: the pages that may carry it, and how it greets."""

    key = models.SlugField(max_length=40, unique=True, help_text="Stands in the script tag of the pages.")
    name = models.CharField(max_length=120, help_text="What customers see as the name of whom they write to.")
    scope = models.ForeignKey("core.Scope", models.PROTECT, related_name="chat_sites")
    team = models.ForeignKey(
        "escalation.Team",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Answers where no category says better.",
    )
    allowed_origins = ArrayField(
        models.CharField(max_length=200),
        default=list,
        blank=True,
        help_text="Such as https://shop.example.com; pages of other origins get no chat.",
    )
    language = models.CharField(max_length=10, default="en")
    greeting = models.CharField(max_length=300, blank=True)
    quick_replies = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    colour = models.CharField(max_length=7, default="#1f5fd0", help_text="Of the button, such as #1f5fd0.")
    identity_secret = EncryptedTextField(
        blank=True, help_text="Signs who a page says its visitor is; empty where all are anonymous."
    )
    has_bot = models.BooleanField("bot answers first", default=True)
    looks_up_orders = models.BooleanField(default=True)
    is_active = models.BooleanField("in use", default=True)
    edition = models.PositiveIntegerField(default=1, help_text="Counts changes, for edits at the same time.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ChatSiteQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Visitor(models.Model):
    """Somebody who writes. Anonymous, unless the page says with a signature who it is."""

    site = models.ForeignKey(ChatSite, models.PROTECT, related_name="visitors")
    external_id = models.CharField(max_length=200, blank=True, help_text="The page's own id of its user, as signed.")
    name = models.CharField(max_length=120, blank=True)
    email = models.EmailField(blank=True)
    language = models.CharField(max_length=10, default="en")
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    erased_at = models.DateTimeField(null=True, blank=True)

    objects = VisitorQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["site", "external_id"], condition=~Q(external_id=""), name="visitor_one_per_identity"
            )
        ]
        indexes = [models.Index(fields=["email"], condition=~Q(email=""), name="visitor_email")]

    def __str__(self) -> str:
        return self.name or self.email or f"Visitor {self.pk}"


class ChatSession(models.Model):
    """A browser's right to one visitor's conversations. Only a digest of its token is kept."""

    site = models.ForeignKey(ChatSite, models.PROTECT, related_name="sessions")
    visitor = models.ForeignKey(Visitor, models.PROTECT, related_name="sessions")
    conversation = models.ForeignKey(
        "chat.Conversation", models.PROTECT, null=True, blank=True, related_name="sessions"
    )
    client_key = models.UUIDField(help_text="Chosen by the browser: asking twice makes one session.")
    token_digest = models.BinaryField(max_length=32, unique=True)
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "client_key"], name="chatsession_once")]
        indexes = [models.Index(fields=["expires_at"], name="chatsession_expiry")]

    def __str__(self) -> str:
        return f"Session {self.pk}"
