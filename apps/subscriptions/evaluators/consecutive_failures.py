"""Renewals that failed one after another."""

from __future__ import annotations

from datetime import datetime

from apps.subscriptions.factors import Finding, evaluator
from apps.subscriptions.facts import Facts

MANY = 3  # failed renewals in a row from which the weight is HIGH


@evaluator(
    slug="consecutive_failures",
    title="Consecutive failures",
    weights={"NONE": 0, "MEDIUM": 5, "HIGH": 10},
    variables={
        "NONE": "RISK_WEIGHT_CONSECUTIVE_NONE",
        "MEDIUM": "RISK_WEIGHT_CONSECUTIVE_MEDIUM",
        "HIGH": "RISK_WEIGHT_CONSECUTIVE_HIGH",
    },
    mitigation={
        "MEDIUM": "Adjust the retry: agree a day on which the payment will go through.",
        "MEDIUM/hard": "Ask the owner to update the payment method; this one will not work again.",
        "HIGH": "Ask the owner to update the payment method, and adjust the retry to it.",
        "HIGH/hard": "Ask the owner to update the payment method; this one will not work again.",
    },
)
def evaluate(*, now: datetime, facts: Facts) -> Finding:
    """How many of the newest renewals in a row failed: none, one or two, three or more.

    A retry of the same renewal is not another failure, and a renewal that a retry paid is none.
    """
    count = facts.consecutive_failures
    details = {"consecutive_failures": count, "total_attempts": facts.total_attempts}
    if count <= 0:
        return Finding("NONE", details)
    return Finding("HIGH" if count >= MANY else "MEDIUM", details | {"last_decline_kind": facts.last_decline_kind})
