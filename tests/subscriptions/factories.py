"""Makers of subscriptions and their facts, as of one fixed moment."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import factory
from factory.django import DjangoModelFactory

from apps.subscriptions.models import AccountBalance, Approval, RenewalAttempt, Subscription
from tests.core.factories import ScopeFactory, UserFactory

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
RENEWS_ON = date(2026, 3, 10)


class SubscriptionFactory(DjangoModelFactory[Subscription]):
    class Meta:
        model = Subscription

    scope = factory.SubFactory(ScopeFactory)
    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"Plan {n}")
    price = Decimal("20.00")
    currency = "USD"
    renews_on = RENEWS_ON
    created_at = NOW - timedelta(days=400)
    updated_at = NOW - timedelta(days=30)


class RenewalAttemptFactory(DjangoModelFactory[RenewalAttempt]):
    class Meta:
        model = RenewalAttempt

    subscription = factory.SubFactory(SubscriptionFactory)
    renewal_on = RENEWS_ON - timedelta(days=28)
    attempt_date = NOW - timedelta(days=20)
    amount = factory.SelfAttribute("subscription.price")
    currency = factory.SelfAttribute("subscription.currency")
    success = True
    payment_method = factory.SelfAttribute("subscription.payment_method")
    recorded_at = factory.SelfAttribute("attempt_date")


class ApprovalFactory(DjangoModelFactory[Approval]):
    class Meta:
        model = Approval

    subscription = factory.SubFactory(SubscriptionFactory)
    user = factory.SelfAttribute("subscription.owner")
    approval_type = Approval.Kind.RENEWAL
    expires_at = NOW + timedelta(days=90)
    created_at = NOW - timedelta(days=90)


class BalanceFactory(DjangoModelFactory[AccountBalance]):
    class Meta:
        model = AccountBalance

    subscription = factory.SubFactory(SubscriptionFactory)
    amount = Decimal("100.00")
    currency = factory.SelfAttribute("subscription.currency")
    as_of = NOW - timedelta(days=1)
