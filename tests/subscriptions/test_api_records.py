"""The API of attempts, approvals and balances: what is recorded once, and what is refused."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.db import connection, connections, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from apps.core import idempotency
from apps.core.models import StoredAnswer, User
from apps.core.roles import Role
from apps.subscriptions import records
from apps.subscriptions.models import AccountBalance, Approval, RenewalAttempt, RiskScore, Subscription
from tests.core.factories import person
from tests.subscriptions.factories import NOW, RENEWS_ON, ApprovalFactory, BalanceFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db
KEY = "5f0c1c1e-0000-4000-8000-000000000001"


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def subscription() -> Subscription:
    return SubscriptionFactory()


@pytest.fixture
def user() -> User:
    return person(Role.RISK_MANAGER)


@pytest.fixture
def api(user: User) -> APIClient:
    found = APIClient()
    found.force_login(user)
    return found


def attempt(api: APIClient, subscription: Subscription, key: str | None = KEY, **body: Any) -> Any:
    headers = {"Idempotency-Key": key} if key is not None else {}
    path = f"/api/subscriptions/{subscription.pk}/attempts"
    return api.post(path, {"success": False} | body, format="json", headers=headers)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_an_attempt(api: APIClient, subscription: Subscription, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = attempt(api, subscription, error_message="Insufficient funds", decline_code="insufficient_funds")
    assert answer.status_code == 201
    made = RenewalAttempt.objects.get()
    assert answer.json() == {
        "success": True,
        "data": {
            "id": str(made.pk), "subscription_id": str(subscription.pk), "renewal_on": "2026-03-10", "number": 1,
            "attempt_date": "2026-03-02T09:00:00Z", "amount": "20.00", "currency": "USD", "success": False,
            "error_message": "Insufficient funds", "decline_code": "insufficient_funds", "decline_kind": "soft",
            "recorded_at": "2026-03-02T09:00:00Z",
        },
    }  # fmt: skip
    assert RiskScore.objects.get().risk_level == "HIGH"  # at once: there is no approval either
    assert api.get(f"/api/subscriptions/{subscription.pk}/attempts").json()["data"] == [answer.json()["data"]]


def test_an_approval_and_its_end(api: APIClient, subscription: Subscription) -> None:
    path, body = f"/api/subscriptions/{subscription.pk}/approvals", {"approval_type": "renewal"}
    made = api.post(
        path, body | {"expires_at": "2026-04-01T02:00:00+02:00"}, format="json", headers={"Idempotency-Key": KEY}
    ).json()["data"]
    assert (made["status"], made["expires_at"]) == ("active", "2026-04-01T00:00:00Z")
    revoked = api.post(f"{path}/{made['id']}/revoke").json()["data"]
    assert revoked == made | {"status": "revoked"}
    assert code(api.post(f"{path}/{made['id']}/revoke")) == (409, "approval_not_active")
    assert [row["status"] for row in api.get(path).json()["data"]] == ["revoked"]


def test_a_balance(api: APIClient, subscription: Subscription) -> None:
    path = f"/api/subscriptions/{subscription.pk}/balance"
    body = {"amount": "-12.5", "currency": "USD", "as_of": "2026-03-02T08:00:00Z"}
    told = api.put(path, body, format="json")
    assert told.status_code == 200
    assert told.json()["data"] == {
        "subscription_id": str(subscription.pk), "amount": "-12.50", "currency": "USD", "as_of": "2026-03-02T08:00:00Z",
    }  # fmt: skip
    older = api.put(path, body | {"amount": "99.00", "as_of": "2026-03-02T07:00:00Z"}, format="json")
    assert older.json() == told.json() == api.get(path).json()


# Idempotency


def test_the_same_again_is_answered_again_and_done_once(api: APIClient, subscription: Subscription) -> None:
    first = attempt(api, subscription, decline_code="x")
    again = attempt(api, subscription, decline_code="x")
    assert (again.status_code, again.json()) == (201, first.json())
    assert ("Idempotency-Replayed" in first, again["Idempotency-Replayed"]) == (False, "true")
    assert RenewalAttempt.objects.count() == 1


def test_the_order_of_fields_does_not_make_another_request(api: APIClient, subscription: Subscription) -> None:
    path = f"/api/subscriptions/{subscription.pk}/attempts"
    for text in ('{"success": false, "decline_code": "x"}', '{"decline_code":"x","success":false}'):
        answer = api.post(path, text, content_type="application/json", headers={"Idempotency-Key": KEY})
        assert answer.status_code == 201
    assert RenewalAttempt.objects.count() == 1


def test_a_key_of_another_request_is_refused(api: APIClient, subscription: Subscription) -> None:
    attempt(api, subscription)
    assert code(attempt(api, subscription, decline_code="x")) == (409, "idempotency_key_reused")
    assert code(attempt(api, SubscriptionFactory())) == (409, "idempotency_key_reused")
    balance = {"amount": "1", "currency": "USD", "as_of": "2026-03-02T08:00:00Z"}
    answer = api.put(
        f"/api/subscriptions/{subscription.pk}/balance", balance, format="json", headers={"Idempotency-Key": KEY}
    )
    assert code(answer) == (409, "idempotency_key_reused")
    assert (RenewalAttempt.objects.count(), AccountBalance.objects.count()) == (1, 0)


def test_keys_of_different_people_never_meet(api: APIClient, subscription: Subscription) -> None:
    attempt(api, subscription)
    other = APIClient()
    other.force_login(person(Role.RISK_MANAGER))
    assert attempt(other, subscription, decline_code="x").status_code == 201


def test_a_refused_request_uses_up_no_key(api: APIClient, subscription: Subscription) -> None:
    assert code(attempt(api, subscription, amount="1.00")) == (422, "amount_mismatch")
    assert not StoredAnswer.objects.exists()
    assert attempt(api, subscription).status_code == 201


def test_attempts_and_approvals_need_a_key(api: APIClient, subscription: Subscription) -> None:
    assert code(attempt(api, subscription, key=None)) == (400, "idempotency_key_required")
    for bad in ("", "a b", "x" * 201):
        assert code(attempt(api, subscription, key=bad)) == (400, "idempotency_key_invalid")
    assert not RenewalAttempt.objects.exists()


def test_keys_are_forgotten_after_a_week(api: APIClient, subscription: Subscription) -> None:
    attempt(api, subscription)
    assert idempotency.forget_old(now=NOW + timedelta(days=7)) == 0
    assert idempotency.forget_old(now=NOW + timedelta(days=7, seconds=1)) == 1


@pytest.mark.django_db(transaction=True)
def test_the_same_at_the_same_time_is_done_once(user: User, subscription: Subscription) -> None:
    answers: list[Any] = []
    ready = threading.Barrier(6)

    def one() -> None:
        api = APIClient()
        api.force_login(user)
        ready.wait()
        answers.append(attempt(api, subscription))
        connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer.status_code for answer in answers] == [201] * 6
    assert len({json.dumps(answer.json(), sort_keys=True) for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer for answer in answers) == 5
    assert RenewalAttempt.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_who_waits_too_long_for_the_first_is_told_so(
    api: APIClient, user: User, subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "WAIT_MS", 50)
    claimed, over = threading.Event(), threading.Event()

    def first() -> None:
        with transaction.atomic():
            StoredAnswer.objects.create(user=user, key=KEY, fingerprint="x", created_at=timezone.now())
            claimed.set()
            over.wait(30)
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert claimed.wait(10)
    answer = attempt(api, subscription)
    over.set()
    thread.join(10)
    assert code(answer) == (409, "idempotency_key_busy")
    assert answer["Retry-After"] == "2"
    assert not RenewalAttempt.objects.exists()


# What is refused


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"amount": "19.99"}, (422, "amount_mismatch")),
        ({"amount": "-20.00"}, (422, "amount_negative")),
        ({"amount": "999999999999.99"}, (422, "amount_mismatch")),
        ({"amount": "9" * 40}, (400, "invalid")),
        ({"amount": "NaN"}, (400, "invalid")),
        ({"amount": 20.0}, (400, "invalid")),
        ({"amount": "20.001"}, (400, "invalid")),
        ({"currency": "EUR"}, (422, "currency_mismatch")),
        ({"currency": "dollars"}, (400, "invalid")),
        ({"attempt_date": "2026-03-03T09:00:00Z"}, (422, "date_in_future")),
        ({"attempt_date": "1969-03-03T09:00:00Z"}, (422, "date_out_of_range")),
        ({"attempt_date": "0001-01-01T00:00:00+14:00"}, (400, "invalid")),
        ({"attempt_date": "2026-03-02"}, (400, "invalid")),
        ({"attempt_date": "2026-03-02T09:00:00"}, (400, "invalid")),
        ({"renewal_on": "2026-03-11"}, (422, "renewal_unknown")),
        ({"renewal_on": "2026-02-30"}, (400, "invalid")),
        ({"success": "yes"}, (400, "invalid")),
        ({"success": True, "decline_code": "x"}, (422, "success_with_decline")),
        ({"error_message": "x" * 2_001}, (400, "invalid")),
        ({"error_message": "a\0b"}, (400, "invalid")),
        ({"error_message": 5}, (400, "invalid")),
        ({"atempt_date": "2026-03-02T09:00:00Z"}, (400, "invalid")),
    ],
)
def test_attempts_that_are_refused(
    api: APIClient, subscription: Subscription, body: dict[str, Any], wanted: tuple[int, str]
) -> None:
    answer = attempt(api, subscription, **body)
    assert code(answer) == wanted
    if wanted[1] not in ("success_with_decline",):
        assert set(answer.json()["error"]["fields"]) <= set(body)
    assert not RenewalAttempt.objects.exists()


def test_a_renewal_that_is_paid(api: APIClient, subscription: Subscription) -> None:
    attempt(api, subscription, success=True)
    again = attempt(api, subscription, key=str(uuid4()), renewal_on=str(RENEWS_ON))
    assert code(again) == (409, "renewal_paid")
    Subscription.objects.update(status="cancelled")
    assert code(attempt(api, subscription, key=str(uuid4()))) == (409, "subscription_ended")


@pytest.mark.parametrize(
    ("expires", "wanted"),
    [
        ("2026-03-02T09:00:00Z", (422, "date_in_past")),
        ("2126-03-02T09:00:00Z", (422, "date_out_of_range")),
        ("tomorrow", (400, "invalid")),
        (None, (400, "invalid")),
    ],
)
def test_approvals_that_are_refused(
    api: APIClient, subscription: Subscription, expires: Any, wanted: tuple[int, str]
) -> None:
    former = ApprovalFactory(subscription=subscription)
    answer = api.post(
        f"/api/subscriptions/{subscription.pk}/approvals", {"approval_type": "renewal", "expires_at": expires},
        format="json", headers={"Idempotency-Key": KEY},
    )  # fmt: skip
    assert code(answer) == wanted
    assert list(Approval.objects.values_list("pk", "status")) == [(former.pk, "active")]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"currency": "EUR"}, (422, "currency_mismatch")),
        ({"as_of": "2026-03-02T09:06:00Z"}, (422, "date_in_future")),
        ({"amount": "1e5"}, (400, "invalid")),
        ({"amount": "1000000000000"}, (400, "invalid")),
        ({"amount": None}, (400, "invalid")),
    ],
)
def test_balances_that_are_refused(
    api: APIClient, subscription: Subscription, change: dict[str, Any], wanted: tuple[int, str]
) -> None:
    BalanceFactory(subscription=subscription)
    body = {"amount": "1.00", "currency": "USD", "as_of": "2026-03-02T08:00:00Z"} | change
    assert code(api.put(f"/api/subscriptions/{subscription.pk}/balance", body, format="json")) == wanted
    assert AccountBalance.objects.get().amount == Decimal(100)


@pytest.mark.parametrize(
    ("text", "kind", "wanted"),
    [
        ("{", "application/json", (400, "parse_error")),
        ("[" * 100_000, "application/json", (413, "too_large")),
        ("[" * 30_000, "application/json", (400, "parse_error")),
        ("[]", "application/json", (400, "invalid")),
        ('{"success": NaN}', "application/json", (400, "parse_error")),
        ('{"success": false, "success": true}', "application/json", (400, "parse_error")),
        ("", "application/json", (400, "invalid")),
        ("success=true", "application/x-www-form-urlencoded", (415, "unsupported_media_type")),
        ("<a/>", "text/xml", (415, "unsupported_media_type")),
        (json.dumps({"success": True, "error_message": "x" * 65_536}), "application/json", (413, "too_large")),
        ("x" * 6_000_000, "application/json", (413, "too_large")),
    ],
)
def test_bodies_that_are_refused(
    api: APIClient, subscription: Subscription, text: str, kind: str, wanted: tuple[int, str]
) -> None:
    path = f"/api/subscriptions/{subscription.pk}/attempts"
    answer = api.generic("POST", path, text, content_type=kind, headers={"Idempotency-Key": KEY})
    assert code(answer) == wanted


def test_nothing_is_half_written(api: APIClient, subscription: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(records.retries, "propose", broken)
    api.raise_request_exception = False
    with transaction.atomic():
        answer = attempt(api, subscription, success=True)
    assert answer.status_code == 500
    subscription.refresh_from_db()
    assert (RenewalAttempt.objects.count(), StoredAnswer.objects.count()) == (0, 0)
    assert subscription.renews_on == RENEWS_ON
