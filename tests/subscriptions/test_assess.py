"""The level by the heaviest factor, the sum of all, and what happens when something fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from apps.subscriptions import assess as assessing
from apps.subscriptions.assess import assess, level_of
from apps.subscriptions.factors import Evaluator, FactorSet, Finding, evaluators, made_from
from apps.subscriptions.facts import Facts
from tests.subscriptions.factories import NOW
from tests.subscriptions.facts_makers import facts

DEFAULTS = made_from(None)
weights = st.decimals(min_value=0, max_value=1000, places=2)


@contextmanager
def evaluating(monkeypatch: pytest.MonkeyPatch, slug: str, evaluate: Any) -> Iterator[None]:
    """Let an evaluator do something else."""
    was = evaluators[slug]
    changed = Evaluator(slug, was.title, evaluate, was.weights, was.mitigation, was.variables)
    with monkeypatch.context() as patch:
        patch.setitem(evaluators._rules, slug, changed)
        yield


def broken(*, now: datetime, facts: Facts) -> Finding:
    raise RuntimeError("no such luck")


def degradations(part: str) -> float:
    return REGISTRY.get_sample_value("riskdesk_risk_degraded_total", {"part": part}) or 0.0


@given(st.lists(weights, max_size=8))
@example([])
@example([Decimal("4.99")])
@example([Decimal(5)])
@example([Decimal("9.99")])
@example([Decimal(10)])
@example([Decimal(5), Decimal(5)])
def test_the_heaviest_weight_decides(found: list[Decimal]) -> None:
    if any(weight >= 10 for weight in found):
        assert level_of(found) == "HIGH"
    elif any(weight >= 5 for weight in found):
        assert level_of(found) == "MEDIUM"
    else:
        assert level_of(found) == "LOW"


@given(st.integers(0, 6), st.decimals(min_value=-50, max_value=50, places=2), st.integers(-2, 2))
def test_level_and_sum_follow_from_the_stored_factors(count: int, amount: Decimal, days: int) -> None:
    given_facts = facts(
        consecutive_failures=count, balance_amount=amount, approval_expires_at=NOW.replace(day=2 + days % 3)
    )
    found = assess(given_facts, DEFAULTS, now=NOW)
    values = [Decimal(str(factor["weight_value"])) for factor in found.factors]
    assert found.level == level_of(values)
    assert found.total_weight == sum(values)
    assert not found.degraded
    assert len(found.factors) == len(evaluators)


def test_all_three_at_once() -> None:
    found = assess(
        facts(consecutive_failures=1, balance_amount=Decimal(1), approval_expires_at=None), DEFAULTS, now=NOW
    )
    assert (found.level, found.total_weight) == ("HIGH", 25)
    assert {factor["factor_type"]: (factor["weight"], factor["weight_value"]) for factor in found.factors} == {
        "consecutive_failures": ("MEDIUM", 5),
        "balance_projection": ("HIGH", 10),
        "approval_expiration": ("HIGH", 10),
    }


def test_a_failing_evaluator_weighs_nothing_and_the_others_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = degradations("approval_expiration")
    with evaluating(monkeypatch, "approval_expiration", broken):
        found = assess(facts(consecutive_failures=1, approval_expires_at=None), DEFAULTS, now=NOW)
    assert (found.level, found.total_weight, found.degraded, found.failed) == ("MEDIUM", 5, True, False)
    assert found.degraded_reason == "Approval expiration failed: RuntimeError: no such luck"
    (factor,) = [one for one in found.factors if one["factor_type"] == "approval_expiration"]
    assert (factor["weight"], factor["weight_value"], factor["details"]) == ("NONE", 0, {"error": "RuntimeError"})
    assert degradations("approval_expiration") == before + 1


@pytest.mark.parametrize("details", [{"amount": Decimal(1)}, {"share": float("nan")}, {"what": object()}])
def test_details_that_cannot_be_stored_are_the_evaluators_failure(
    monkeypatch: pytest.MonkeyPatch, details: dict[str, Any]
) -> None:
    with evaluating(monkeypatch, "balance_projection", lambda now, facts: Finding("HIGH", details)):
        found = assess(facts(), DEFAULTS, now=NOW)
    assert (found.level, found.degraded) == ("LOW", True)


def test_a_weight_that_does_not_exist_is_the_evaluators_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with evaluating(monkeypatch, "approval_expiration", lambda now, facts: Finding("MEDIUM")):
        assert assess(facts(), DEFAULTS, now=NOW).degraded_reason == "Approval expiration failed: KeyError: 'MEDIUM'"


def test_a_failing_calculation_is_low_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    before = degradations("calculation")
    monkeypatch.setattr(assessing, "level_of", lambda weights: 1 / 0)
    found = assess(facts(consecutive_failures=9), DEFAULTS, now=NOW)
    assert (found.level, found.factors, found.total_weight) == ("LOW", [], 0)
    assert found.degraded
    assert found.failed
    assert found.degraded_reason == "The calculation failed: ZeroDivisionError: division by zero"
    assert degradations("calculation") == before + 1


def test_the_end_of_a_tasks_time_is_no_failure_of_an_evaluator(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*, now: datetime, facts: Facts) -> Finding:
        raise SoftTimeLimitExceeded

    with evaluating(monkeypatch, "balance_projection", late), pytest.raises(SoftTimeLimitExceeded):
        assess(facts(), DEFAULTS, now=NOW)


def test_factors_that_are_switched_off_are_not_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    only = FactorSet({"consecutive_failures": DEFAULTS.weights["consecutive_failures"]}, "x")
    with evaluating(monkeypatch, "approval_expiration", broken):
        found = assess(facts(consecutive_failures=3), only, now=NOW)
    assert [factor["factor_type"] for factor in found.factors] == ["consecutive_failures"]
    assert (found.level, found.total_weight, found.degraded) == ("HIGH", 10, False)
