"""What is known about a subscription's renewals at one moment, as numbers.

Only tries are used, for each of them says when it happened. Balances and approvals are kept as they are now and not as
they were, so a model that learned from them would have looked into the future. Nothing about the person is used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby

LEAD = timedelta(days=1)
"""A renewal is predicted from what is known this long before its day begins."""
SETTLED = timedelta(days=30)
"""A renewal that is not paid so long after its day has failed."""
REMEMBERED = 24
"""So many renewals back are looked at."""
INTERVAL_DAYS = {"weekly": 7, "monthly": 30, "quarterly": 91, "yearly": 365}

FEATURES: dict[str, str] = {
    "renewals": "Renewals known",
    "last_failed": "The last renewal failed",
    "failures_in_row": "Renewals failed in a row",
    "failed_share_3": "Share of the last three renewals that failed",
    "failed_share": "Share of renewals that failed",
    "since_failure": "Renewals since the last failure",
    "tries_last": "Tries of the last renewal",
    "tries_mean": "Tries of a renewal on average",
    "late_last": "How late the last renewal was paid, in intervals",
    "late_max": "How late renewals were paid at most, in intervals",
    "late_mean": "How late renewals are paid on average, in intervals",
    "hard_last": "The last renewal was declined for good",
    "amount_change": "The amount against earlier ones (logarithm)",
    "interval_days": "Days between renewals",
}


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt at a renewal."""

    renewal_on: date
    at: datetime
    success: bool
    hard: bool
    amount: float


@dataclass(frozen=True, slots=True)
class Renewal:
    """One renewal as far as it was known.

    Attributes:
        late: how long after its day it was paid, or how long it has been unpaid, in intervals.
        hard: whether it was declined for good.
    """

    failed: bool
    tries: int
    late: float
    hard: bool
    amount: float


@dataclass(frozen=True, slots=True)
class Observation:
    """What was known at a moment, and what came of it afterwards."""

    at: datetime
    values: list[float]
    failed: bool


def known(tries: Sequence[Try], *, at: datetime, interval_days: int) -> list[Renewal]:
    """The renewals as known at a moment, oldest first; tries at or after it do not exist yet."""
    seen = sorted((one for one in tries if one.at < at), key=lambda one: (one.renewal_on, one.at))
    return [
        _renewal(list(group), at, interval_days)
        for _, group in groupby(seen, key=lambda one: one.renewal_on)
    ][-REMEMBERED:]  # fmt: skip


def _renewal(tries: list[Try], at: datetime, interval_days: int) -> Renewal:
    paid = next((one.at for one in tries if one.success), None)
    late = ((paid or at) - midnight(tries[0].renewal_on)).total_seconds() / 86400 / interval_days
    return Renewal(paid is None, len(tries), max(0.0, late), any(one.hard for one in tries), tries[-1].amount)


def values(renewals: Sequence[Renewal], *, amount: float, interval_days: int) -> list[float]:
    """The numbers, in the order of :data:`FEATURES`.

    Args:
        renewals: known ones, at least one, oldest first.
        amount: of the renewal that is predicted.
    """
    last, number = renewals[-1], len(renewals)
    failed = [renewal.failed for renewal in renewals]
    in_row = next((n for n, one in enumerate(reversed(failed)) if not one), number)
    since = next((n for n, one in enumerate(reversed(failed)) if one), number)
    before = sum(renewal.amount for renewal in renewals) / number
    change = math.log(amount / before) if amount > 0 and before > 0 else 0.0
    late = [min(renewal.late, 12.0) for renewal in renewals]
    return [
        number, float(last.failed), in_row, sum(failed[-3:]) / len(failed[-3:]), sum(failed) / number, since,
        last.tries, sum(renewal.tries for renewal in renewals) / number, late[-1], max(late), sum(late) / number,
        float(last.hard), max(-3.0, min(3.0, change)), interval_days,
    ]  # fmt: skip


def observations(tries: Sequence[Try], *, interval_days: int, now: datetime) -> Iterator[Observation]:
    """Each settled renewal of one subscription with what was known before it.

    Left out: renewals before which nothing was known, those tried before the moment of observation, for their label
    would not lie after it, and those that may still be paid.
    """
    by_renewal: dict[date, list[Try]] = {}
    for one in tries:
        by_renewal.setdefault(one.renewal_on, []).append(one)
    for renewal_on, of_it in by_renewal.items():
        at, settled = midnight(renewal_on) - LEAD, midnight(renewal_on) + SETTLED
        if settled > now or min(one.at for one in of_it) <= at:
            continue
        past = known(tries, at=at, interval_days=interval_days)
        if past:
            failed = not any(one.success and one.at <= settled for one in of_it)
            found = values(past, amount=of_it[0].amount, interval_days=interval_days)
            yield Observation(at, found, failed)


def midnight(day: date) -> datetime:
    """The moment at which a day begins (UTC)."""
    return datetime.combine(day, time(), UTC)
