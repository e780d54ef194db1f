"""Adding and changing a subscription on the desk: through the records, bound to what its person saw."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from apps.core.models import Decision, Scope, User
from apps.core.roles import Role
from apps.subscriptions import records
from apps.subscriptions.models import RiskScore, Subscription
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.subscriptions.factories import NOW, SubscriptionFactory

pytestmark = pytest.mark.django_db

ADD = "admin:subscriptions_subscription_add"
VALUES = {
    "name": "Team plan", "price": "30.00", "currency": "USD", "interval": "monthly", "renews_on": "2026-03-10",
    "status": "active", "payment_method": "pm_1", "reason": "New price.",
}  # fmt: skip


@pytest.fixture(autouse=True)
def at_nine() -> Any:
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def scope() -> Scope:
    return ScopeFactory(name="Acme")


@pytest.fixture
def plan(scope: Scope) -> Subscription:
    return SubscriptionFactory(scope=scope, name="Team plan", payment_method="pm_1", renews_on=NOW.date())


@pytest.fixture
def admin(client: Client) -> User:
    user = person(Role.ADMINISTRATOR)
    client.force_login(user)
    return user


def edit(client: Client, plan: Subscription, seen: dict[str, str] | None = None, **changes: str) -> Any:
    seen = records.seen_values(plan) if seen is None else seen
    address = reverse("admin:subscriptions_record", args=[plan.pk, "edit"])
    return client.post(address, {**VALUES, "seen": json.dumps(seen), **changes})


def add(client: Client, **changes: Any) -> Any:
    return client.post(reverse(ADD), {**VALUES, "key": str(uuid4()), **changes})


# Changing


def test_a_change_is_stored_judged_and_logged(
    client: Client, admin: User, plan: Subscription, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        assert edit(client, plan).status_code == 302
    plan.refresh_from_db()
    assert (plan.price, plan.updated_at) == (Decimal("30.00"), NOW)
    assert RiskScore.objects.filter(subscription=plan).exists()
    entry = Decision.objects.get(action="subscription_changed")
    assert (entry.actor, entry.payload["changes"]["price"]) == (admin, ["20.00", "30.00"])


def test_the_form_carries_what_was_seen(client: Client, admin: User, plan: Subscription) -> None:
    form = client.get(reverse("admin:subscriptions_record", args=[plan.pk, "edit"])).context["form"]
    assert json.loads(form["seen"].value()) == records.seen_values(plan)


def test_a_stale_save_is_refused_and_shows_what_changed(client: Client, admin: User, plan: Subscription) -> None:
    seen = records.seen_values(plan)
    records.change_subscription(
        subscription_id=plan.pk, changes={"price": Decimal(25), "status": "paused"}, actor="system:tests", now=NOW
    )
    late = edit(client, plan, seen, price="30.00")
    assert late.status_code == 409
    page = late.content.decode()
    assert "This is “25.00” now; you saw “20.00”." in page
    assert "This is “paused” now; you saw “active”." in page
    plan.refresh_from_db()
    assert plan.price == Decimal(25)
    form = late.context["form"]
    assert (form["price"].value(), form["status"].value()) == ("30.00", "paused"), "only what was typed is kept"
    again = client.post(
        reverse("admin:subscriptions_record", args=[plan.pk, "edit"]),
        {**VALUES, "seen": form["seen"].value(), "status": form["status"].value()},
    )
    assert again.status_code == 302
    plan.refresh_from_db()
    assert (plan.price, plan.status) == (Decimal(30), "paused")


@pytest.mark.parametrize("seen", ["", "x", "[]", "{}", '{"price": "1"}', "null"])
def test_a_form_that_does_not_say_what_was_seen(client: Client, admin: User, plan: Subscription, seen: str) -> None:
    address = reverse("admin:subscriptions_record", args=[plan.pk, "edit"])
    assert client.post(address, {**VALUES, "seen": seen}).status_code == 400
    plan.refresh_from_db()
    assert plan.price == Decimal(20)


WRONG = [
    {"price": "-1"}, {"price": "1e13"}, {"price": "NaN"}, {"price": "1.999"}, {"price": ""}, {"currency": "ZZZ"},
    {"currency": "US"}, {"currency": "JPY", "price": "9.90"}, {"renews_on": "9999-12-31"}, {"renews_on": "0001-01-01"},
    {"renews_on": "soon"}, {"interval": "hourly"}, {"status": "forged"}, {"name": ""}, {"name": "x" * 201},
    {"payment_method": "4242 4242 4242 4242"}, {"reason": ""}, {"name": "a\0b"},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_values_that_are_refused(client: Client, admin: User, plan: Subscription, wrong: dict[str, str]) -> None:
    before = Subscription.objects.values().get()
    assert edit(client, plan, **wrong).status_code == 400
    assert Subscription.objects.values().get() == before
    assert not Decision.objects.filter(action="subscription_changed").exists()


def test_who_may_not_change(client: Client, scope: Scope, plan: Subscription) -> None:
    client.force_login(person(Role.OPERATOR, scope))
    assert edit(client, plan).status_code == 403


# Adding


def test_a_subscription_is_added_with_its_owner_judged_and_logged(
    client: Client, admin: User, scope: Scope, django_capture_on_commit_callbacks: Any
) -> None:
    owner = UserFactory(email="ada@example.com")
    with django_capture_on_commit_callbacks(execute=True):
        answer = add(client, owner="ADA@example.com", scope=scope.pk, currency="eur")
    assert answer.status_code == 302
    made = Subscription.objects.get()
    assert (made.owner, made.scope, made.price, made.currency) == (owner, scope, Decimal(30), "EUR")
    assert (made.created_at, made.payment_method) == (NOW, "pm_1")
    assert RiskScore.objects.get().risk_level == "HIGH", "there is no approval yet"
    entry = Decision.objects.get(action="subscription_added")
    assert (entry.actor, entry.rationale) == (admin, "New price.")


def test_a_form_sent_twice_adds_one(client: Client, admin: User, scope: Scope) -> None:
    sent = {"key": str(uuid4()), "owner": UserFactory().username, "scope": scope.pk}
    assert [add(client, **sent).status_code for _ in range(2)] == [302, 409]
    assert Subscription.objects.count() == 1


@pytest.mark.parametrize(
    "wrong", [*WRONG, {"owner": "nobody"}, {"owner": ""}, {"scope": "999999"}, {"key": "x"}, {"key": ""}], ids=str
)
def test_additions_that_are_refused(client: Client, admin: User, scope: Scope, wrong: dict[str, str]) -> None:
    sent = {"owner": UserFactory().username, "scope": scope.pk} | wrong
    assert add(client, **sent).status_code == 400
    assert not Subscription.objects.exists()


def test_people_who_left_and_addresses_of_several_own_nothing(client: Client, admin: User, scope: Scope) -> None:
    left = UserFactory(is_active=False)
    for email in ("team@example.com", "Team@example.com"):
        UserFactory(email=email)
    for owner in (left.username, "TEAM@example.com"):
        assert add(client, owner=owner, scope=scope.pk).status_code == 400
    assert not Subscription.objects.exists()


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SUPPORT_MANAGER, Role.AUDITOR, Role.RISK_MANAGER])
def test_who_may_not_add(client: Client, scope: Scope, role: Role) -> None:
    user = person(role, scope)
    client.force_login(user)
    assert client.get(reverse(ADD)).status_code == 403
    assert add(client, owner=user.username, scope=scope.pk).status_code == 403


def test_a_change_made_just_before_the_renewal_moved_is_stale_too(
    client: Client, admin: User, plan: Subscription
) -> None:
    seen = records.seen_values(plan)
    records.record_renewal_attempt(subscription_id=plan.pk, success=True, actor="system:tests", now=NOW + timedelta(0))
    assert edit(client, plan, seen).status_code == 409
