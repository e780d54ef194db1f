"""Owners and the staff concerned are told of HIGH risk and of its end, once, with what they need to act."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import transaction
from guardian.shortcuts import assign_perm

from apps.core.models import Delivery, Notification, Scope, User
from apps.core.notifications import deliver_one
from apps.core.roles import Role
from apps.core.tasks import deliver_pending_notifications
from apps.subscriptions import notifications
from apps.subscriptions.models import RiskScore, Subscription
from apps.subscriptions.notifications import DAILY, staff_of, tell_of_transitions
from apps.subscriptions.scores import Transition
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.subscriptions.factories import NOW, SubscriptionFactory

pytestmark = pytest.mark.django_db

FACTORS: list[dict[str, object]] = [
    {
        "factor_type": "consecutive_failures",
        "weight": "HIGH",
        "weight_value": 10,
        "details": {"consecutive_failures": 3, "total_attempts": 5, "last_decline_kind": "hard"},
    },
    {
        "factor_type": "balance_projection",
        "weight": "MEDIUM",
        "weight_value": 5,
        "details": {"balance": "21.00", "renewal_amount": "20.00", "currency": "USD", "balance_as_of": None},
    },
    {
        "factor_type": "approval_expiration",
        "weight": "NONE",
        "weight_value": 0,
        "details": {"approval": "valid", "expires_at": NOW.isoformat()},
    },
]


@pytest.fixture(autouse=True)
def at_nine() -> Any:
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def scope() -> Scope:
    return ScopeFactory(name="Acme")


@pytest.fixture
def owner() -> User:
    return UserFactory(username="olga")


@pytest.fixture
def subscription(scope: Scope, owner: User) -> Subscription:
    return SubscriptionFactory(name="Team plan", scope=scope, owner=owner)


def change(subscription: Subscription, previous: str, level: str, told: str | None = None) -> Transition:
    """A change whose score is stored, as the calculation does before it tells."""
    RiskScore.objects.update_or_create(
        subscription=subscription,
        defaults={"user": subscription.owner, "risk_level": level, "risk_factors": FACTORS, "last_calculated_at": NOW}
        | ({} if told is None else {"last_notified_risk_level": told}),
    )
    return Transition(subscription.pk, previous, level, FACTORS if level == "HIGH" else [])


def told(subscription: Subscription) -> str:
    return RiskScore.objects.get(subscription=subscription).last_notified_risk_level


def titles(user: User) -> list[str]:
    return list(Notification.objects.filter(recipient=user).order_by("pk").values_list("title", flat=True))


def test_the_owner_is_told_of_high_risk_with_all_that_is_needed(subscription: Subscription, owner: User) -> None:
    assert tell_of_transitions([change(subscription, "LOW", "HIGH")], now=NOW) == 1
    news = Notification.objects.get(recipient=owner)
    assert news.title == "Team plan: HIGH risk"
    assert news.url == "", "the pages are for the staff"
    assert news.body.splitlines() == [
        "Subscription: Team plan",
        "Price: USD 20.00, monthly",
        "Risk level: HIGH (before: LOW)",
        "Next renewal: 2026-03-10",
        "",
        "What contributes to it:",
        "- Consecutive failures: HIGH (3 renewals in a row failed, 5 attempts in all, the last decline is final)",
        "- Balance projection: MEDIUM (USD 21.00 for a renewal of USD 20.00, 105 % of it)",
        "",
        "What to do:",
        "- Ask the owner to update the payment method; this one will not work again.",
        "- Remind the owner to top up: the balance covers the renewal with little to spare.",
    ]
    assert told(subscription) == "HIGH"


def test_the_owner_is_told_when_it_is_over(subscription: Subscription, owner: User) -> None:
    tell_of_transitions([change(subscription, "MEDIUM", "HIGH")], now=NOW)
    tell_of_transitions([change(subscription, "HIGH", "MEDIUM")], now=NOW + timedelta(hours=1))
    assert titles(owner) == ["Team plan: HIGH risk", "Team plan: no longer at HIGH risk, now MEDIUM"]
    assert told(subscription) == "MEDIUM"


@pytest.mark.parametrize(("previous", "level"), [("", "LOW"), ("", "MEDIUM"), ("LOW", "MEDIUM"), ("MEDIUM", "LOW")])
def test_other_changes_are_no_news(subscription: Subscription, previous: str, level: str) -> None:
    assert tell_of_transitions([change(subscription, previous, level)], now=NOW) == 0


def test_a_first_score_that_is_high_is_news(subscription: Subscription, owner: User) -> None:
    assert tell_of_transitions([change(subscription, "", "HIGH")], now=NOW) == 1
    assert "before: not calculated before" in Notification.objects.get().body


def test_what_was_told_is_not_told_again(subscription: Subscription, owner: User) -> None:
    assert tell_of_transitions([change(subscription, "LOW", "HIGH", told="HIGH")], now=NOW) == 0
    assert tell_of_transitions([change(subscription, "HIGH", "LOW", told="LOW")], now=NOW) == 0
    assert titles(owner) == []


def test_it_may_become_high_again(subscription: Subscription, owner: User) -> None:
    for n, (previous, level) in enumerate([("LOW", "HIGH"), ("HIGH", "LOW"), ("LOW", "HIGH")]):
        tell_of_transitions([change(subscription, previous, level)], now=NOW + timedelta(minutes=n))
    assert len(titles(owner)) == 3


def test_the_staff_concerned_are_told_and_nobody_else(scope: Scope, subscription: Subscription) -> None:
    operator, manager = person(Role.OPERATOR, scope), person(Role.SUPPORT_MANAGER, scope)
    by_role = person(Role.OPERATOR)
    assign_perm("core.work_in_scope", by_role.groups.get(), scope)
    others = [
        person(Role.SUPPORT_AGENT, scope),
        person(Role.SUPPORT_MANAGER),  # of another organisation
        person(Role.SUPPORT_MANAGER, ScopeFactory()),
        person(Role.AUDITOR),
        person(Role.OPERATOR, scope, is_active=False),
    ]
    tell_of_transitions([change(subscription, "LOW", "HIGH")], now=NOW)
    assert all(titles(one) == ["Team plan: HIGH risk"] for one in (operator, manager, by_role))
    assert [one for one in others if titles(one)] == []


def test_staff_who_own_the_subscription_are_told_once(scope: Scope) -> None:
    operator = person(Role.OPERATOR, scope)
    subscription = SubscriptionFactory(scope=scope, owner=operator)
    assert tell_of_transitions([change(subscription, "LOW", "HIGH")], now=NOW) == 1
    assert Notification.objects.get().url == f"/admin/subscriptions/subscription/{subscription.pk}/change/"


def test_what_belongs_to_no_organisation_concerns_all(subscription: Subscription) -> None:
    operator = person(Role.OPERATOR)
    assert staff_of({None, subscription.scope_id}) == {None: [operator], subscription.scope_id: []}


def test_who_sees_all_organisations_is_concerned_with_each(subscription: Subscription) -> None:
    both = person(Role.OPERATOR)
    both.groups.add(person(Role.SUPPORT_DIRECTOR).groups.get())
    assert staff_of({subscription.scope_id}) == {subscription.scope_id: [both]}


def test_queries_do_not_grow_with_changes(
    scope: Scope, django_assert_max_num_queries: Callable[[int], Any], django_assert_num_queries: Any
) -> None:
    person(Role.OPERATOR, scope)
    one = [change(SubscriptionFactory(scope=scope), "LOW", "HIGH")]
    many = [change(SubscriptionFactory(scope=scope), "LOW", "HIGH") for _ in range(20)]
    with django_assert_max_num_queries(16) as first:
        tell_of_transitions(one, now=NOW)
    with django_assert_num_queries(len(first.captured_queries)):
        tell_of_transitions(many, now=NOW)


def test_nobody_is_buried(scope: Scope) -> None:
    operator = person(Role.OPERATOR, scope)
    changes = [change(SubscriptionFactory(scope=scope), "LOW", "HIGH") for _ in range(DAILY + 5)]
    tell_of_transitions(changes[:10], now=NOW)
    tell_of_transitions(changes[10:], now=NOW)
    tell_of_transitions([change(SubscriptionFactory(scope=scope), "LOW", "HIGH")], now=NOW)
    found = titles(operator)
    assert len(found) == DAILY + 1
    assert found[-1] == "More subscriptions changed their risk today"
    last = Notification.objects.filter(recipient=operator).latest("pk")
    assert last.url == "/admin/subscriptions/riskscore/?level=HIGH"
    assert last.body.count("\n- ") == 6, "five, and the one that came later"
    assert Notification.objects.exclude(recipient=operator).count() == DAILY + 6, "each owner is told of the own one"


def test_beyond_the_limit_each_change_is_named_and_makes_the_news_unread_again(scope: Scope) -> None:
    operator = person(Role.OPERATOR, scope)
    tell_of_transitions([change(SubscriptionFactory(scope=scope), "LOW", "HIGH") for _ in range(DAILY)], now=NOW)
    late = [SubscriptionFactory(scope=scope, name=f"Late {n}") for n in range(4)]
    for subscription, minutes in zip(late, (1, 2, 61, 62), strict=True):
        tell_of_transitions([change(subscription, "LOW", "HIGH")], now=NOW + timedelta(minutes=minutes))
        gathered = Notification.objects.filter(recipient=operator, title__startswith="More")
        newest = gathered.latest("pk")
        assert newest.read_at is None
        assert f"- {subscription.name}: HIGH, before LOW" in newest.body
        gathered.update(read_at=NOW)
    assert gathered.count() == 2, "one an hour"


def test_those_to_high_come_before_those_that_left_it(scope: Scope) -> None:
    operator = person(Role.OPERATOR, scope)
    fell = [change(SubscriptionFactory(scope=scope), "HIGH", "LOW") for _ in range(DAILY)]
    rose = [change(SubscriptionFactory(scope=scope), "LOW", "HIGH") for _ in range(3)]
    tell_of_transitions([*fell, *rose], now=NOW)
    assert sum(title.endswith("HIGH risk") for title in titles(operator)) == 3


def test_the_news_of_an_hour_has_an_end(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "LONGEST", 200)
    operator = person(Role.OPERATOR, scope)
    for minutes in range(5):
        changes = [change(SubscriptionFactory(scope=scope), "LOW", "HIGH") for _ in range(DAILY)]
        tell_of_transitions(changes, now=NOW + timedelta(minutes=minutes))
    body = Notification.objects.filter(recipient=operator).latest("pk").body
    assert len(body) < 400
    assert body.count("And more; all of them stand in the list.") == 1


class Killed(BaseException):
    """The worker dies: nothing after it runs, as with SIGKILL."""


def test_a_worker_killed_before_the_commit_told_nobody_and_the_next_one_tells(
    subscription: Subscription, owner: User
) -> None:
    with pytest.raises(Killed), transaction.atomic():
        tell_of_transitions([change(subscription, "LOW", "HIGH")], now=NOW)
        raise Killed
    assert titles(owner) == []
    assert not RiskScore.objects.exists()
    tell_of_transitions([change(subscription, "LOW", "HIGH")], now=NOW)
    assert titles(owner) == ["Team plan: HIGH risk"]


def test_a_worker_killed_between_sending_and_recording_sends_the_same_message_again(
    subscription: Subscription, owner: User, monkeypatch: pytest.MonkeyPatch, at_nine: Any
) -> None:
    """In the inbox exactly once; by e-mail at least once, and a repetition carries the same ``Message-ID``."""
    tell_of_transitions([change(subscription, "LOW", "HIGH")], now=NOW)
    sends = EmailBackend.send_messages

    def send_and_die(self: EmailBackend, messages: Any) -> int:
        sends(self, messages)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(EmailBackend, "send_messages", send_and_die)
        with pytest.raises(Killed):
            deliver_one(now=NOW)
    assert Delivery.objects.get(channel="email").status == "pending", "that it was sent is not recorded"
    assert tell_of_transitions([change(subscription, "LOW", "HIGH")], now=NOW) == 0, "told already"
    at_nine.shift(timedelta(minutes=6))
    assert deliver_pending_notifications() == 1
    assert deliver_pending_notifications() == 0
    first, second = (message.message()["Message-ID"] for message in mail.outbox)
    assert first == second
    assert len(titles(owner)) == 1
    assert Delivery.objects.get(channel="email").status == "sent"
