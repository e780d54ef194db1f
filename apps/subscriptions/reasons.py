"""A score's factors in words, as people read them in cards, mails and pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.subscriptions.factors import evaluators

Factor = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reason:
    """One factor of a score, in words.

    Attributes:
        weight: its name: ``NONE``, ``MEDIUM`` or ``HIGH``.
        value: what it weighs.
        text: what was found, such as ``3 renewals failed in a row (5 attempts in all)``.
    """

    slug: str
    title: str
    weight: str
    value: Decimal
    text: str

    @property
    def counts(self) -> bool:
        """Whether it adds to the risk."""
        return self.value > 0

    def __str__(self) -> str:
        return f"{self.title}: {self.weight} ({self.text})"


def reasons(factors: Iterable[Factor]) -> list[Reason]:
    """The factors of a score in words, the heaviest first."""
    found = [
        Reason(
            slug=str(one["factor_type"]),
            title=title(str(one["factor_type"])),
            weight=str(one["weight"]),
            value=Decimal(str(one.get("weight_value", 0))),
            text=words(one),
        )
        for one in factors
    ]
    return sorted(found, key=lambda one: -one.value)


def contributing(factors: Iterable[Factor]) -> list[Reason]:
    """The same without those that weigh nothing."""
    return [one for one in reasons(factors) if one.counts]


def title(slug: str) -> str:
    """The name of a factor, also of one that is no longer installed."""
    return evaluators[slug].title if slug in evaluators else slug.replace("_", " ").capitalize()


def words(factor: Factor) -> str:
    """What a factor found, in words; its details as they are where nobody wrote words for them."""
    details = factor.get("details") or {}
    if "error" in details:
        return f"could not be judged: {details['error']}"
    say = _WORDS.get(str(factor["factor_type"]))
    if say is not None:
        try:
            return say(details)
        except (KeyError, ValueError, InvalidOperation):
            pass  # details of a former version of the evaluator
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in details.items()) or "no details"


def _failures(details: Mapping[str, Any]) -> str:
    count, tries = int(details["consecutive_failures"]), int(details["total_attempts"])
    attempts = f"{tries:,} attempt{'' if tries == 1 else 's'} in all"
    if not count:
        return f"the last renewal was paid, {attempts}" if tries else "no renewal was tried yet"
    kind = {"hard": ", the last decline is final", "soft": ", the last decline may pass"}
    last = kind.get(str(details.get("last_decline_kind", "")), "")
    return f"{'1 renewal' if count == 1 else f'{count:,} renewals in a row'} failed, {attempts}{last}"


def _balance(details: Mapping[str, Any]) -> str:
    if details["balance"] == "unknown":
        return "no balance is known"
    balance, renewal, currency = Decimal(details["balance"]), Decimal(details["renewal_amount"]), details["currency"]
    share = f", {balance / renewal * 100:.0f} % of it" if renewal > 0 else ""
    return f"{money(balance, currency)} for a renewal of {money(renewal, currency)}{share}"


def _approval(details: Mapping[str, Any]) -> str:
    if details["approval"] == "missing":
        return "there is no approval to renew"
    day = f"{datetime.fromisoformat(details['expires_at']):%Y-%m-%d}"
    return f"approved until {day}" if details["approval"] == "valid" else f"the approval ended on {day}"


_WORDS = {
    "consecutive_failures": _failures,
    "balance_projection": _balance,
    "approval_expiration": _approval,
}


def money(amount: Decimal, currency: str) -> str:
    """Such as ``USD 1,234.50``."""
    return f"{currency} {amount:,.2f}"
