"""Cards and decisions as JSON."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.actions.decide import MAX_MESSAGE
from apps.actions.executors import offered_actions
from apps.actions.freshness import freshness
from apps.actions.models import ActionCard, CardEvent, Execution
from apps.core.bodies import Body, Choice, Text, Whole


class EvidenceSerializer(serializers.Serializer):
    """Where facts on a card came from."""

    source = serializers.CharField()  # type: ignore[assignment]  # as below
    requestId = serializers.CharField(help_text="`{source}-{operation}-{yyyymmdd}-{seq}`")
    query = serializers.CharField()
    timestamp = serializers.DateTimeField()
    data = serializers.DictField()  # type: ignore[assignment]  # DRF collects declared fields, and removes them


class OfferedActionSerializer(serializers.Serializer):
    """Something that approving this card can do."""

    slug = serializers.CharField()
    title = serializers.CharField()
    describe = serializers.CharField()
    describe_rollback = serializers.CharField()
    sends_message = serializers.BooleanField()


class EventSerializer(serializers.ModelSerializer):
    """One line of a card's timeline."""

    actor = serializers.CharField(source="actor.username", default=None, allow_null=True, read_only=True)
    data = serializers.DictField(  # type: ignore[assignment]
        help_text="`changes` holds `[before, after]` by label."
    )

    class Meta:
        model = CardEvent
        fields = ["id", "kind", "card_version", "actor", "at", "text", "data"]


class ExecutionSerializer(serializers.ModelSerializer):
    """An effect that was approved, or its rollback, and how it went."""

    requested_by = serializers.CharField(source="requested_by.username", read_only=True)

    class Meta:
        model = Execution
        fields = [
            "id", "key", "action", "direction", "status", "attempts", "next_attempt_at", "failure_kind", "last_error",
            "requested_by", "created_at", "finished_at",
        ]  # fmt: skip


class CardSerializer(serializers.ModelSerializer):
    """A card as the queue shows it."""

    type = serializers.ChoiceField(source="kind", choices=ActionCard.Kind.choices)
    scope = serializers.CharField(source="scope.slug", default=None, allow_null=True, read_only=True)
    rule_version = serializers.IntegerField(source="rule_version.number", read_only=True)
    # A column that the database computes is no model field that DRF has a field for.
    priority = serializers.DecimalField(max_digits=20, decimal_places=5, read_only=True)
    outcome = serializers.ChoiceField(
        choices=ActionCard.Outcome.choices, allow_blank=True, read_only=True, help_text="Empty until it is dismissed."
    )
    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True, read_only=True)
    freshness_label = serializers.SerializerMethodField(help_text="Computed from the facts and the rule's last run.")

    class Meta:
        model = ActionCard
        fields = [
            "id", "version", "status", "type", "rule", "rule_version", "subject", "scope", "target", "draft",
            "expected_impact", "currency", "expected_loss", "confidence", "ease", "priority", "risk_tier",
            "can_execute", "freshness_label", "opened_at", "changed_at", "closed_at", "decided_by", "outcome",
            "outcome_reason",
        ]  # fmt: skip
        read_only_fields = fields

    def get_freshness_label(self, card: ActionCard) -> str:
        return freshness(card, now=self.context.get("now") or timezone.now(), last_good=self.context["last_good"])


class CardDetailSerializer(CardSerializer):
    """A card with its evidence, words, timeline and effects."""

    evidence = EvidenceSerializer(many=True, read_only=True)
    actions = serializers.SerializerMethodField(help_text="What approving can do, the default first.")
    events = EventSerializer(many=True, read_only=True)
    executions = ExecutionSerializer(many=True, read_only=True)

    class Meta(CardSerializer.Meta):
        fields = [
            *CardSerializer.Meta.fields, "message", "evidence", "rationale", "mitigation", "escalation",
            "rollback_plan", "actions", "events", "executions",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(OfferedActionSerializer(many=True))
    def get_actions(self, card: ActionCard) -> Any:
        return OfferedActionSerializer(offered_actions(card), many=True).data


_SEEN: dict[str, Any] = {
    "min_value": 1,
    "max_value": 2**31 - 1,
    "required": False,
    "help_text": "The version that was looked at, see `ETag`; or say it by the header `If-Match`.",
}


def _text(most: int, **more: Any) -> Text:
    """A text as it was sent; the decision says whether it can do without."""
    return Text(max_length=most, trim_whitespace=False, allow_blank=True, **more)


class RetryBody(Body):
    """Retry: what every decision says, which version of the card was looked at."""

    seen_version = Whole(**_SEEN)


class ApproveBody(Body):
    """Approve: one of the card's `actions` is done by a worker."""

    seen_version = Whole(**_SEEN)
    action = Text(min_length=1, max_length=60, trim_whitespace=False, help_text="Slug of one of the card's `actions`.")
    message = _text(MAX_MESSAGE, required=False, default="", help_text="The edited draft.")


class DismissBody(Body):
    """Dismiss: how the finding turned out. A false alarm needs a reason."""

    seen_version = Whole(**_SEEN)
    outcome = Choice(choices=ActionCard.Outcome.choices)
    reason = _text(500, required=False, default="")


class EscalateBody(Body):
    """Escalate: a risk flag is raised on the card's evidence."""

    seen_version = Whole(**_SEEN)
    level = Whole(min_value=1, max_value=5, help_text="1 minimal to 5 critical.")
    reason = _text(4_000)


class CardNoteBody(Body):
    """A line for colleagues. It changes nothing that is decided upon, so it needs no version."""

    text = _text(4_000)


class RollBackBody(Body):
    """Roll back what approving did."""

    seen_version = Whole(**_SEEN)
    reason = _text(4_000)


class DecidedSerializer(serializers.Serializer):
    """The card after a decision, and what the decision made."""

    card = CardDetailSerializer()
    execution = ExecutionSerializer(allow_null=True)
    risk_flag = serializers.IntegerField(allow_null=True, help_text="Id of the risk flag that was raised.")


class ChangeSerializer(serializers.Serializer):
    """What is different from what was seen."""

    label = serializers.CharField()  # type: ignore[assignment]  # DRF collects declared fields, and removes them
    before = serializers.CharField()
    after = serializers.CharField()


class ErrorBodySerializer(serializers.Serializer):
    """Why a request was refused."""

    code = serializers.CharField(help_text="Stable, for programs.")
    message = serializers.CharField(help_text="For people.")
    request_id = serializers.CharField()
    fields = serializers.DictField(required=False, help_text="What is wrong, by field.")  # type: ignore[assignment]
    changes = ChangeSerializer(many=True, required=False, help_text="With `card_changed`.")
    version = serializers.IntegerField(required=False, allow_null=True, help_text="With `card_changed`: the one now.")


class ErrorSerializer(serializers.Serializer):
    """Every error has this shape."""

    error = ErrorBodySerializer()
