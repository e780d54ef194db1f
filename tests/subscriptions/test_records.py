"""Recording attempts, approvals and balances: what is written, what follows, and what is refused."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.decisions import system
from apps.core.models import Decision
from apps.subscriptions import records, refusals
from apps.subscriptions.models import AccountBalance, Approval, RenewalAttempt, RiskScore, Subscription
from apps.subscriptions.renewal_dates import next_renewal
from tests.subscriptions.factories import (
    NOW,
    RENEWS_ON,
    ApprovalFactory,
    BalanceFactory,
    RenewalAttemptFactory,
    SubscriptionFactory,
)

pytestmark = pytest.mark.django_db
ACTOR = system("tests")


@pytest.fixture
def subscription() -> Subscription:
    return SubscriptionFactory()


def attempt(subscription: Subscription, **values: Any) -> RenewalAttempt:
    values = {"success": False} | values
    return records.record_renewal_attempt(subscription_id=subscription.pk, actor=ACTOR, now=NOW, **values)


def balance(subscription: Subscription, **values: Any) -> AccountBalance:
    values = {"amount": Decimal(50), "currency": "USD", "as_of": NOW} | values
    return records.set_balance(subscription_id=subscription.pk, actor=ACTOR, now=NOW, **values)


def approval(subscription: Subscription, **values: Any) -> Approval:
    values = {"approval_type": "renewal", "expires_at": NOW + timedelta(days=30)} | values
    return records.set_approval(subscription_id=subscription.pk, actor=ACTOR, now=NOW, **values)


# Attempts


def test_a_failed_attempt_is_of_the_next_renewal(subscription: Subscription) -> None:
    made = attempt(subscription, error_message="Insufficient funds", decline_code="insufficient_funds")
    assert (made.renewal_on, made.number, made.attempt_date) == (RENEWS_ON, 1, NOW)
    assert (made.amount, made.currency, made.decline_kind) == (Decimal("20.00"), "USD", "soft")
    subscription.refresh_from_db()
    assert subscription.renews_on == RENEWS_ON


def test_a_second_try_belongs_to_the_same_renewal(subscription: Subscription) -> None:
    assert [attempt(subscription).number for _ in range(3)] == [1, 2, 3]
    assert {made.renewal_on for made in RenewalAttempt.objects.all()} == {RENEWS_ON}


def test_a_success_moves_the_renewal_date_on(subscription: Subscription) -> None:
    attempt(subscription, success=True)
    subscription.refresh_from_db()
    assert subscription.renews_on == date(2026, 4, 10)


def test_a_late_success_of_an_earlier_renewal_leaves_the_date(subscription: Subscription) -> None:
    attempt(subscription, success=True, renewal_on=RENEWS_ON - timedelta(days=28))
    subscription.refresh_from_db()
    assert subscription.renews_on == RENEWS_ON


def test_a_failure_proposes_the_next_try_and_a_success_takes_it_back(subscription: Subscription) -> None:
    ApprovalFactory(subscription=subscription)
    attempt(subscription, decline_code="insufficient_funds")
    subscription.refresh_from_db()
    assert subscription.next_attempt_at is not None
    attempt(subscription, success=True)
    subscription.refresh_from_db()
    assert subscription.next_attempt_at is None


def test_one_who_renews_on_the_31st_returns_to_it() -> None:
    subscription = SubscriptionFactory(renews_on=date(2026, 1, 31))
    seen = []
    for _ in range(4):
        attempt(subscription, success=True)
        subscription.refresh_from_db()
        seen.append(subscription.renews_on)
    assert seen == [date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30), date(2026, 5, 31)]


@pytest.mark.parametrize(
    ("interval", "after"),
    [
        ("weekly", date(2026, 3, 7)),
        ("monthly", date(2026, 3, 28)),
        ("quarterly", date(2026, 5, 28)),
        ("yearly", date(2027, 2, 28)),
    ],
)
def test_the_renewal_after_one(interval: str, after: date) -> None:
    assert next_renewal(date(2026, 2, 28), interval) == after


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.sampled_from(Subscription.Interval.values))
def test_the_next_renewal_lies_one_interval_ahead(day: date, interval: str) -> None:
    shortest, longest = {"weekly": (7, 7), "monthly": (28, 31), "quarterly": (89, 92), "yearly": (365, 366)}[interval]
    assert shortest <= (next_renewal(day, interval) - day).days <= longest


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"amount": Decimal("19.99")}, refusals.AmountMismatch),
        ({"amount": Decimal(0)}, refusals.AmountMismatch),
        ({"amount": Decimal(-20)}, refusals.AmountNegative),
        ({"amount": Decimal("20.001")}, refusals.AmountInvalid),
        ({"amount": Decimal("1e40")}, refusals.AmountInvalid),
        ({"amount": Decimal("NaN")}, refusals.AmountInvalid),
        ({"amount": Decimal("Infinity")}, refusals.AmountInvalid),
        ({"currency": "EUR"}, refusals.CurrencyMismatch),
        ({"currency": "usd"}, refusals.CurrencyMismatch),
        ({"attempt_date": NOW + timedelta(minutes=6)}, refusals.DateInFuture),
        ({"attempt_date": NOW - timedelta(days=4000)}, refusals.DateOutOfRange),
        ({"renewal_on": RENEWS_ON + timedelta(days=1)}, refusals.RenewalUnknown),
        ({"renewal_on": date(1, 1, 1)}, refusals.DateOutOfRange),
        ({"success": True, "decline_code": "x"}, refusals.SuccessWithDecline),
        ({"success": True, "error_message": "x"}, refusals.SuccessWithDecline),
    ],
)
def test_attempts_that_are_refused(subscription: Subscription, values: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        attempt(subscription, **values)
    assert not RenewalAttempt.objects.exists()


def test_clocks_may_be_a_little_apart(subscription: Subscription) -> None:
    assert attempt(subscription, attempt_date=NOW + timedelta(minutes=5)).pk


def test_a_paid_renewal_is_not_tried_again(subscription: Subscription) -> None:
    RenewalAttemptFactory(subscription=subscription, renewal_on=RENEWS_ON)
    with pytest.raises(refusals.RenewalPaid):
        attempt(subscription, renewal_on=RENEWS_ON)


@pytest.mark.parametrize("status", ["cancelled", "expired"])
def test_what_has_ended_is_not_renewed(status: str) -> None:
    subscription = SubscriptionFactory(status=status)
    for write in (attempt, approval):
        with pytest.raises(refusals.SubscriptionEnded):
            write(subscription)


def test_an_unknown_subscription() -> None:
    for write in (attempt, approval, balance):
        with pytest.raises(refusals.SubscriptionMissing):
            write(Subscription(pk=uuid4()))


# Approvals


def test_an_approval_takes_the_place_of_the_former(subscription: Subscription) -> None:
    former, other = ApprovalFactory(subscription=subscription), ApprovalFactory(subscription=subscription)
    Approval.objects.filter(pk=other.pk).update(approval_type="payment")
    made = approval(subscription)
    assert made.user == subscription.owner
    assert dict(Approval.objects.values_list("pk", "status")) == {
        former.pk: "revoked",
        other.pk: "active",
        made.pk: "active",
    }
    assert Decision.objects.get().action == "approval_set"


def test_a_revoked_approval_stays_revoked(subscription: Subscription) -> None:
    made = approval(subscription)
    assert records.revoke_approval(approval_id=made.pk, actor=ACTOR, now=NOW).status == "revoked"
    with pytest.raises(refusals.ApprovalNotActive):
        records.revoke_approval(approval_id=made.pk, actor=ACTOR, now=NOW)
    with pytest.raises(refusals.ApprovalMissing):
        records.revoke_approval(approval_id=uuid4(), actor=ACTOR, now=NOW)


@pytest.mark.parametrize(
    ("expires", "error"), [(timedelta(0), refusals.DateInPast), (timedelta(days=3654), refusals.DateOutOfRange)]
)
def test_approvals_that_are_refused(subscription: Subscription, expires: timedelta, error: type[Exception]) -> None:
    with pytest.raises(error):
        approval(subscription, expires_at=NOW + expires)
    assert not Approval.objects.exists()


# Balances


def test_a_balance_counts_until_there_is_newer_news(subscription: Subscription) -> None:
    balance(subscription, amount=Decimal("-3.50"), as_of=NOW - timedelta(hours=1))
    assert balance(subscription, amount=Decimal(9), as_of=NOW - timedelta(hours=2)).amount == Decimal("-3.50")
    assert balance(subscription, amount=Decimal(9)).amount == Decimal(9)
    subscription.refresh_from_db()
    assert subscription.balance_source == "api"


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"currency": "EUR"}, refusals.CurrencyMismatch),
        ({"amount": Decimal("1e12")}, refusals.AmountInvalid),
        ({"as_of": NOW + timedelta(hours=1)}, refusals.DateInFuture),
        ({"as_of": NOW - timedelta(days=4000)}, refusals.DateOutOfRange),
    ],
)
def test_balances_that_are_refused(subscription: Subscription, values: dict[str, Any], error: type[Exception]) -> None:
    BalanceFactory(subscription=subscription)
    before = AccountBalance.objects.values().get()
    with pytest.raises(error):
        balance(subscription, **values)
    assert AccountBalance.objects.values().get() == before


# Changes


def test_a_change_is_logged(subscription: Subscription) -> None:
    changes = {"price": Decimal("25.00"), "status": "paused", "name": "Gold"}
    records.change_subscription(subscription_id=subscription.pk, changes=changes, actor=ACTOR, now=NOW)
    subscription.refresh_from_db()
    assert (subscription.price, subscription.status, subscription.updated_at) == (Decimal(25), "paused", NOW)
    payload = Decision.objects.get().payload
    assert payload["fields"] == ["name", "price", "status"]
    assert payload["changes"]["price"] == ["20.00", "25.00"]


def test_a_change_to_the_same_is_none(subscription: Subscription) -> None:
    records.change_subscription(
        subscription_id=subscription.pk, changes={"price": Decimal("20.00")}, actor=ACTOR, now=NOW
    )
    assert not Decision.objects.exists()


@pytest.mark.parametrize("changes", [{"owner": 1}, {"price": Decimal(-1)}, {"currency": "x"}, {"status": "odd"}])
def test_changes_that_are_refused(subscription: Subscription, changes: dict[str, Any]) -> None:
    before = Subscription.objects.values().get()
    with pytest.raises(refusals.ValuesInvalid):
        records.change_subscription(subscription_id=subscription.pk, changes=changes, actor=ACTOR, now=NOW)
    assert Subscription.objects.values().get() == before


@pytest.mark.parametrize("write", [attempt, approval, balance])
def test_the_risk_is_calculated_at_once(
    subscription: Subscription, write: Any, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        write(subscription)
    assert RiskScore.objects.get().subscription == subscription
