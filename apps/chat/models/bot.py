"""What the bot has to answer, and customers' proofs of who they are."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.core.fields import EncryptedTextField


class BotTurn(models.Model):
    """One answer that the bot owes. The row is the work: a lost task costs a few seconds, not the answer.

    A burst of messages moves the open turn on; ``turn`` of the conversation says whether its answer is still wanted.
    """

    class State(models.TextChoices):
        DUE = "due", "Due"
        DONE = "done", "Answered"
        CANCELLED = "cancelled", "Not wanted any more"
        FAILED = "failed", "Failed"

    class Outcome(models.TextChoices):
        ANSWERED = "answered", "Answered"
        CHOICES = "choices", "Offered choices"
        NOT_SURE = "not_sure", "Was not sure"
        SMALL_TALK = "small_talk", "Small talk"
        LOOKED_UP = "looked_up", "Looked something up"
        ASKED = "asked", "Asked for details"
        HANDED_OFF = "handed_off", "Handed off to a person"

    conversation = models.ForeignKey("chat.Conversation", models.PROTECT, related_name="bot_turns")
    context = models.PositiveIntegerField()
    turn = models.PositiveIntegerField(help_text="The turn of the conversation that it answers.")
    up_to_seq = models.PositiveIntegerField(help_text="The customer's last message that it answers.")
    state = models.CharField(max_length=10, choices=State, default=State.DUE)
    due_at = models.DateTimeField(help_text="Later while the customer is still writing.")
    tries = models.PositiveSmallIntegerField(default=0)
    outcome = models.CharField(max_length=12, choices=Outcome, blank=True)
    action = models.CharField(max_length=40, blank=True, help_text="What was done beside the words, such as handoff.")
    asked = models.ForeignKey("knowledge.AskedQuestion", models.SET_NULL, null=True, blank=True, related_name="+")
    error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["conversation"], condition=Q(state="due"), name="botturn_one_due")
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(state="due"), name="botturn_due")]

    def __str__(self) -> str:
        return f"Turn {self.turn}: {self.outcome or self.state}"


class Verification(models.Model):
    """A customer's attempt to prove that an order or a subscription is theirs.

    The same steps happen for right and wrong details, so that nobody learns from an answer what exists.
    """

    class Matter(models.TextChoices):
        ORDER = "order", "Order"
        SUBSCRIPTION = "subscription", "Subscription"

    conversation = models.ForeignKey("chat.Conversation", models.PROTECT, related_name="verifications")
    context = models.PositiveIntegerField()
    matter = models.CharField(max_length=12, choices=Matter)
    subject_id = models.BigIntegerField(null=True, blank=True, help_text="What was found; empty where nothing was.")
    reference_digest = models.BinaryField(max_length=32, help_text="Keyed, of the number that was given.")
    contact_digest = models.BinaryField(max_length=32, help_text="Keyed, of the e-mail address that was given.")
    code_digest = models.BinaryField(max_length=32, help_text="Keyed, of the one-time code.")
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    passed_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True, help_text="No more codes are taken.")
    coded_at = models.DateTimeField(
        null=True, blank=True, help_text="When its code was made, and mailed if there is something to prove."
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["conversation"], condition=Q(ended_at__isnull=True), name="verification_one_open"
            )
        ]
        indexes = [
            models.Index(fields=["contact_digest", "-created_at"], name="verification_contact"),
            models.Index(fields=["reference_digest", "-created_at"], name="verification_reference"),
        ]

    def __str__(self) -> str:
        return f"{self.get_matter_display()} {'proven' if self.passed_at else 'not proven'}"


class Dialogue(models.Model):
    """What the bot asks for at present: the next customer's message is read as the answer. Deleted when it is through."""

    class Matter(models.TextChoices):
        NONE = "", "Nothing yet"
        ORDER = "order", "Where an order is"
        SUBSCRIPTION = "subscription", "How a subscription stands"
        HANDOFF = "handoff", "What the team needs to know"

    conversation = models.OneToOneField("chat.Conversation", models.PROTECT, primary_key=True, related_name="dialogue")
    context = models.PositiveIntegerField()
    matter = models.CharField(max_length=12, choices=Matter, blank=True)
    asking = models.CharField(max_length=40, blank=True, help_text="What was asked for, such as contact or code.")
    known = models.JSONField(default=dict, blank=True, help_text="What was answered so far; never contacts or codes.")
    heard = EncryptedTextField(
        blank=True, help_text="JSON of what was written as an answer and must not stand in the transcript."
    )
    tries = models.PositiveSmallIntegerField(default=0, help_text="Times in a row that no answer was recognised.")
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="dialogue_expiry")]

    def __str__(self) -> str:
        return f"{self.get_matter_display()}: {self.asking}"
