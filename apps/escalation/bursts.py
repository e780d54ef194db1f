"""Bursts: how unlikely the number of reports of a category is by what is usual for that category.

The number of a day is taken as negative binomial. Its mean is the category's own over the days before, which are windows of
the same length that end at the same time of day, adjusted for the day of the week as all categories together show it. Its
spread is at least what the uncertainty of that mean brings (a gamma prior of half a report), and more where the days before
spread more. Over the categories the false discovery rate is controlled (Benjamini and Hochberg, 1995).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from django.db import connection
from scipy.special import betainc

DAY = timedelta(days=1)
Key = tuple[int | None, str]
"""Scope and category."""

_COUNTS = """
    SELECT scope_id, category, least(floor(extract(epoch FROM %(now)s - at) / 86400), %(days)s)::int, count(*)
    FROM escalation_report WHERE at > %(since)s AND at <= %(now)s AND category <> ''
    GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Burst:
    """A category with more reports in the last day than is usual for it.

    Attributes:
        count: in the last day.
        usual: to be expected.
        chance: the probability of so many or more if nothing is unusual.
        days: how many days the baseline has.
    """

    scope_id: int | None
    category: str
    count: int
    usual: float
    chance: float
    days: int


def daily_counts(now: datetime, days: int) -> dict[Key, list[int]]:
    """Reports by scope and category: of the last day, and of each day before, the newest first."""
    since = now - (days + 1) * DAY
    counts: dict[Key, list[int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, {"now": now, "since": since, "days": days})
        for scope_id, category, ago, count in cursor.fetchall():
            counts.setdefault((scope_id, category), [0] * (days + 1))[ago] = count
    return counts


def bursts(
    counts: Mapping[Key, Sequence[int]], *, rate: float, at_least: int, times: float, shortest: int
) -> list[Burst]:
    """The categories whose last day is unusual, the most unlikely first.

    Args:
        counts: as :func:`daily_counts` gives them.
        rate: false discovery rate.
        at_least: fewer reports in the last day are no burst.
        times: how many times the usual it has to be.
        shortest: fewer days of history say nothing, not even about a category that is new.
    """
    if not counts:
        return []
    table = np.array(list(counts.values()), dtype=float)
    total = table.sum(axis=0)
    days = int(np.flatnonzero(total[1:]).max(initial=-1)) + 1  # as far back as there is any report
    if days < shortest:
        return []
    weekday = _weekday_factors(total[1 : days + 1])
    tested = [_judged(key, table[index], days, weekday) for index, key in enumerate(counts)]
    tested.sort(key=lambda one: one.chance)
    ranks = [rank for rank, one in enumerate(tested, 1) if one.chance <= rate * rank / len(tested)]
    discovered = tested[: max(ranks, default=0)]
    return [one for one in discovered if one.count >= at_least and one.count >= times * one.usual]


def _weekday_factors(total: np.ndarray) -> np.ndarray:
    """How busy the weekday of each day before is, and, first, that of the last day: 1 is average."""
    days = len(total)
    if days < 14:
        return np.ones(days + 1)
    # A day counts as many reports more as an average day has, spread over the week, so that few reports say little.
    mean = total.mean() or 1.0
    by_weekday = np.array([total[(np.arange(days) + 1) % 7 == day].mean() for day in range(7)])
    certainty = total.sum() / (total.sum() + 200)
    factors = np.maximum(1 + certainty * (by_weekday / mean - 1), 0.2)
    return factors[np.arange(days + 1) % 7]


def _judged(key: Key, row: np.ndarray, days: int, weekday: np.ndarray) -> Burst:
    count, before = int(row[0]), row[1 : days + 1]
    exposure = float(weekday[1:].sum())
    mean = (0.5 + before.sum()) / exposure
    usual = float(mean * weekday[0])
    # Variance of a negative binomial is usual + usual ** 2 / size; the gamma posterior of the mean gives the largest size.
    size = 0.5 + float(before.sum())
    excess = float(np.var(before / weekday[1:], ddof=1)) - mean if days > 1 else 0.0
    if excess > 0:
        size = 1 / (1 / size + excess / mean**2)
    # The same as scipy.stats.nbinom.sf(count - 1, size, size / (size + usual)), without importing all the distributions.
    chance = float(betainc(count, size, usual / (size + usual))) if count else 1.0
    return Burst(key[0], key[1], count, usual, chance, days)
