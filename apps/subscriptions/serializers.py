"""Scores and what is recorded of subscriptions, as JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.bodies import Amount, Body, Choice, Currency, Day, Moment, Text, Truth
from apps.subscriptions.models import (
    AccountBalance,
    Approval,
    RecalculationRun,
    RenewalAttempt,
    RiskLevel,
)


class FactorSerializer(serializers.Serializer):
    """One factor of a score."""

    factor_type = serializers.CharField()
    weight = serializers.CharField(help_text="Its name: NONE, MEDIUM or HIGH.")
    weight_value = serializers.JSONField(help_text="Its number.")
    details = serializers.DictField(help_text="What was found.")


class ScoreSerializer(serializers.Serializer):
    """How risky a subscription's next renewal is."""

    subscription_id = serializers.UUIDField()
    risk_level = serializers.ChoiceField(choices=RiskLevel.choices)
    risk_factors = FactorSerializer(many=True)
    total_weight = Amount(help_text="Sum of all weights; orders scores within a level.")
    last_calculated_at = serializers.DateTimeField()
    rule_version = serializers.CharField(help_text="Weights and evaluators it was computed with.")
    degraded = serializers.BooleanField(help_text="Part of the calculation failed; retried at the next run.")
    degraded_reason = serializers.CharField()


class HistorySerializer(serializers.Serializer):
    """A change of a score."""

    calculated_at = serializers.DateTimeField()
    risk_level = serializers.ChoiceField(choices=RiskLevel.choices)
    previous_level = serializers.ChoiceField(
        choices=RiskLevel.choices, allow_blank=True, help_text="Empty for the first one."
    )
    risk_factors = FactorSerializer(many=True)
    total_weight = Amount()
    rule_version = serializers.CharField()
    degraded = serializers.BooleanField()


class AttemptSerializer(serializers.Serializer):
    """One try to charge one renewal."""

    id = serializers.UUIDField()
    subscription_id = serializers.UUIDField()
    renewal_on = serializers.DateField(help_text="All tries of one renewal share it.")
    number = serializers.IntegerField(help_text="1 for the first try of the renewal.")
    attempt_date = serializers.DateTimeField()
    amount = Amount()
    currency = serializers.CharField()
    success = serializers.BooleanField()
    error_message = serializers.CharField()
    decline_code = serializers.CharField()
    decline_kind = serializers.ChoiceField(
        choices=[("soft", "Soft"), ("hard", "Hard")], allow_blank=True, help_text="Empty unless declined."
    )
    recorded_at = serializers.DateTimeField()


class ApprovalSerializer(serializers.Serializer):
    """A person's consent to be charged, or to a way of paying."""

    id = serializers.UUIDField()
    subscription_id = serializers.UUIDField()
    approval_type = serializers.ChoiceField(choices=Approval.Kind.choices)
    expires_at = serializers.DateTimeField()
    status = serializers.ChoiceField(choices=Approval.Status.choices)
    created_at = serializers.DateTimeField()


class BalanceSerializer(serializers.Serializer):
    """What is there to pay with."""

    subscription_id = serializers.UUIDField()
    amount = Amount()
    currency = serializers.CharField()
    as_of = serializers.DateTimeField()


class RunSerializer(serializers.ModelSerializer):
    """A recalculation of all active subscriptions."""

    class Meta:
        model = RecalculationRun
        fields = [
            "id", "trigger", "status", "as_of", "started_at", "finished_at", "total", "succeeded", "failed", "degraded",
            "changed", "seconds", "error",
        ]  # fmt: skip
        read_only_fields = fields


class AttemptBody(Body):
    """An attempt at a renewal."""

    success = Truth()
    error_message = Text(required=False, default="", allow_blank=True, max_length=2_000)
    amount = Amount(required=False, help_text="Must be the subscription's price, which is the default.")
    currency = Currency(required=False, help_text="Must be the subscription's currency, which is the default.")
    attempt_date = Moment(required=False, help_text="Now, if not given.")
    renewal_on = Day(required=False, help_text="Which renewal was tried; the one due next if not given.")
    decline_code = Text(
        required=False, default="", allow_blank=True, max_length=60, help_text="As the payment provider names it."
    )


class ApprovalBody(Body):
    """A consent."""

    approval_type = Choice(choices=Approval.Kind.choices)
    expires_at = Moment()


class BalanceBody(Body):
    """A balance at a moment."""

    amount = Amount(help_text="May be negative.")
    currency = Currency()
    as_of = Moment(help_text="When it was so; news older than what is known is passed over.")


def enveloped(shape: type[serializers.Serializer], name: str) -> type[serializers.Serializer]:
    """The description of ``{"success": true, "data": ...}`` around a shape."""
    fields: dict[str, Any] = {"success": serializers.BooleanField(default=True), "data": shape()}
    return type(f"{name}AnswerSerializer", (serializers.Serializer,), fields)


def listed(shape: type[serializers.Serializer], name: str) -> type[serializers.Serializer]:
    """The description of a page of a list."""
    words = "How many there are in all pages, counted to 1,000; exact if `total_exact`, else at least so many."
    fields: dict[str, Any] = {
        "success": serializers.BooleanField(default=True),
        "data": shape(many=True),
        "total": serializers.IntegerField(help_text=words),
        "total_exact": serializers.BooleanField(),
        "next": serializers.URLField(allow_null=True, help_text="The next page; null on the last."),
    }
    return type(f"{name}PageSerializer", (serializers.Serializer,), fields)


ScoreAnswer = enveloped(ScoreSerializer, "Score")
RunAnswer = enveloped(RunSerializer, "Run")
AttemptAnswer = enveloped(AttemptSerializer, "Attempt")
ApprovalAnswer = enveloped(ApprovalSerializer, "Approval")
BalanceAnswer = enveloped(BalanceSerializer, "Balance")
ScorePage = listed(ScoreSerializer, "Score")
HistoryPage = listed(HistorySerializer, "History")
AttemptPage = listed(AttemptSerializer, "Attempt")
ApprovalPage = listed(ApprovalSerializer, "Approval")


def balance_data(balance: AccountBalance) -> dict[str, Any]:
    """A balance as JSON."""
    return dict(BalanceSerializer(balance).data)


def attempt_data(attempt: RenewalAttempt) -> dict[str, Any]:
    """An attempt as JSON."""
    return dict(AttemptSerializer(attempt).data)
