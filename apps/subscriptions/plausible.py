"""Whether what is told about a subscription can be true: amounts, currencies and dates, and the words if not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from apps.subscriptions import refusals
from apps.subscriptions.models import Subscription

CLOCK_SKEW = timedelta(minutes=5)
LONGEST_AGO = timedelta(days=3653)
_CENT = Decimal("0.01")
_LARGEST = Decimal("1e12")


def charged(subscription: Subscription, amount: Decimal | None, currency: str | None) -> tuple[Decimal, str]:
    """What was charged: the subscription's price, and nothing else.

    Raises:
        CurrencyMismatch, AmountInvalid, AmountNegative, AmountMismatch: it is something else.
    """
    if currency is not None:
        check_currency(subscription, currency)
    if amount is not None:
        amount = money(amount, "amount")
        if amount < 0:
            raise refusals.AmountNegative(fields={"amount": [refusals.AmountNegative.message]})
        if amount != subscription.price:
            words = f"The subscription's price is {subscription.price} {subscription.currency}."
            raise refusals.AmountMismatch(fields={"amount": [words]})
    return subscription.price, subscription.currency


def check_currency(subscription: Subscription, currency: str) -> None:
    """Refuse a currency that is not the subscription's.

    Raises:
        CurrencyMismatch: it is another one.
    """
    if currency != subscription.currency:
        words = f"The subscription's currency is {subscription.currency}."
        raise refusals.CurrencyMismatch(fields={"currency": [words]})


def money(amount: Decimal, name: str) -> Decimal:
    """The amount in cents' precision.

    Raises:
        AmountInvalid: it would have to be rounded, or is no amount that anybody has.
    """
    if not amount.is_finite() or abs(amount) >= _LARGEST or amount != amount.quantize(_CENT):
        raise refusals.AmountInvalid(fields={name: [refusals.AmountInvalid.message]})
    return amount.quantize(_CENT)


def past(moment: datetime, now: datetime, name: str) -> datetime:
    """A moment that is past, by clocks that may be a little apart.

    Raises:
        DateInFuture, DateOutOfRange: it is not, or lies too far back to be true.
    """
    if moment > now + CLOCK_SKEW:
        raise refusals.DateInFuture(fields={name: [refusals.DateInFuture.message]})
    if moment < now - LONGEST_AGO:
        raise refusals.DateOutOfRange(fields={name: [refusals.DateOutOfRange.message]})
    return moment.astimezone(UTC)


def renewal(subscription: Subscription, renewal_on: date | None) -> date:
    """Which renewal was tried: the one due next if nothing is said, else it or a former one.

    Raises:
        RenewalUnknown, DateOutOfRange: there is no such renewal.
    """
    if renewal_on is None:
        return subscription.renews_on
    if renewal_on > subscription.renews_on:
        raise refusals.RenewalUnknown(fields={"renewal_on": [refusals.RenewalUnknown.message]})
    if renewal_on < subscription.renews_on - LONGEST_AGO:
        raise refusals.DateOutOfRange(fields={"renewal_on": [refusals.DateOutOfRange.message]})
    return renewal_on
