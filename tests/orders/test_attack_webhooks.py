"""Hostile documents of a store that was taken over: refused or set aside, and nobody else's news waits for them."""

from __future__ import annotations

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from apps.orders.intake import process
from apps.orders.intake.process import process_due
from apps.orders.models import Order, WebhookDelivery
from tests.orders import shop
from tests.orders.factories import NOW, StoreFactory, WebhookDeliveryFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("levels", [101, 300, 850, 5_000, 200_000])
@pytest.mark.parametrize(("begin", "end"), [(b'{"a":', b"}"), (b"[", b"]")])
def test_what_is_nested_too_deeply_for_a_worker_is_refused(client, levels, begin, end):
    store = StoreFactory()
    body = b'{"note\\u0000":' + begin * levels + b"1" + end * levels + b"}"
    assert shop.post(client, "orders/create", body, domain=store.domain).status_code == 400
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b'{"note": "a\xed\xa0\x80b"}',  # half of a surrogate pair, as bytes
        '{"note": "a\\u0000b", "x": "\\ud800"}'.encode("utf-16"),
        b'{"a\\u0000": [{"b": "\\udfff"}]}',
    ],
)
def test_what_the_database_cannot_hold_is_replaced_in_any_encoding(client, body):
    store = StoreFactory()
    assert shop.post(client, "orders/create", body, domain=store.domain).status_code == 200
    assert WebhookDelivery.objects.get().body


@pytest.mark.parametrize(
    "sent", ["2026-01-01T00:00:00+20:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:00"]
)
def test_a_strange_time_of_sending_does_not_lose_the_webhook(client, sent):
    store = StoreFactory()
    headers = {"X-Shopify-Triggered-At": sent}
    assert shop.post(client, "orders/create", shop.order(), domain=store.domain, **headers).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"orders_to_redact": 5}, "dead"),
        ({"orders_to_redact": {"id": 1}}, "dead"),
        ({"customer": {"id": "²"}}, "done"),
        ({"customer": [1]}, "dead"),
    ],
)
def test_a_hostile_compliance_request_stops_no_other_delivery(changes, status):
    bad = WebhookDeliveryFactory(topic="customers/redact", body={"customer": {"id": 1}} | changes)
    WebhookDeliveryFactory(topic="orders/create", body=shop.order())
    process_due(now=NOW)
    bad.refresh_from_db()
    assert bad.status == status
    assert Order.objects.count() == 1


def test_what_a_compliance_request_provokes_stops_no_other(monkeypatch):
    def fail(*args, **kwargs):
        raise TypeError("unexpected")

    monkeypatch.setattr(process, "comply", fail)
    bad = WebhookDeliveryFactory(topic="shop/redact", body={"id": 1})
    WebhookDeliveryFactory(topic="orders/create", body=shop.order())
    process_due(now=NOW)
    bad.refresh_from_db()
    assert (bad.status, bad.last_error) == ("dead", "TypeError: unexpected")
    assert Order.objects.count() == 1


@pytest.mark.parametrize(("step", "topic"), [("complete", "orders/create"), ("comply", "customers/redact")])
def test_the_end_of_the_tasks_time_gives_no_delivery_up(monkeypatch, step, topic):
    def late(*args, **kwargs):
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(process, step, late)
    delivery = WebhookDeliveryFactory(topic=topic, body=shop.order())
    with pytest.raises(SoftTimeLimitExceeded):
        process_due(now=NOW)
    delivery.refresh_from_db()
    assert delivery.status == "pending"


def test_a_time_with_an_offset_that_the_database_refuses_is_understood():
    delivery = WebhookDeliveryFactory(body=shop.order(created_at="2026-03-10T20:00:00+20:00"))
    process_due(now=NOW)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.last_error) == ("done", "")
    assert Order.objects.get().created_at.isoformat() == "2026-03-10T00:00:00+00:00"
