"""Statistics of refund rates: pure functions of counts, without rows, settings or clock.

Refunds follow orders after days, so a day's refunds are compared with the orders *due* on it: the orders of earlier
days, each weighted with the share of refunds that come at its age (:func:`due_orders`). Counts then read like rates of
orders: "3 of 41, baseline 2.9 % of 1,200".
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
from scipy.special import betaln, gammaln


def due_orders(orders: Sequence[int], shares: Sequence[float]) -> list[float]:
    """How many orders are due for a refund on each day, at equal age.

    Args:
        orders: orders placed on consecutive days.
        shares: share of all refunds that come 0, 1, 2, ... days after the order; they sum to 1.

    Returns:
        One number for each day. Days near the beginning lack their past and are too low; leave ``len(shares)`` out.
    """
    if not orders or not shares:
        return [0.0] * len(orders)
    return [float(value) for value in np.convolve(orders, shares)[: len(orders)]]


def lag_shares(ages: Sequence[int], longest: int) -> list[float]:
    """The share of refunds at each age in days, from 0 to ``longest``; older ones are left out.

    Without any refund every age has the same share, so that a first refund can still be judged.
    """
    counts = [0] * (longest + 1)
    for age in ages:
        if 0 <= age <= longest:
            counts[age] += 1
    total = sum(counts)
    return [count / total for count in counts] if total else [1 / (longest + 1)] * (longest + 1)


def spike_probability(refunds: int, orders: int, baseline_refunds: int, baseline_orders: int) -> float:
    """Probability of this many refunds or more, if the rate is still that of the baseline.

    ``P(X >= refunds)`` under BetaBinomial(orders, 1/2 + X0, 1/2 + N0 - X0), which carries the uncertainty of the
    baseline itself (Jeffreys prior). The same as ``scipy.stats.betabinom.sf(refunds - 1, ...)`` without importing all
    of ``scipy.stats``.

    Raises:
        ValueError: if there are more refunds than orders.
    """
    if refunds > orders or baseline_refunds > baseline_orders:
        raise ValueError("There cannot be more refunds than orders.")
    if refunds <= 0:
        return 1.0
    a, b = 0.5 + baseline_refunds, 0.5 + baseline_orders - baseline_refunds
    k = np.arange(refunds, orders + 1, dtype=float)
    choose = gammaln(orders + 1) - gammaln(k + 1) - gammaln(orders - k + 1)
    return min(1.0, float(np.exp(choose + betaln(k + a, orders - k + b) - betaln(a, b)).sum()))


def benjamini_hochberg(probabilities: Sequence[float], rate: float) -> list[bool]:
    """Which of many tests stand, when at most ``rate`` of the findings may be false on average.

    Benjamini and Hochberg 1995, J. R. Statist. Soc. B 57:289.
    """
    order = sorted(range(len(probabilities)), key=probabilities.__getitem__)
    last = 0
    for rank, index in enumerate(order, start=1):
        if probabilities[index] <= rate * rank / len(order):
            last = rank
    stands = [False] * len(order)
    for index in order[:last]:
        stands[index] = True
    return stands


def cusum(days: Sequence[tuple[int, float]], normal: float, ratio: float) -> list[float]:
    """Binomial log-likelihood CUSUM of a rate rising from ``normal`` to ``ratio * normal``, after each day.

    Args:
        days: refunds and orders of consecutive days.
        normal: the rate while all is well, between 0 and 1 / ratio.
        ratio: the rise that shall be found soonest.

    Raises:
        ValueError: if a rate is not between 0 and 1.
    """
    risen = normal * ratio
    if not 0 < normal < risen < 1:
        raise ValueError("The normal and the risen rate must lie between 0 and 1.")
    up, down = log(risen / normal), log((1 - risen) / (1 - normal))
    level, levels = 0.0, []
    for refunds, orders in days:
        level = max(0.0, level + refunds * up + max(0.0, orders - refunds) * down)
        levels.append(level)
    return levels


def cusum_limit(orders_a_day: float, points: Sequence[tuple[float, float]]) -> float:
    """The CUSUM level that means an alarm, interpolated in the logarithm of the volume and constant outside."""
    volumes, limits = zip(*points, strict=True)
    return float(np.interp(log(max(orders_a_day, 1.0)), [log(volume) for volume in volumes], limits))
