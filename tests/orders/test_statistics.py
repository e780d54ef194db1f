"""Statistics against the library's own distributions, brute force and figures of the literature."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom

from apps.orders import statistics

probabilities = st.lists(st.floats(0, 1), max_size=30)


@settings(deadline=None)
@given(st.data())
def test_spike_probability_is_the_tail_of_the_beta_binomial(data: st.DataObject) -> None:
    orders, baseline = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 3000))
    refunds, known = data.draw(st.integers(0, orders)), data.draw(st.integers(0, baseline))
    expected = betabinom.sf(refunds - 1, orders, 0.5 + known, 0.5 + baseline - known)
    assert statistics.spike_probability(refunds, orders, known, baseline) == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_more_refunds_are_never_more_likely() -> None:
    tail = [statistics.spike_probability(x, 41, 35, 1200) for x in range(42)]
    assert tail == sorted(tail, reverse=True)


def test_more_refunds_than_orders_are_refused() -> None:
    with pytest.raises(ValueError, match="more refunds"):
        statistics.spike_probability(2, 1, 0, 10)


@given(probabilities, st.floats(0.001, 0.5))
def test_benjamini_hochberg_against_its_definition(values: list[float], rate: float) -> None:
    ranked = sorted(values)
    passing = [value for rank, value in enumerate(ranked, 1) if value <= rate * rank / len(ranked)]
    stands = statistics.benjamini_hochberg(values, rate)
    # Equal probabilities at the border stand or fall together.
    assert stands == [bool(passing) and value <= max(passing) for value in values]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.lists(st.integers(0, 12), max_size=20))
def test_due_orders_against_a_loop(orders: list[int], ages: list[int]) -> None:
    shares = statistics.lag_shares(ages, 10)
    expected = [
        sum(orders[day - age] * share for age, share in enumerate(shares) if age <= day) for day in range(len(orders))
    ]
    assert statistics.due_orders(orders, shares) == pytest.approx(expected)
    assert sum(shares) == pytest.approx(1)


def test_cusum_rests_at_the_normal_rate_and_climbs_at_twice_it() -> None:
    assert max(statistics.cusum([(3, 100.0)] * 100, 0.03, 2)) < 4
    climbing = statistics.cusum([(6, 100.0)] * 10, 0.03, 2)
    assert climbing == sorted(climbing)
    assert climbing[-1] > 4.1


def test_cusum_refuses_impossible_rates() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        statistics.cusum([], 0.6, 2)


@pytest.mark.parametrize(("volume", "limit"), [(1, 3.54), (20, 3.54), (50, 3.98), (200, 4.10), (5000, 4.10)])
def test_cusum_limit(volume: float, limit: float) -> None:
    assert statistics.cusum_limit(volume, [(20, 3.54), (50, 3.98), (200, 4.10)]) == pytest.approx(limit)
