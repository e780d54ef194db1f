"""The facts that are gathered: what counts as a renewal, a failure in a row, a balance, an approval."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from apps.subscriptions.facts import Facts, gather
from apps.subscriptions.models import RenewalAttempt, Subscription
from tests.core.factories import UserFactory
from tests.subscriptions.factories import (
    NOW,
    RENEWS_ON,
    ApprovalFactory,
    BalanceFactory,
    RenewalAttemptFactory,
    SubscriptionFactory,
)

pytestmark = pytest.mark.django_db


def gathered(subscription: Subscription) -> Facts:
    return gather([subscription.pk], now=NOW)[subscription.pk]


def tried(subscription: Subscription, *renewals: str) -> None:
    """Renewals from the newest back, each as its tries: ``ffs`` failed twice and was then paid."""
    rows = []
    for months, tries in enumerate(renewals):
        day = RENEWS_ON - timedelta(days=30 * (months + 1))
        for number, letter in enumerate(tries, start=1):
            rows.append(
                RenewalAttemptFactory.build(
                    subscription=subscription,
                    renewal_on=day,
                    number=number,
                    attempt_date=NOW - timedelta(days=30 * months + 20 - number),
                    success=letter == "s",
                    decline_code="" if letter == "s" else "05",
                    decline_kind="" if letter == "s" else "hard" if letter == "h" else "soft",
                )
            )
    RenewalAttempt.objects.bulk_create(rows)


@pytest.mark.parametrize(
    ("renewals", "failures"),
    [
        ([], 0),
        (["s"], 0),
        (["f"], 1),
        (["fff"], 1),
        (["ffs"], 0),
        (["f", "f", "s"], 2),
        (["f", "f", "f", "s"], 3),
        (["f", "ffs", "f", "f"], 1),
        (["s", "f", "f", "f"], 0),
        (["ff", "fff", "f", "ff"], 4),
    ],
)
def test_renewals_that_failed_in_a_row(renewals: list[str], failures: int) -> None:
    subscription = SubscriptionFactory()
    tried(subscription, *renewals)
    facts = gathered(subscription)
    assert facts.consecutive_failures == failures
    assert facts.total_attempts == sum(map(len, renewals))


def failed_in_a_row(renewals: list[str]) -> int:
    """The straightforward count."""
    count = 0
    for tries in renewals:
        if "s" in tries:
            break
        count += 1
    return count


@hypothesis(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.from_regex(r"[fh]{0,3}s|[fh]{1,4}", fullmatch=True), max_size=8))
def test_any_history(renewals: list[str]) -> None:
    subscription = SubscriptionFactory(owner=UserFactory(), scope=None)
    tried(subscription, *renewals)
    assert gathered(subscription).consecutive_failures == failed_in_a_row(renewals)


def test_the_last_tries_decline_counts() -> None:
    subscription = SubscriptionFactory()
    tried(subscription, "fh", "f")
    assert gathered(subscription).last_decline_kind == "hard"
    other = SubscriptionFactory()
    tried(other, "fs", "h")
    assert gathered(other).last_decline_kind == ""


def test_approvals_of_payment_revoked_and_expired_ones_are_no_approvals_of_renewal() -> None:
    subscription = SubscriptionFactory()
    late = NOW + timedelta(days=300)
    for values in ({"approval_type": "payment"}, {"status": "revoked"}, {"status": "expired"}):
        ApprovalFactory(subscription=subscription, expires_at=late, **values)
    assert gathered(subscription).approval_expires_at is None
    first = ApprovalFactory(subscription=subscription, expires_at=NOW + timedelta(days=3))
    ApprovalFactory(subscription=subscription, expires_at=NOW + timedelta(days=1))
    assert gathered(subscription).approval_expires_at == first.expires_at


def test_all_that_is_known() -> None:
    subscription = SubscriptionFactory(price=Decimal("9.90"), currency="EUR")
    balance = BalanceFactory(subscription=subscription, amount=Decimal("-3.00"))
    facts = gathered(subscription)
    assert (facts.price, facts.currency, facts.renews_on, facts.status) == (
        Decimal("9.90"),
        "EUR",
        date(2026, 3, 10),
        "active",
    )
    assert (facts.owner_id, facts.scope_id) == (subscription.owner_id, subscription.scope_id)
    assert (facts.balance_amount, facts.balance_currency, facts.balance_as_of) == (
        Decimal("-3.00"),
        "EUR",
        balance.as_of,
    )


def test_one_query_however_many(django_assert_num_queries: Any) -> None:
    ids = [SubscriptionFactory(owner=UserFactory()).pk for _ in range(12)]
    for count in (1, 12):
        with django_assert_num_queries(1):
            assert len(gather(ids[:count], now=NOW)) == count
    assert gather([uuid4()], now=NOW) == {}
    with django_assert_num_queries(0):
        assert gather([], now=NOW) == {}
