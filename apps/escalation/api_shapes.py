"""Flags and tickets as JSON, and the bodies of requests about them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.bodies import Body, Choice, Text, Truth, Whole
from apps.escalation.details import EDITABLE as FLAG_FIELDS
from apps.escalation.ladder import TRANSITIONS, allowed
from apps.escalation.models import Clock, FlagEvent, Indicator, RiskFlag, Ticket, TicketEvent, TicketMessage

STEPS = tuple(dict.fromkeys(one.name for one in TRANSITIONS))
MOVES = ("wait", "resume", "resolve", "reopen", "close")
_USER: dict[str, Any] = {"read_only": True, "allow_null": True, "default": None}


class ProblemSerializer(serializers.Serializer):
    """Why a request was refused."""

    code = serializers.CharField(help_text="Stable, for programs.")
    message = serializers.CharField(help_text="For people.")
    request_id = serializers.CharField()
    fields = serializers.DictField(required=False, help_text="What is wrong, by field.")  # type: ignore[assignment]
    version = serializers.IntegerField(
        required=False, help_text="With `ticket_changed`, `flag_changed`, `precondition_failed`: the one now."
    )


class RefusalSerializer(serializers.Serializer):
    """Every error has this shape."""

    error = ProblemSerializer()


class ClockSerializer(serializers.ModelSerializer):
    """A deadline, and why it is what it is."""

    why = serializers.SerializerMethodField()

    class Meta:
        model = Clock
        fields = ["target", "step", "status", "due_at", "why"]

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_why(self, clock: Clock) -> list[str]:
        return [str(step["text"]) for step in clock.trace]


class MessageSerializer(serializers.ModelSerializer):
    """What was said about a ticket, as it is kept: redacted."""

    author = serializers.CharField(source="author.username", **_USER)

    class Meta:
        model = TicketMessage
        fields = ["id", "kind", "author", "body", "created_at"]


class TicketEventSerializer(serializers.ModelSerializer):
    """What was done with a ticket, and why."""

    actor = serializers.CharField(source="actor.username", **_USER)

    class Meta:
        model = TicketEvent
        fields = ["kind", "at", "actor", "reason"]


class TicketSerializer(serializers.ModelSerializer):
    """A ticket in a list."""

    category = serializers.CharField(source="category.slug", **_USER)
    scope = serializers.CharField(source="scope.slug", **_USER)
    team = serializers.CharField(source="team.name", **_USER)
    assignee = serializers.CharField(source="assignee.username", **_USER)
    merged_into = serializers.CharField(source="merged_into.number", **_USER)
    tags = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Ticket
        fields = [
            "id", "number", "version", "status", "subject", "summary", "requester_name", "requester_contact", "channel",
            "category", "priority", "order_reference", "scope", "team", "assignee", "tags", "merged_into", "created_at",
            "updated_at", "first_responded_at", "resolved_at",
        ]  # fmt: skip
        read_only_fields = fields


class TicketDetailSerializer(TicketSerializer):
    """A ticket with what was said and done, its links and its deadlines."""

    messages = MessageSerializer(many=True, read_only=True)
    events = TicketEventSerializer(many=True, read_only=True)
    links: Any = serializers.SlugRelatedField(slug_field="target", many=True, read_only=True)
    clocks = ClockSerializer(many=True, read_only=True)

    class Meta(TicketSerializer.Meta):
        fields = [*TicketSerializer.Meta.fields, "messages", "events", "links", "clocks"]
        read_only_fields = fields


class FlagEventSerializer(serializers.ModelSerializer):
    """One line of a flag's timeline."""

    actor = serializers.CharField(source="actor.username", **_USER)

    class Meta:
        model = FlagEvent
        fields = ["kind", "at", "actor", "text"]


class FlagSerializer(serializers.ModelSerializer):
    """A risk flag in a list."""

    scope = serializers.CharField(source="scope.slug", **_USER)
    assignee = serializers.CharField(source="assignee.username", **_USER)
    raised_by = serializers.CharField(source="raised_by.username", **_USER)
    references = serializers.ListField(child=serializers.CharField(), read_only=True)
    indicator = serializers.ChoiceField(choices=Indicator.choices, allow_blank=True)

    class Meta:
        model = RiskFlag
        fields = [
            "id", "version", "level", "status", "step", *FLAG_FIELDS, "source", "scope", "assignee", "raised_by",
            "raised_at", "step_since", "confirmed_at", "resolved_at",
        ]  # fmt: skip
        read_only_fields = fields


class WaySerializer(serializers.Serializer):
    """A step that you may take with the flag now."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # DRF collects declared fields, and removes them
    reason = serializers.CharField(help_text="What the reason has to say; empty: none is needed.")
    handover = serializers.CharField(allow_null=True, help_text="The direction whose list of information is required.")


class FlagDetailSerializer(FlagSerializer):
    """A risk flag with its timeline, its deadlines, and the steps that you may take."""

    events = FlagEventSerializer(many=True, read_only=True)
    clocks = ClockSerializer(many=True, read_only=True)
    transitions = serializers.SerializerMethodField()

    class Meta(FlagSerializer.Meta):
        fields = [*FlagSerializer.Meta.fields, "events", "clocks", "transitions"]
        read_only_fields = fields

    @extend_schema_field(WaySerializer(many=True))
    def get_transitions(self, flag: RiskFlag) -> Any:
        return WaySerializer(allowed(flag, self.context["person"]), many=True).data


class TicketPage(serializers.Serializer):
    """A page of tickets."""

    next = serializers.URLField(allow_null=True, help_text="The next page.")
    results = TicketSerializer(many=True)


class FlagPage(serializers.Serializer):
    """A page of flags."""

    next = serializers.URLField(allow_null=True, help_text="The next page.")
    results = FlagSerializer(many=True)


def _text(most: int, **more: Any) -> Text:
    """A text as it was sent: whether none or only spaces are enough is said by what it is for."""
    return Text(max_length=most, trim_whitespace=False, allow_blank=True, **more)


def _optional(most: int) -> Text:
    return _text(most, required=False, default="")


_SEEN: dict[str, Any] = {
    "min_value": 1,
    "max_value": 2**31 - 1,
    "required": False,
    "help_text": "The version that was looked at, see `ETag`; or say it by the header `If-Match`.",
}


class TicketBody(Body):
    """A new ticket. What it needs besides a subject is said by its category."""

    subject = _text(200)
    channel = Choice(choices=Ticket.Channel.choices, required=False, default="api")
    category = _text(60, required=False, allow_null=True, help_text="Its slug.")
    requester_name = _optional(200)
    requester_contact = _optional(254)
    summary = _optional(4_000)
    order_reference = _optional(100)
    priority = Whole(min_value=1, max_value=4, required=False, help_text="1 low, 2 normal, 3 high, 4 urgent.")
    message = _optional(4_000)
    scope = _text(60, required=False, allow_null=True, help_text="Slug of a scope that you work in.")


class EditBody(Body):
    """Corrections of a ticket; what is left out stays."""

    seen_version = Whole(**_SEEN)
    subject = _text(200, required=False)
    category = _text(60, required=False, allow_null=True)
    requester_name = _text(200, required=False)
    requester_contact = _text(254, required=False)
    summary = _text(4_000, required=False)
    order_reference = _text(100, required=False)
    priority = Whole(min_value=1, max_value=4, required=False)
    tags = serializers.ListField(child=_text(40), max_length=20, required=False)


class ReplyBody(Body):
    """An answer to the customer."""

    text = _text(10_000)
    seen_version = Whole(**_SEEN)
    then_wait = Truth(required=False, default=False, help_text="The customer has to say something now.")


class WordsBody(Body):
    """What the customer wrote, or a note."""

    text = _text(10_000)


class AssignBody(Body):
    """Who gets the ticket."""

    seen_version = Whole(**_SEEN)
    assignee = _text(150, allow_null=True, help_text="Username; null gives it back to the queue.")
    reason = _optional(500)


class MoveBody(Body):
    """What becomes of the ticket."""

    seen_version = Whole(**_SEEN)
    transition = Choice(choices=MOVES)
    reason = _optional(500)


class MergeBody(Body):
    """Into which ticket this duplicate goes."""

    seen_version = Whole(**_SEEN)
    into = Whole(min_value=1, max_value=10**15, help_text="Id of the ticket that stays.")
    reason = _optional(500)


class FlagBody(Body):
    """A risk, by the Risk Flag template."""

    title = _text(200)
    description = _text(4_000)
    level = Whole(min_value=1, max_value=5)
    indicator = Choice(choices=Indicator.choices, required=False, default="")
    ticket = Whole(min_value=1, max_value=10**15, required=False, help_text="Id of the ticket it is raised from.")
    affected_count = Whole(min_value=0, max_value=10**9, required=False, allow_null=True, default=None)
    affected_customers = _optional(2_000)
    frequency = _optional(1_000)
    impact = _optional(1_000)
    containment = _optional(1_000)
    communications = _optional(2_000)
    references = serializers.ListField(
        child=serializers.RegexField(r"^[a-z_]{1,40}:[0-9A-Za-z_-]{1,50}$"), max_length=50, required=False, default=list
    )
    scope = _text(60, required=False, allow_null=True, help_text="Slug of a scope that you work in.")


class StepBody(Body):
    """A step on the ladder: one of the flag's `transitions`."""

    seen_version = Whole(**_SEEN)
    transition = Choice(choices=STEPS)
    reason = _optional(10_000)
    information = serializers.DictField(
        child=_text(10_000), required=False, default=dict, help_text="What a handover has to say."
    )


class LevelBody(Body):
    """Another level, and why."""

    seen_version = Whole(**_SEEN)
    level = Whole(min_value=1, max_value=5)
    reason = _text(10_000)
