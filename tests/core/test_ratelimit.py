"""Rate limits on logins, webhooks and the API."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from prometheus_client import REGISTRY
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from apps.core.addresses import client_address, is_this_machine, network_of
from apps.core.ratelimit import ApiThrottle, TooManyRequests, by_store, forget, limited, seconds_to_wait, spend
from tests.core.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _low_limits(settings) -> None:
    settings.RATE_LIMITS = {
        "login_address": "6/minute",
        "login_account": "3/minute",
        "webhooks": "2/minute",
        "api_user": "3/minute",
        "api_address": "2/minute",
    }


def log_in(client: Client, name: str, password: str, **headers: str) -> HttpResponse:
    return client.post("/admin/login/", {"username": name, "password": password}, **headers)


def test_guessing_one_account_is_stopped_even_with_the_right_password(client) -> None:
    user = UserFactory(is_staff=True)
    for _ in range(3):
        assert log_in(client, user.username, "wrong").status_code == 200
    refused = log_in(client, user.username.upper(), PASSWORD)
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert b"rate_limited" in refused.content
    assert b"Too many attempts to sign in. Wait a minute" in refused.content
    assert refused["X-Request-ID"].encode() in refused.content


def test_other_accounts_and_pages_are_not_touched(client) -> None:
    one, other = UserFactory(is_staff=True), UserFactory(is_staff=True)
    for _ in range(4):
        log_in(client, one.username, "wrong")
    assert client.get("/admin/login/").status_code == 200
    assert log_in(client, other.username, PASSWORD).status_code == 302


def test_one_address_trying_many_accounts_is_stopped(client) -> None:
    for number in range(6):
        assert log_in(client, f"guess{number}", "wrong").status_code == 200
    assert log_in(client, "guess7", "wrong").status_code == 429
    assert log_in(client, "guess7", "wrong", REMOTE_ADDR="192.0.2.9").status_code == 200


def test_a_successful_login_clears_the_account(client) -> None:
    user = UserFactory(is_staff=True)
    for _ in range(2):
        log_in(client, user.username, "wrong")
    assert log_in(client, user.username, PASSWORD).status_code == 302
    client.logout()
    for _ in range(3):
        assert log_in(client, user.username, "wrong").status_code == 200


def test_forged_forwarding_headers_do_not_make_a_new_client(client) -> None:
    for number in range(7):
        last = log_in(client, f"guess{number}", "wrong", HTTP_X_FORWARDED_FOR=f"192.0.2.{number}")
    assert last.status_code == 429


@limited("webhooks", by_store)
def hook(request: HttpRequest) -> HttpResponse:
    return HttpResponse("stored")


def test_webhooks_are_limited_for_each_store_and_sender() -> None:
    make = RequestFactory()

    def send(store: str, address: str = "192.0.2.1") -> HttpResponse:
        return hook(make.post("/webhooks/x", headers={"X-Shopify-Shop-Domain": store}, REMOTE_ADDR=address))

    send("one.example")
    send("ONE.example")
    with pytest.raises(TooManyRequests) as caught:
        send("one.example")
    assert caught.value.retry_after >= 1
    assert send("two.example").status_code == 200
    assert send("one.example", "192.0.2.2").status_code == 200


def api_request(user: object = None) -> Request:
    request = Request(APIRequestFactory().get("/api/x"))
    if user:
        request.user = user
    return request


def test_the_api_is_limited_for_each_person_and_for_strangers_by_address() -> None:
    one, other = UserFactory(), UserFactory()
    throttle = ApiThrottle()
    assert [throttle.allow_request(api_request(one), APIView()) for _ in range(4)] == [True, True, True, False]
    assert throttle.wait() >= 1
    assert throttle.allow_request(api_request(other), APIView())
    assert [throttle.allow_request(api_request(), APIView()) for _ in range(3)] == [True, True, False]


def test_the_api_says_it_with_code_and_retry_after(client) -> None:
    client.force_login(UserFactory())
    answers = [client.get("/api/schema/", headers={"Accept": "application/json"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["error"]["code"] == "rate_limited"
    assert int(answers[3]["Retry-After"]) >= 1


def test_concurrent_requests_do_not_slip_through() -> None:
    barrier = threading.Barrier(8)

    def ask(_: int) -> bool:
        barrier.wait()
        return seconds_to_wait("login_account", "somebody") is None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 3


def test_forgetting_starts_again() -> None:
    for _ in range(3):
        spend("login_account", "somebody")
    forget("login_account", "somebody")
    spend("login_account", "somebody")


def test_without_valkey_requests_pass_and_are_counted(settings, client) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    labels = {"limit": "login_account"}
    before = REGISTRY.get_sample_value("riskdesk_rate_limit_unavailable_total", labels) or 0
    for _ in range(4):
        assert log_in(client, "somebody", "wrong").status_code == 200
    assert REGISTRY.get_sample_value("riskdesk_rate_limit_unavailable_total", labels) == before + 4


@pytest.mark.parametrize(
    ("behind_proxy", "forwarded", "expected"),
    [
        (False, "192.0.2.1", "10.0.0.1"),
        (True, "192.0.2.1", "192.0.2.1"),
        (True, "203.0.113.5, 192.0.2.1", "192.0.2.1"),
        (True, "nonsense", "10.0.0.1"),
        (True, "", "10.0.0.1"),
    ],
)
def test_only_the_proxy_is_believed(settings, behind_proxy, forwarded, expected) -> None:
    settings.BEHIND_PROXY = behind_proxy
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == expected


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", "unknown"),
    ],
)
def test_one_customer_is_one_client(address, network) -> None:
    assert network_of(address) == network


def test_this_machine_is_not_what_a_proxy_on_it_passes_on() -> None:
    assert is_this_machine({"REMOTE_ADDR": "127.0.0.1"})
    assert is_this_machine({"REMOTE_ADDR": "::1"})
    assert not is_this_machine({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"})
    assert not is_this_machine({"REMOTE_ADDR": "192.0.2.1"})
    assert not is_this_machine({"REMOTE_ADDR": ""})
