"""Webhooks are kept and acknowledged, or refused."""

from __future__ import annotations

import json

import pytest

from apps.orders.models import WebhookDelivery
from tests.orders import shop
from tests.orders.factories import SECRET, StoreFactory

pytestmark = pytest.mark.django_db

VECTORS = [  # body, secret, digest: computed with openssl dgst -sha256 -hmac ... -binary | base64
    (b"{}", "API_SECRET_KEY", "+ihUB5l+D7QrohDEi/6NcBcJRyKssyWqos13LmnsBbs="),
]


@pytest.fixture
def store():
    return StoreFactory(domain="lively.example.com")


def test_a_signed_webhook_is_kept_and_acknowledged(client, store):
    answer = shop.post(client, "orders/create", shop.order(), domain=store.domain, webhook_id="abc")

    assert answer.status_code == 200
    kept = WebhookDelivery.objects.get()
    assert (kept.webhook_id, kept.topic, kept.status) == ("abc", "orders/create", "pending")
    assert kept.body["name"] == "#1001"


def test_a_duplicate_is_acknowledged_and_not_kept_again(client, store):
    for _ in range(2):
        answer = shop.post(client, "orders/create", shop.order(), domain=store.domain)

    assert answer.status_code == 200
    assert answer.json() == {"status": "duplicate"}
    assert WebhookDelivery.objects.count() == 1


def test_two_stores_may_use_the_same_id(client, store):
    other = StoreFactory()
    for each in (store, other):
        shop.post(client, "orders/create", shop.order(), domain=each.domain)
    assert WebhookDelivery.objects.count() == 2


@pytest.mark.parametrize("topic", ["orders/created", "refunds/create", "fulfillments/updated", "customers/created"])
def test_the_topic_may_stand_in_the_path(client, store, topic):
    body = json.dumps({"id": 1}).encode()
    headers = {"X-Shopify-Hmac-Sha256": shop.sign(body), "X-Shopify-Shop-Domain": store.domain}
    answer = client.post(f"/webhooks/{topic}", data=body, content_type="application/json", headers=headers)
    assert answer.status_code == 200
    assert WebhookDelivery.objects.get().topic == topic.removesuffix("d")


def test_a_store_that_is_not_named_is_found_by_its_signature(client, store):
    StoreFactory(webhook_secret="another")
    shop.post(client, "orders/create", shop.order(), domain="")
    assert WebhookDelivery.objects.get().store == store


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "wrong"},
        {"domain": "stranger.example.com"},
        {"X-Shopify-Hmac-Sha256": ""},
        {"X-Shopify-Hmac-Sha256": "not base64 !"},
        {"X-Shopify-Hmac-Sha256": "AAAA"},
    ],
)
def test_a_wrong_or_missing_signature_is_refused(client, store, changes):
    answer = shop.post(client, "orders/create", shop.order(), **{"domain": store.domain, **changes})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "bad_signature"
    assert not WebhookDelivery.objects.exists()


def test_the_raw_bytes_count(client, store):
    body = b'{"id": 1,   "name": "\\u00e9"}'
    signature = shop.sign(body)
    changed = b'{"id": 1, "name": "\\u00e9"}'
    answer = shop.post(client, "orders/create", changed, domain=store.domain, **{"X-Shopify-Hmac-Sha256": signature})
    assert answer.status_code == 401


@pytest.mark.parametrize(("body", "secret", "digest"), VECTORS)
def test_known_signatures(body, secret, digest):
    assert shop.sign(body, secret) == digest


def test_while_the_secret_is_rotated_both_are_accepted(client, store):
    store.webhook_secret, store.webhook_secret_previous = "new", SECRET
    store.save()
    for secret in ("new", SECRET):
        answer = shop.post(client, "orders/create", shop.order(), domain=store.domain, webhook_id=secret, secret=secret)
        assert answer.status_code == 200


@pytest.mark.parametrize("changes", [{"active": False}, {"platform": "file"}, {"webhook_secret": ""}])
def test_a_store_that_takes_no_webhooks(client, changes):
    store = StoreFactory(**changes)
    secret = store.webhook_secret or SECRET
    assert shop.post(client, "orders/create", {}, domain=store.domain, secret=secret).status_code == 401


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"a": NaN}', b'{"a": 1e999}', b"\xff", b"[" * 100_000])
def test_what_is_no_document_is_refused(client, store, body):
    answer = shop.post(client, "orders/create", body, domain=store.domain)
    assert answer.status_code == 400
    assert not WebhookDelivery.objects.exists()


def test_what_the_database_cannot_hold_is_replaced(client, store):
    body = b'{"id": 1, "note": "a\\u0000b\\ud800c"}'
    assert shop.post(client, "orders/create", body, domain=store.domain).status_code == 200
    assert WebhookDelivery.objects.get().body["note"] == "ab?c"


def test_an_unknown_topic_is_refused(client, store):
    assert shop.post(client, "carts/create", {}, domain=store.domain).status_code == 404


def test_too_much_is_refused_before_the_signature_is_computed(client, store):
    body = b'{"note": "' + b"x" * (3 * 1024 * 1024) + b'"}'
    assert shop.post(client, "orders/create", body, domain=store.domain).status_code == 413


def test_only_post(client, store):
    assert client.get("/webhooks/shopify").status_code == 405


def test_keeping_a_webhook_asks_the_database_little(client, store, django_assert_max_num_queries):
    with django_assert_max_num_queries(4):  # the store, the delivery, and a transaction around them
        shop.post(client, "orders/create", shop.order(), domain=store.domain)
