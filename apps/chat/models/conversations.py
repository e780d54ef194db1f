"""Conversations and what happened in them, in the order of ``seq``."""

from __future__ import annotations

from uuid import uuid4

from django.db import models
from django.db.models import F, Q

from apps.chat.querysets import ConversationQuerySet, EventQuerySet


class Conversation(models.Model):
    """What one visitor and the company say to each other.

    ``seq`` is the number of its last event. ``turn`` rises with each message of the customer and when a person takes
    over: what the bot says for an earlier turn is not sent any more. ``context`` rises when a resolved conversation
    starts again: the bot, ratings and hand-offs look at one context only.
    """

    class State(models.TextChoices):
        BOT = "bot", "With the bot"
        WAITING = "waiting", "Waiting for a person"
        PERSON = "person", "With a person"
        RESOLVED = "resolved", "Resolved"

    class Resolution(models.TextChoices):
        CONFIRMED = "confirmed", "By the bot, as the customer said"
        ASSUMED = "assumed", "By the bot, as nobody came back"
        PERSON = "person", "By a person"
        TICKET = "ticket", "Goes on as a ticket"
        LEFT = "left", "The customer left"

    public_id = models.UUIDField(default=uuid4, unique=True, editable=False)
    site = models.ForeignKey("chat.ChatSite", models.PROTECT, related_name="conversations")
    scope = models.ForeignKey("core.Scope", models.PROTECT, related_name="conversations")
    visitor = models.ForeignKey("chat.Visitor", models.PROTECT, related_name="conversations")
    state = models.CharField(max_length=10, choices=State, default=State.BOT)
    subject = models.CharField(max_length=200, blank=True)
    language = models.CharField(max_length=10, default="en")
    category = models.ForeignKey("escalation.Category", models.PROTECT, null=True, blank=True, related_name="+")
    team = models.ForeignKey("escalation.Team", models.PROTECT, null=True, blank=True, related_name="conversations")
    assignee = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="conversations")
    ticket = models.ForeignKey("escalation.Ticket", models.PROTECT, null=True, blank=True, related_name="conversations")
    seq = models.PositiveIntegerField(default=0)
    turn = models.PositiveIntegerField(default=0)
    context = models.PositiveIntegerField(default=1)
    misses = models.PositiveSmallIntegerField(default=0, help_text="Times in a row that the bot was not sure.")
    customer_read_seq = models.PositiveIntegerField(default=0)
    customer_got_seq = models.PositiveIntegerField(default=0)
    staff_read_seq = models.PositiveIntegerField(default=0)
    judged_seq = models.PositiveIntegerField(default=0, help_text="Up to here the indicators of risks have looked.")
    opened_at = models.DateTimeField()
    last_event_at = models.DateTimeField()
    last_customer_at = models.DateTimeField(null=True, blank=True)
    waiting_since = models.DateTimeField(null=True, blank=True)
    first_response_at = models.DateTimeField(null=True, blank=True, help_text="A person's first words in this context.")
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=10, choices=Resolution, blank=True)
    cleared_at = models.DateTimeField(null=True, blank=True, help_text="When its words were forgotten.")
    version = models.PositiveIntegerField(default=1, help_text="Rises when its state, team or person changes.")

    objects = ConversationQuerySet.as_manager()

    class Meta:
        ordering = ["-last_event_at"]
        permissions = [
            ("chat_with_customer", "Can answer, take over, transfer and resolve conversations"),
            ("erase_customer", "Can export and erase what a customer said"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="resolved", resolved_at__isnull=False) | (~Q(state="resolved") & Q(resolved_at=None)),
                name="conversation_resolved_at",
            ),
            models.CheckConstraint(
                condition=~Q(state="person") | Q(assignee__isnull=False), name="conversation_person_has_one"
            ),
            models.CheckConstraint(
                condition=~Q(state="waiting") | Q(waiting_since__isnull=False), name="conversation_waits_since"
            ),
        ]
        indexes = [
            models.Index(fields=["team", "waiting_since"], condition=Q(state="waiting"), name="conversation_queue"),
            models.Index(
                fields=["assignee", "-last_event_at"], condition=Q(state="person"), name="conversation_of_assignee"
            ),
            models.Index(fields=["scope", "-last_event_at"], name="conversation_scope"),
            models.Index(fields=["visitor", "-opened_at"], name="conversation_visitor"),
            models.Index(fields=["id"], condition=Q(judged_seq__lt=F("seq")), name="conversation_unjudged"),
        ]

    def __str__(self) -> str:
        return self.subject or f"Conversation {self.pk}"


class Event(models.Model):
    """Something that happened in a conversation. Kept as it is; only its words can be forgotten (database trigger)."""

    class Kind(models.TextChoices):
        MESSAGE = "message", "Message"
        NOTE = "note", "Private note"
        FILE = "file", "File"
        STATE = "state", "Change of state"
        HANDOFF = "handoff", "Hand-off to a person"
        ASSIGNED = "assigned", "Given to somebody"
        RATING = "rating", "Rating"
        FORM = "form", "Details that were asked for"

    class Author(models.TextChoices):
        CUSTOMER = "customer", "Customer"
        BOT = "bot", "Bot"
        AGENT = "agent", "Agent"
        SYSTEM = "system", "System"

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="events")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=Kind)
    author = models.CharField(max_length=10, choices=Author)
    user = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    client_id = models.UUIDField(null=True, blank=True, help_text="Chosen by the sender: sending twice stores once.")
    text = models.TextField(blank=True, help_text="Redacted before it is stored.")
    data = models.JSONField(default=dict, blank=True)
    internal = models.BooleanField(default=False, help_text="Never shown to the customer.")
    at = models.DateTimeField()

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["conversation", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["conversation", "seq"], name="event_order"),
            models.UniqueConstraint(fields=["conversation", "client_id"], name="event_once"),
        ]

    def __str__(self) -> str:
        return f"{self.seq}: {self.get_kind_display()}"


class Upload(models.Model):
    """A file of a conversation, kept in private storage under a random name."""

    public_id = models.UUIDField(default=uuid4, unique=True, editable=False)
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="uploads")
    name = models.CharField(max_length=200, help_text="As the sender called it, cleaned.")
    content_type = models.CharField(max_length=100, help_text="As its content says.")
    size = models.PositiveIntegerField(help_text="Bytes.")
    file = models.FileField(max_length=200, blank=True)
    by_customer = models.BooleanField()
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class Reading(models.Model):
    """A member of staff looked at a transcript. Never changed."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="readings")
    user = models.ForeignKey("core.User", models.PROTECT, related_name="+")
    up_to_seq = models.PositiveIntegerField()
    place = models.CharField(max_length=20, help_text="Where it was read, such as desk or export.")
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["conversation", "-at"], name="reading_conversation")]

    def __str__(self) -> str:
        return f"{self.user} at {self.at:%Y-%m-%d %H:%M}"
