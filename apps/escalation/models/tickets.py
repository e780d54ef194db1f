"""Tickets: what customers ask and agents answer."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from apps.escalation.querysets import TicketQuerySet


class Ticket(models.Model):
    """One matter of one requester."""

    class Channel(models.TextChoices):
        CHAT = "chat", "Chat"
        EMAIL = "email", "E-mail"
        PHONE = "phone", "Phone"
        WEB = "web", "Web form"
        API = "api", "API"
        SYSTEM = "system", "This system"

    class Priority(models.IntegerChoices):
        LOW = 1, "Low"
        NORMAL = 2, "Normal"
        HIGH = 3, "High"
        URGENT = 4, "Urgent"

    class Status(models.TextChoices):
        NEW = "new", "New"
        OPEN = "open", "Open"
        WAITING = "waiting", "Waiting for the customer"
        RESOLVED = "resolved", "Resolved"
        CLOSED = "closed", "Closed"
        MERGED = "merged", "Merged into another"

    number = models.CharField(max_length=20, unique=True, editable=False, help_text="Such as T-1042.")
    subject = models.CharField(max_length=200)
    summary = models.TextField(blank=True)
    requester_name = models.CharField(max_length=200, blank=True)
    requester_contact = models.CharField(max_length=254, blank=True, help_text="E-mail address or phone number.")
    channel = models.CharField(max_length=10, choices=Channel)
    category = models.ForeignKey("escalation.Category", models.PROTECT, null=True, blank=True, related_name="tickets")
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.NORMAL)
    order_reference = models.CharField(max_length=100, blank=True)
    scope = models.ForeignKey("core.Scope", models.PROTECT, null=True, blank=True, related_name="tickets")
    team = models.ForeignKey("escalation.Team", models.PROTECT, null=True, blank=True, related_name="tickets")
    assignee = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="assigned_tickets")
    status = models.CharField(max_length=10, choices=Status, default=Status.NEW)
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    merged_into = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="merged_tickets")
    source = models.CharField(
        max_length=100, blank=True, help_text="What it was made from, such as conversation:17; one ticket per source."
    )
    version = models.PositiveIntegerField(default=1, help_text="Rises with every change; writes say what they saw.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    first_responded_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    objects = TicketQuerySet.as_manager()

    class Meta:
        ordering = ["-priority", "created_at"]
        permissions = [("work_ticket", "Can answer, assign, merge and resolve tickets")]
        constraints = [
            models.UniqueConstraint(fields=["source"], condition=~Q(source=""), name="ticket_one_per_source"),
            models.CheckConstraint(
                condition=Q(status="merged", merged_into__isnull=False) | (~Q(status="merged") & Q(merged_into=None)),
                name="ticket_merged_into",
            ),
        ]
        indexes = [
            models.Index(
                fields=["team", "-priority", "created_at"],
                condition=Q(assignee=None, status__in=["new", "open"]),
                name="ticket_unassigned",
            ),
            models.Index(
                fields=["assignee", "-priority", "created_at"],
                condition=Q(status__in=["new", "open", "waiting"]),
                name="ticket_of_assignee",
            ),
            models.Index(fields=["scope", "status", "-created_at"], name="ticket_scope"),
            models.Index(fields=["requester_contact", "-created_at"], name="ticket_requester"),
            GinIndex(fields=["tags"], name="ticket_tags"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.subject}"


class TicketMessage(models.Model):
    """What was said about a ticket; redacted before it is stored. Never changed afterwards."""

    class Kind(models.TextChoices):
        CUSTOMER = "customer", "From the customer"
        AGENT = "agent", "To the customer"
        NOTE = "note", "Internal note"

    ticket = models.ForeignKey(Ticket, models.PROTECT, related_name="messages")
    kind = models.CharField(max_length=10, choices=Kind)
    author = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    body = models.TextField()
    masked = models.JSONField(default=list, blank=True, help_text="Kinds of what was masked in it, with counts.")
    client_key = models.UUIDField(null=True, blank=True, help_text="A retry with the same key adds nothing.")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["ticket", "client_key"], name="ticketmessage_once")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} at {self.created_at:%Y-%m-%d %H:%M}"


class TicketEvent(models.Model):
    """What was done with a ticket, and why: routing, assigning, merging, changes of state. Never changed."""

    ticket = models.ForeignKey(Ticket, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=24)
    at = models.DateTimeField()
    actor = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=500, blank=True)
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:%Y-%m-%d %H:%M}"


class TicketLink(models.Model):
    """That a ticket has to do with something else: a risk flag, an action card, a risk, a conversation."""

    ticket = models.ForeignKey(Ticket, models.CASCADE, related_name="links")
    target = models.CharField(max_length=100, help_text="kind:id, such as risk_flag:4 or action_card:17.")
    created_at = models.DateTimeField()
    created_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["ticket", "target"], name="ticketlink_once")]
        indexes = [models.Index(fields=["target"], name="ticketlink_target")]

    def __str__(self) -> str:
        return f"{self.ticket_id} with {self.target}"
