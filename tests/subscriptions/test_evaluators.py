"""Each evaluator's boundaries, as specified, for all values around them."""

from __future__ import annotations

import importlib
import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.subscriptions.evaluators.approval_expiration import evaluate as approval
from apps.subscriptions.evaluators.balance_projection import CurrenciesDiffer
from apps.subscriptions.evaluators.balance_projection import evaluate as balance
from apps.subscriptions.evaluators.consecutive_failures import evaluate as failures
from apps.subscriptions.factors import evaluators
from tests.subscriptions.factories import NOW
from tests.subscriptions.facts_makers import facts

money = st.decimals(min_value=0, max_value=10**9, places=2)


@given(st.integers(min_value=0, max_value=10_000))
@example(0)
@example(1)
@example(2)
@example(3)
def test_none_one_or_two_three_or_more_failures(count: int) -> None:
    finding = failures(now=NOW, facts=facts(consecutive_failures=count, total_attempts=count + 2))
    assert finding.weight == ("NONE" if count == 0 else "MEDIUM" if count in (1, 2) else "HIGH")
    assert finding.details["consecutive_failures"] == count
    assert finding.details["total_attempts"] == count + 2


@given(price=money, amount=st.decimals(min_value=-(10**9), max_value=10**10, places=2))
@example(Decimal("20.00"), Decimal("24.00"))
@example(Decimal("20.00"), Decimal("23.99"))
@example(Decimal("20.00"), Decimal("20.00"))
@example(Decimal("20.00"), Decimal("19.99"))
@example(Decimal("0.01"), Decimal("0.01"))
@example(Decimal("0.00"), Decimal("0.00"))
@example(Decimal("0.00"), Decimal("-0.01"))
def test_the_balance_as_a_share_of_the_renewal_amount(price: Decimal, amount: Decimal) -> None:
    finding = balance(now=NOW, facts=facts(price=price, balance_amount=amount))
    if 100 * amount >= 120 * price:
        assert finding.weight == "NONE"
    elif amount >= price:
        assert finding.weight == "MEDIUM"
    else:
        assert finding.weight == "HIGH"


@given(price=st.decimals(min_value="0.05", max_value=10**9, places=2))
def test_a_cent_decides_at_both_boundaries(price: Decimal) -> None:
    cent = Decimal("0.01")
    enough = (price * 120 / 100).quantize(cent, rounding="ROUND_CEILING")

    def weight(amount: Decimal) -> str:
        return balance(now=NOW, facts=facts(price=price, balance_amount=amount)).weight

    assert [weight(enough), weight(enough - cent)] == ["NONE", "MEDIUM"]
    assert [weight(price), weight(price - cent)] == ["MEDIUM", "HIGH"]


def test_an_unknown_balance_weighs_nothing_and_says_so() -> None:
    finding = balance(now=NOW, facts=facts(balance_amount=None, balance_currency=None, balance_as_of=None))
    assert finding.weight == "NONE"
    assert finding.details["balance"] == "unknown"


def test_a_balance_in_another_currency_cannot_be_judged() -> None:
    with pytest.raises(CurrenciesDiffer, match="EUR"):
        balance(now=NOW, facts=facts(balance_currency="EUR"))


@given(st.timedeltas(min_value=timedelta(days=-4000), max_value=timedelta(days=4000)))
@example(timedelta(0))
@example(timedelta(microseconds=1))
@example(timedelta(microseconds=-1))
def test_an_approval_is_valid_until_its_end_and_not_at_it(distance: timedelta) -> None:
    ends: datetime = NOW + distance
    finding = approval(now=NOW, facts=facts(approval_expires_at=ends))
    assert finding.weight == ("NONE" if ends > NOW else "HIGH")
    assert finding.details == {"approval": "valid" if ends > NOW else "expired", "expires_at": ends.isoformat()}


def test_a_missing_approval_weighs_as_much_as_an_expired_one() -> None:
    finding = approval(now=NOW, facts=facts(approval_expires_at=None))
    assert finding.weight == "HIGH"
    assert finding.details["approval"] == "missing"


def test_every_evaluator_is_a_file_of_its_own_that_is_found_described_and_tested() -> None:
    folder = Path(importlib.import_module("apps.subscriptions.evaluators").__file__ or "").parent
    files = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    assert {one.slug for one in evaluators} == files
    tests = Path(__file__).read_text()
    for one in evaluators:
        assert one.description
        assert one.evaluate.__module__ == f"apps.subscriptions.evaluators.{one.slug}"
        assert one.evaluate.__module__ in tests or (Path(__file__).parent / f"test_{one.slug}.py").exists()
        assert set(one.mitigation) >= {name for name in one.weights if name != "NONE"}


@pytest.mark.parametrize("one", list(evaluators), ids=lambda one: one.slug)
def test_details_can_be_stored_as_they_are(one) -> None:
    for given_facts in (facts(), facts(consecutive_failures=4, balance_amount=None, approval_expires_at=None)):
        details = dict(one.evaluate(now=NOW, facts=given_facts).details)
        assert json.loads(json.dumps(details)) == details
