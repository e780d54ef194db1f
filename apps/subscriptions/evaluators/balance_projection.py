"""Whether the balance will pay the next renewal."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from apps.subscriptions.factors import Finding, evaluator
from apps.subscriptions.facts import Facts

COMFORT = Decimal("1.2")  # of the renewal amount; from there on the balance is sufficient


class CurrenciesDiffer(ValueError):
    """The balance is in another currency than the price, and nobody here knows a rate."""


@evaluator(
    slug="balance_projection",
    title="Balance projection",
    weights={"NONE": 0, "MEDIUM": 5, "HIGH": 10},
    variables={
        "NONE": "RISK_WEIGHT_BALANCE_SUFFICIENT",
        "MEDIUM": "RISK_WEIGHT_BALANCE_LOW",
        "HIGH": "RISK_WEIGHT_BALANCE_INSUFFICIENT",
    },
    mitigation={
        "MEDIUM": "Remind the owner to top up: the balance covers the renewal with little to spare.",
        "HIGH": "Send a top-up reminder: the balance does not cover the renewal.",
    },
)
def evaluate(*, now: datetime, facts: Facts) -> Finding:
    """The balance as a share of the renewal amount: 120 % or more, 100 to below 120 %, below 100 %.

    Where no balance is known it weighs nothing, and says so.

    Raises:
        CurrenciesDiffer: if balance and price cannot be compared.
    """
    if facts.balance_amount is None:
        return Finding("NONE", {"balance": "unknown", "renewal_amount": str(facts.price), "currency": facts.currency})
    if facts.balance_currency != facts.currency:
        raise CurrenciesDiffer(f"the balance is in {facts.balance_currency}, the price in {facts.currency}")
    details = {
        "balance": str(facts.balance_amount),
        "renewal_amount": str(facts.price),
        "currency": facts.currency,
        "balance_as_of": facts.balance_as_of.isoformat() if facts.balance_as_of else None,
    }
    # Multiplied, not divided: exact at the boundaries, and there is no share of a price of nothing.
    if facts.balance_amount >= facts.price * COMFORT:
        return Finding("NONE", details)
    return Finding("MEDIUM" if facts.balance_amount >= facts.price else "HIGH", details)
