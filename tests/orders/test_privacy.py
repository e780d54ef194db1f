"""The compliance topics do what they promise."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.serializers import serialize

from apps.actions.models import ActionCard, CardEvent
from apps.core.decisions import verify
from apps.core.models import Decision, Notification
from apps.core.roles import Role
from apps.orders.intake.process import process_due
from apps.orders.models import Customer, DataRequest, Order, Product, Store, WebhookDelivery
from tests.core.factories import person
from tests.orders import shop
from tests.orders.factories import NOW, StoreFactory, WebhookDeliveryFactory

pytestmark = pytest.mark.django_db
PERSON = {"id": 7001, "email": "ada@example.com", "phone": ""}


def deliver(store, topic, body, now=NOW):
    made = WebhookDeliveryFactory(store=store, topic=topic, body=body, received_at=now, next_attempt_at=now)
    process_due(now=now)
    made.refresh_from_db()
    return made


@pytest.fixture
def store():
    store = StoreFactory()
    deliver(
        store, "orders/create", shop.order(created_at=(NOW - timedelta(days=6)).isoformat(), refunds=[shop.refund()])
    )
    home = {"name": "Bo Other", "address1": "2 Side St", "zip": "10002", "country_code": "US"}
    bo = {"id": 7002, "first_name": "Bo", "last_name": "Other"}
    other = shop.order(2002, customer=bo, email="bo@example.com", billing_address=home, shipping_address=home)
    deliver(store, "orders/create", other)
    return store


def test_a_data_request_collects_everything_and_tells_the_administrators(store):
    admin = person(Role.ADMINISTRATOR)
    body = {"customer": PERSON, "orders_requested": [450_001_001], "data_request": {"id": 99}}
    assert deliver(store, "customers/data_request", body).status == "done"

    request = DataRequest.objects.get(external_id="99")
    assert [one["name"] for one in request.export["customers"]] == ["Ada Example"]
    assert [one["number"] for one in request.export["orders"]] == ["#1001"]
    assert request.export["orders"][0]["refunds"]
    assert Notification.objects.get(recipient=admin, kind="privacy").urgent
    deliver(store, "customers/data_request", body)
    assert DataRequest.objects.count() == 1


def test_a_person_is_forgotten_everywhere(store):
    request = {"customer": PERSON, "data_request": {"id": 99}}
    deliver(store, "customers/data_request", request)
    assert ActionCard.objects.filter(message__contains="Ada Example").exists()

    redact = {"customer": PERSON, "orders_to_redact": [450_001_001]}
    assert deliver(store, "customers/redact", redact).status == "done"

    kept = "".join(
        serialize("json", model.objects.all())
        for model in (Customer, Order, DataRequest, WebhookDelivery, ActionCard, CardEvent)
    ) + json.dumps(list(Decision.objects.values("payload")))
    for word in ("Ada", "ada@example.com", "1 Main St"):
        assert word not in kept
    ada = Order.objects.get(number="#1001")
    assert (ada.total, ada.address_key, ada.ip_key) == (120, "", "")
    assert Order.objects.get(number="#2002").email == "bo@example.com"
    assert Customer.objects.get(external_id="7002").name == "Bo Other"
    *_, last = verify()
    assert last.broken_at is None


def test_who_was_forgotten_stays_forgotten(store):
    deliver(store, "customers/redact", {"customer": PERSON, "orders_to_redact": []})
    deliver(store, "orders/updated", shop.order(at=NOW + timedelta(hours=1)))
    deliver(
        store, "customers/update", {"id": 7001, "first_name": "Ada", "updated_at": (NOW + timedelta(1)).isoformat()}
    )
    assert Customer.objects.get(external_id="7001").name == ""
    order = Order.objects.get(number="#1001")
    assert (order.email, order.shipping_name, order.address_key) == ("", "", "")


def test_somebody_unknown_is_remembered_as_forgotten(store):
    deliver(store, "customers/redact", {"customer": {"id": 5, "email": "new@example.com"}})
    deliver(store, "customers/create", {"id": 5, "first_name": "New", "updated_at": (NOW + timedelta(1)).isoformat()})
    assert Customer.objects.get(external_id="5").name == ""


def test_of_whom_it_must_say(store):
    assert deliver(store, "customers/redact", {"customer": {}}).status == "dead"


def test_a_store_is_forgotten_and_another_is_not(store):
    other = StoreFactory()
    deliver(other, "orders/create", shop.order())
    assert deliver(store, "shop/redact", {"shop_id": 1}).status == "done"

    assert list(Order.objects.values_list("store_id", flat=True)) == [other.pk]
    assert list(Product.objects.values_list("store_id", flat=True)) == [other.pk]
    gone = Store.objects.get(pk=store.pk)
    assert (gone.active, gone.webhook_secret) == (False, "")
    assert "Ada" not in serialize("json", ActionCard.objects.filter(scope=store.scope))
    assert WebhookDelivery.objects.filter(store=store).exclude(body={}).count() == 0
