"""Retries are executed once, with an approval only, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest
from django.conf import settings
from django.db import connection

from apps.core.breaker import Breaker
from apps.core.http import Policy
from apps.core.models import Decision, Notification
from apps.core.roles import Role
from apps.subscriptions import payments, records, retries
from apps.subscriptions.models import Approval, PaymentProvider, PaymentRetry, RenewalAttempt, Subscription
from apps.subscriptions.provider import HttpProvider
from tests.core.factories import ScopeFactory, person
from tests.subscriptions.factories import RENEWS_ON, ApprovalFactory, RenewalAttemptFactory, SubscriptionFactory
from tests.support.bank import Bank, bank
from tests.support.faulty_server import answer, drop, half_answer, malformed, silence

pytestmark = pytest.mark.django_db

DUE = datetime.combine(RENEWS_ON, time(), UTC)
LATER = DUE + timedelta(hours=25)  # the first retry is due a day after the first try


@pytest.fixture
def house() -> Iterator[Bank]:
    with bank() as running:
        yield running


@pytest.fixture
def provider(house: Bank) -> Iterator[PaymentProvider]:
    row = PaymentProvider.objects.create(name="Bank", base_url=house.url, api_token="t")
    Breaker(f"payments:{row.pk}").reset()
    yield row
    Breaker(f"payments:{row.pk}").reset()


def declined(**fields) -> Subscription:
    """A subscription whose renewal was declined softly when it was due, with an approval; its retry is proposed."""
    subscription = SubscriptionFactory(payment_method="pm_1", **fields)
    RenewalAttemptFactory(
        subscription=subscription, renewal_on=RENEWS_ON, attempt_date=DUE, success=False, decline_code="51",
        decline_kind="soft",
    )  # fmt: skip
    ApprovalFactory(subscription=subscription)
    retries.propose(subscription=subscription, now=DUE)
    return subscription


def work(now: datetime = LATER, *, attempts: int = 1, timeout: float = 0.5) -> int:
    def connect(row: PaymentProvider) -> HttpProvider:
        return HttpProvider(row, timeout=timeout, policy=Policy(attempts=attempts), sleep=lambda _: None)

    return payments.work(now=now, connect=connect)


def tries() -> list[tuple[int, bool]]:
    return list(RenewalAttempt.objects.order_by("number").values_list("number", "success"))


def test_a_due_retry_is_charged_once_and_recorded(house, provider) -> None:
    subscription = declined()
    assert work(DUE + timedelta(hours=23)) == 0
    assert work() == 1
    assert work(LATER + timedelta(days=9)) == 0
    retry = PaymentRetry.objects.get()
    assert (retry.status, retry.charge_id, retry.number) == ("paid", "ch_1", 2)
    assert house.server.seen[0].headers["idempotency-key"] == str(retry.pk)
    assert house.money == ["20.00"]
    assert tries() == [(1, False), (2, True)]
    subscription.refresh_from_db()
    assert subscription.renews_on > RENEWS_ON
    assert subscription.next_attempt_at is None
    assert Decision.objects.get(action="payment_retry_paid").subject == f"subscription:{subscription.pk}"


def test_a_decline_is_an_attempt_and_the_next_retry_is_proposed(house, provider) -> None:
    subscription = declined()
    house.declines = "51"
    work()
    subscription.refresh_from_db()
    assert tries() == [(1, False), (2, False)]
    assert subscription.next_attempt_at == LATER + timedelta(hours=72)
    assert subscription.next_attempt_reason.startswith("Retry 2 of 4")


def test_after_a_hard_decline_nothing_is_tried_again(house, provider) -> None:
    declined()
    house.declines = "41"
    work()
    assert work(LATER + timedelta(days=20)) == 0
    assert len(house.server.seen) == 1


def test_after_a_hard_decline_another_payment_method_is_tried_and_the_old_one_never(house, provider) -> None:
    subscription = declined()
    house.declines = "41"
    work()
    subscription.refresh_from_db()
    assert (subscription.next_attempt_at, subscription.next_attempt_reason[:17]) == (None, "Declined for good")
    at = LATER + timedelta(days=1)

    def enter(method: str) -> None:
        records.change_subscription(
            subscription_id=subscription.pk, changes={"payment_method": method}, actor="system:tests", now=at
        )
        subscription.refresh_from_db()

    enter("pm_2")
    assert subscription.next_attempt_at == at
    enter("pm_1")
    assert subscription.next_attempt_at is None
    enter("pm_2")
    house.declines = ""
    assert work(at) == 1
    assert json.loads(house.server.seen[-1].body)["payment_method"] == "pm_2"
    assert list(RenewalAttempt.objects.order_by("number").values_list("payment_method", "success")) == [
        ("pm_1", False), ("pm_1", False), ("pm_2", True)
    ]  # fmt: skip


def test_another_method_is_not_charged_without_an_approval(house, provider) -> None:
    subscription = declined()
    house.declines = "41"
    work()
    Approval.objects.update(status=Approval.Status.REVOKED)
    at = LATER + timedelta(days=1)
    records.change_subscription(
        subscription_id=subscription.pk, changes={"payment_method": "pm_2"}, actor="system:tests", now=at
    )
    assert work(at) == 0
    subscription.refresh_from_db()
    assert subscription.next_attempt_reason == payments.NO_APPROVAL


def test_a_method_changed_while_the_outcome_is_unknown_is_asked_for_under_a_key_of_its_own(house, provider) -> None:
    subscription = declined(name="Gold")
    house.before = [drop]
    work()
    records.change_subscription(
        subscription_id=subscription.pk, changes={"payment_method": "pm_2", "name": "Platinum"}, actor="system:tests",
        now=LATER,
    )  # fmt: skip
    work(LATER + timedelta(minutes=10))
    first, second = PaymentRetry.objects.order_by("number")
    assert (first.status, first.last_error) == ("failed", "Nothing was charged: the payment method has changed.")
    asked = [json.loads(seen.body) for seen in house.server.seen if seen.method == "POST"]
    assert [(body["reference"], body["payment_method"], body["description"]) for body in asked] == [
        (str(first.pk), "pm_1", "Gold"), (str(second.pk), "pm_2", "Platinum"),
    ]  # fmt: skip
    assert house.money == ["20.00"]


def test_a_repetition_is_word_for_word_the_first_question(house, provider) -> None:
    """Providers refuse a key that comes again with another body."""
    subscription = declined(name="Gold")
    house.after = [drop]
    work()
    records.change_subscription(
        subscription_id=subscription.pk, changes={"name": "Platinum"}, actor="system:tests", now=LATER
    )
    work(LATER + timedelta(minutes=10))
    first, second = (seen.body for seen in house.server.seen)
    assert first == second
    assert house.money == ["20.00"]


@pytest.mark.parametrize(
    "change",
    [
        {"status": Approval.Status.REVOKED},
        {"status": Approval.Status.EXPIRED},
        {"expires_at": LATER},
        {"approval_type": Approval.Kind.PAYMENT},
    ],
    ids=["revoked", "expired", "ends now", "of another kind"],
)
def test_without_an_active_approval_nobody_is_asked_for_money(house, provider, change) -> None:
    subscription = declined()
    Approval.objects.update(**change)
    assert work() == 0
    assert house.server.seen == []
    subscription.refresh_from_db()
    assert subscription.next_attempt_reason == payments.NO_APPROVAL
    ApprovalFactory(subscription=subscription)
    assert work() == 1
    assert house.money == ["20.00"]


@pytest.mark.parametrize("fields", [{"payment_method": ""}, {"status": "paused"}])
def test_what_cannot_be_charged_is_left_alone(house, provider, fields) -> None:
    declined()
    Subscription.objects.update(**fields)
    assert work() == 0
    assert house.server.seen == []


@pytest.mark.parametrize("fault", [drop, half_answer, malformed, silence(1), answer(500), answer(200, b"<html>")],
                         ids=["drop", "half", "malformed", "silence", "500", "not json"])  # fmt: skip
def test_an_answer_that_got_lost_is_asked_for_again_and_never_charged_twice(house, provider, fault) -> None:
    declined()
    house.after = [fault]
    assert work() == 1
    retry = PaymentRetry.objects.get()
    assert (retry.status, retry.tries) == ("running", 1)
    assert retry.last_error
    assert work(LATER + timedelta(seconds=59)) == 0
    assert work(LATER + timedelta(minutes=1)) == 1
    assert {seen.headers["idempotency-key"] for seen in house.server.seen} == {str(retry.pk)}
    assert house.money == ["20.00"]
    assert tries() == [(1, False), (2, True)]


def test_within_one_turn_faults_are_retried_with_the_same_key(house, provider) -> None:
    declined()
    house.before, house.after = [answer(503)], [drop]
    work(attempts=3)
    assert PaymentRetry.objects.get().status == "paid"
    assert house.money == ["20.00"]
    assert len(house.server.seen) == 3


def test_when_the_approval_ends_while_the_outcome_is_unknown_it_is_only_asked_about(house, provider) -> None:
    subscription = declined()
    house.before = [drop]
    work()
    Approval.objects.update(status=Approval.Status.REVOKED)
    work(LATER + timedelta(minutes=1))
    assert [seen.method for seen in house.server.seen] == ["POST", "GET"]
    assert house.money == []
    retry = PaymentRetry.objects.get()
    assert retry.status == "failed"
    assert retry.last_error == "Nothing was charged: there is no active approval any more."
    ApprovalFactory(subscription=subscription)  # then the policy's next proposal holds, with another key
    work(LATER + timedelta(minutes=2))
    assert house.money == ["20.00"]


def test_a_charge_that_went_through_before_the_approval_ended_is_recorded(house, provider) -> None:
    declined()
    house.after = [drop]
    work()
    Approval.objects.update(status=Approval.Status.REVOKED)
    work(LATER + timedelta(minutes=1))
    assert tries() == [(1, False), (2, True)]
    assert house.money == ["20.00"]


@pytest.mark.parametrize("fault", ["before", "after"])
def test_once_the_provider_may_have_forgotten_the_key_it_is_only_asked_about(house, provider, fault) -> None:
    """If it knows of no charge, the next one has another key."""
    declined()
    setattr(house, fault, [drop])
    work()
    work(LATER + payments.KEY_LIFE)
    first, second, *rest = house.server.seen
    assert (second.method, second.path) == ("GET", f"/charges/{first.headers['idempotency-key']}")
    assert [seen.method for seen in rest] == (["POST"] if fault == "before" else [])
    assert first.headers["idempotency-key"] not in [seen.headers["idempotency-key"] for seen in rest]
    assert house.money == ["20.00"]


def test_a_refusal_is_for_people_and_is_not_repeated_by_itself(house, provider) -> None:
    subscription = declined()
    operator = person(Role.OPERATOR, subscription.scope)
    stranger = person(Role.OPERATOR, ScopeFactory())
    house.before = [answer(422)]
    work()
    assert work(LATER + timedelta(days=2)) == 0
    retry = PaymentRetry.objects.get()
    assert (retry.status, retry.last_error) == ("failed", "Nothing was charged: payments answered 422")
    assert Notification.objects.filter(recipient=operator, kind="subscriptions").count() == 1
    assert not Notification.objects.filter(recipient=stranger).exists()
    assert payments.ask_again(retry=retry, actor=operator, now=LATER)
    work()
    assert house.money == ["20.00"]


def test_what_stays_unknown_is_given_up_after_days_and_said(house, provider) -> None:
    declined()
    house.before = [drop] * 50
    work()
    work(LATER + payments.GIVE_UP)
    retry = PaymentRetry.objects.get()
    assert retry.status == "failed"
    assert retry.last_error.startswith("Whether it was charged is not known")
    assert Subscription.objects.get().next_attempt_at is None


def test_a_charge_that_cannot_be_recorded_is_never_lost(house, provider, monkeypatch) -> None:
    """The price changes while the provider is asked."""
    declined()
    ask = HttpProvider.charge

    def slow(self, charge):
        outcome = ask(self, charge)
        Subscription.objects.update(price=Decimal("25.00"))
        return outcome

    monkeypatch.setattr(HttpProvider, "charge", slow)
    work()
    retry = PaymentRetry.objects.get()
    assert (retry.status, retry.charge_id) == ("paid", "ch_1")
    assert "could not be recorded" in retry.last_error
    assert tries() == [(1, False)]


def test_a_provider_that_is_down_gets_no_queue_of_keys(house, provider) -> None:
    for _ in range(12):
        declined()
    house.before = [answer(500)] * 100
    work()
    assert len(house.server.seen) == 5  # then the breaker is open
    assert PaymentRetry.objects.count() == 6
    assert Subscription.objects.filter(next_attempt_at__isnull=False).count() == 6


def test_each_organisation_is_charged_by_its_own_provider(house, provider) -> None:
    own, plain = declined(), declined(scope=None)
    with bank() as other:
        row = PaymentProvider.objects.create(name="Own", scope=own.scope, base_url=other.url, api_token="t")
        Breaker(f"payments:{row.pk}").reset()
        work()
        assert (house.money, other.money) == (["20.00"], ["20.00"])
        assert PaymentRetry.objects.get(subscription=plain).provider == provider
        assert PaymentRetry.objects.get(subscription=own).provider == row


def test_a_provider_that_is_switched_off_is_not_replaced_by_another(house, provider) -> None:
    own = declined()
    PaymentProvider.objects.create(
        name="Own", scope=own.scope, base_url="http://127.0.0.1:1", api_token="t", active=False
    )
    assert work() == 0
    assert house.server.seen == []


def test_a_policy_that_became_stricter_is_obeyed(house, provider) -> None:
    from apps.subscriptions.models import RetryPolicyVersion

    declined()
    RetryPolicyVersion.objects.create(number=1, settings={"enabled": False}, reason="r", created_at=DUE)
    assert work() == 0
    assert Subscription.objects.get().next_attempt_reason == "Retries are switched off."


# Workers that die, and workers side by side, on committed rows.

_CHARGED = """
import sys
from datetime import datetime
from time import sleep
import django
django.setup()
from apps.subscriptions import payments
from apps.subscriptions.provider import HttpProvider

def stop(*_):
    print("half", flush=True)
    sleep(60)

if sys.argv[2] == "before":
    HttpProvider.charge = stop
else:
    payments._settle = stop
payments.work(now=datetime.fromisoformat(sys.argv[1]))
"""


def killed(place: str) -> None:
    """Another process works until it reaches the place, and is killed there."""
    database = connection.settings_dict
    url = f"postgres://{database['USER']}@/{database['NAME']}?host={database['HOST']}"
    if not database["HOST"].startswith("/"):
        url = f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT'] or 5432}/{database['NAME']}"
    environment = os.environ | {"DATABASE_URL": url, "PYTHONPATH": str(settings.BASE_DIR), "LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-c", _CHARGED, LATER.isoformat(), place]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            assert started.stdout.readline().strip() == "half"
            started.send_signal(signal.SIGKILL)
            assert started.wait(10) == -signal.SIGKILL
        finally:
            started.kill()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("place", "taken"), [("before", []), ("between charge and record", ["20.00"])])
def test_a_worker_killed_on_the_way_is_followed_by_another_and_charges_once(house, provider, place, taken) -> None:
    declined()
    killed(place)
    assert house.money == taken
    assert PaymentRetry.objects.get().status == "running"
    assert tries() == [(1, False)]
    assert work(LATER + timedelta(minutes=1)) == 0  # its lease holds
    assert work(LATER + payments.LEASE) == 1
    assert house.money == ["20.00"]
    assert tries() == [(1, False), (2, True)]
    assert PaymentRetry.objects.get().status == "paid"


@pytest.mark.django_db(transaction=True)
def test_workers_side_by_side_share_what_is_due(house, provider) -> None:
    for _ in range(12):
        declined()

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(house.money) == 12
    assert len(house.server.seen) == 12
    assert RenewalAttempt.objects.filter(success=True).count() == 12


@pytest.mark.django_db(transaction=True)
def test_a_worker_whose_lease_is_over_records_nothing_twice(house, provider) -> None:
    declined()
    slow = payments.claim(provider, LATER)
    assert work(LATER + payments.LEASE) == 1
    with HttpProvider(provider) as late:
        payments.turn(slow, late, LATER + payments.LEASE)
    assert house.money == ["20.00"]
    assert tries() == [(1, False), (2, True)]
