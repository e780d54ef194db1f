"""The register as JSON, and the bodies of requests about it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.bodies import Body, Choice, Day, Text, Truth, Whole
from apps.register.models import Acceptance, Attestation, Control, Mitigation, Rating, Risk, RiskAssessment

_USER: dict[str, Any] = {"read_only": True, "allow_null": True, "default": None}
STATUSES = [str(value) for value in Risk.Status.values]
# To where a status is set by hand; a risk is accepted by a request and a decision.
MOVES = ("open", "treated", "closed")


class RegisterProblemSerializer(serializers.Serializer):
    """Why a request was refused."""

    code = serializers.CharField(help_text="Stable, for programs.")
    message = serializers.CharField(help_text="For people; with 412 it tells what differs.")
    request_id = serializers.CharField()
    fields = serializers.DictField(required=False, help_text="What is wrong, by field.")  # type: ignore[assignment]
    version = serializers.IntegerField(required=False, help_text="With 412 and `acceptance_outdated`: the version now.")


class RegisterRefusalSerializer(serializers.Serializer):
    """Every error has this shape."""

    error = RegisterProblemSerializer()


class RatingSerializer(serializers.ModelSerializer):
    """A score: never changed; a later one of the same kind makes it not the latest."""

    matrix = serializers.CharField(source="matrix.matrix.slug", read_only=True)
    matrix_version = serializers.IntegerField(source="matrix.number", read_only=True)
    rated_by = serializers.CharField(source="rated_by.username", **_USER)

    class Meta:
        model = Rating
        fields = [
            "kind", "matrix", "matrix_version", "probability", "impact", "level", "severity", "reason", "rated_by",
            "rated_at", "latest",
        ]  # fmt: skip


class RiskSerializer(serializers.ModelSerializer):
    """A risk in a list."""

    assessment = serializers.CharField(source="assessment.slug", **_USER)
    category = serializers.CharField(source="category.path", **_USER)
    owner = serializers.CharField(source="owner.username", **_USER)
    scope = serializers.CharField(source="scope.slug", **_USER)

    class Meta:
        model = Risk
        fields = [
            "id", "reference", "title", "assessment", "category", "status", "treatment", "severity", "owner_role", "owner",
            "scope", "next_review_on", "recorded_at", "version",
        ]  # fmt: skip


class MitigationSerializer(serializers.ModelSerializer):
    """What is done about a risk."""

    owner = serializers.CharField(source="owner.username", **_USER)
    controls: Any = serializers.SlugRelatedField(slug_field="slug", many=True, read_only=True)

    class Meta:
        model = Mitigation
        fields = [
            "id", "risk", "assessment", "title", "description", "horizon", "priority", "owner_role", "owner", "due_on",
            "status", "progress", "effect", "controls", "version",
        ]  # fmt: skip


class AcceptanceSerializer(serializers.ModelSerializer):
    """A request to accept a risk, and what became of it."""

    requested_by = serializers.CharField(source="requested_by.username", read_only=True)
    decided_by = serializers.CharField(source="decided_by.username", **_USER)

    class Meta:
        model = Acceptance
        fields = [
            "id", "risk", "state", "reason", "expires_on", "requested_by", "requested_at", "decided_by", "decided_at",
            "decision_reason", "ended_at", "digest",
        ]  # fmt: skip


class VerifiedSerializer(serializers.Serializer):
    """How many of a risk's mitigations are verified how; each counts once."""

    machine = serializers.IntegerField(help_text="Verified by a check.")
    person = serializers.IntegerField(help_text="Verified by a person's word alone.")
    failing = serializers.IntegerField(help_text="Not verified, for one of their controls fails.")
    nobody = serializers.IntegerField(help_text="Not verified, for no control says anything.")
    controls = serializers.IntegerField(help_text="Controls that fail or could not be checked.")


class RiskDetailSerializer(RiskSerializer):
    """A risk with its scores, mitigations and acceptances."""

    ratings = RatingSerializer(many=True, read_only=True)
    mitigations = MitigationSerializer(many=True, read_only=True)
    acceptances = AcceptanceSerializer(many=True, read_only=True)
    links = serializers.SerializerMethodField()
    verified = serializers.SerializerMethodField()

    class Meta(RiskSerializer.Meta):
        fields = [
            *RiskSerializer.Meta.fields, "source", "description", "cause", "consequence", "proximity", "ratings",
            "mitigations", "acceptances", "links", "verified",
        ]  # fmt: skip

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_links(self, risk: Risk) -> list[str]:
        return [link.target for link in risk.links.all()]

    @extend_schema_field(VerifiedSerializer)
    def get_verified(self, risk: Risk) -> Any:
        return VerifiedSerializer(self.context["verified"]).data


class AssessmentSerializer(serializers.ModelSerializer):
    """An assessment in a list."""

    owner = serializers.CharField(source="owner.username", **_USER)
    scope = serializers.CharField(source="scope.slug", **_USER)

    class Meta:
        model = RiskAssessment
        fields = ["id", "slug", "title", "project", "status", "phase", "owner", "scope", "next_review_on", "version"]


class ControlSerializer(serializers.ModelSerializer):
    """A control, and what it says now."""

    owner = serializers.CharField(source="owner.username", **_USER)
    outcome = serializers.SerializerMethodField(help_text="pass, warn, fail or error; empty while nothing is known.")
    words = serializers.SerializerMethodField()

    class Meta:
        model = Control
        fields = [
            "id",
            "slug",
            "title",
            "kind",
            "check_slug",
            "every_days",
            "owner_role",
            "owner",
            "active",
            "outcome",
            "words",
        ]

    def get_outcome(self, control: Control) -> str:
        return str(self.context["words"][control.pk].outcome)

    def get_words(self, control: Control) -> str:
        return str(self.context["words"][control.pk].words)


class AttestationSerializer(serializers.ModelSerializer):
    """A person's word for a control."""

    attested_by = serializers.CharField(source="attested_by.username", read_only=True)

    class Meta:
        model = Attestation
        fields = ["id", "control", "outcome", "statement", "evidence_link", "attested_by", "attested_at", "valid_until"]


def _page(shape: type[serializers.BaseSerializer], name: str) -> type[serializers.Serializer]:
    fields = {
        "next": serializers.URLField(allow_null=True, help_text="The next page."),
        "results": shape(many=True),
        "__doc__": "A page of a list.",
    }
    return type(name, (serializers.Serializer,), fields)


RiskPage = _page(RiskSerializer, "RiskPage")
MitigationPage = _page(MitigationSerializer, "MitigationPage")
AssessmentPage = _page(AssessmentSerializer, "RiskAssessmentPage")
ControlPage = _page(ControlSerializer, "ControlPage")


def _text(most: int, **more: Any) -> Text:
    """A text as it was sent: whether none or only spaces are enough is said by what it is for."""
    return Text(max_length=most, trim_whitespace=False, allow_blank=True, **more)


_OWNER = "Username; null for nobody."


class _RiskWords(Body):
    description = _text(10_000, required=False)
    cause = _text(10_000, required=False)
    consequence = _text(10_000, required=False)
    category = _text(500, required=False, allow_null=True, help_text="Its path, such as `Security > Data Protection`.")
    owner_role = _text(60, required=False)
    owner = _text(150, required=False, allow_null=True, help_text=_OWNER)
    treatment = Choice(choices=Risk.Treatment.choices, required=False)
    proximity = Choice(choices=[("", "Not said"), *Risk.Proximity.choices], required=False)


class RiskEditBody(_RiskWords):
    """Changes of a risk; what is left out stays."""

    title = _text(200, required=False)
    reason = _text(10_000, required=False, default="")


class RiskBody(_RiskWords):
    """A new risk."""

    title = _text(200)
    source = _text(  # type: ignore[assignment]  # DRF's metaclass takes declared fields away from the class
        250, help_text="What it comes from, such as `audit:2026-4`; the same source is the same risk."
    )
    assessment = _text(80, required=False, allow_null=True, help_text="Slug of its assessment.")


class RatingBody(Body):
    """A score: by steps of the matrix, or by a level."""

    kind = Choice(choices=Rating.Kind.choices)
    probability = Whole(min_value=1, max_value=10, required=False, allow_null=True, default=None)
    impact = Whole(min_value=1, max_value=10, required=False, allow_null=True, default=None)
    level = _text(40, required=False, default="", help_text="Instead of the steps: its name or number.")
    reason = _text(10_000)


class StatusBody(Body):
    """Another status, and why."""

    to = Choice(choices=MOVES)
    reason = _text(10_000)


class RequestBody(Body):
    """A request to accept a risk."""

    expires_on = Day(help_text="The risk is open again from this day on; within a year.")
    reason = _text(10_000)


class DecisionBody(Body):
    """What is decided about a request."""

    accept = Truth()
    reason = _text(10_000)
    digest = _text(64, required=False, default="", help_text="Of the request that was looked at.")


class MitigationEditBody(Body):
    """Changes of a mitigation; what is left out stays."""

    title = _text(500, required=False)
    description = _text(10_000, required=False)
    horizon = Choice(choices=Mitigation.Horizon.choices, required=False)
    priority = _text(60, required=False)
    owner_role = _text(60, required=False)
    owner = _text(150, required=False, allow_null=True, help_text=_OWNER)
    due_on = Day(required=False, allow_null=True)
    status = Choice(choices=Mitigation.Status.choices, required=False)
    progress = Whole(min_value=0, max_value=100, required=False)
    effect = _text(300, required=False)
    reason = _text(10_000, required=False, default="")


class MitigationBody(MitigationEditBody):
    """A new mitigation."""

    title = _text(500)


class AttestationBody(Body):
    """One's word for a control, with a link to what shows it."""

    outcome = Choice(choices=Attestation.Outcome.choices)
    statement = _text(10_000)
    link = _text(500)
