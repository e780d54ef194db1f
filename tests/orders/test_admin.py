"""The admin pages of store data: who sees what, secrets stay secret, dead letters are replayed."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from apps.core.models import Decision
from apps.core.roles import Role
from apps.orders.models import DataRequest, Dispute, ImportRun, ReconciliationRun, Store, WebhookDelivery
from tests.actions.factories import CardFactory
from tests.core.factories import ScopeFactory, person
from tests.orders.factories import (
    NOW,
    SECRET,
    FulfillmentFactory,
    OrderFactory,
    OrderLineFactory,
    RefundFactory,
    RiskAssessmentFactory,
    StoreFactory,
    TransactionFactory,
    WebhookDeliveryFactory,
)

pytestmark = pytest.mark.django_db
DATA = ["order", "customer", "product", "fulfillment", "refund", "transaction", "store"]
INTAKE = ["webhookdelivery", "reconciliationrun", "importrun", "datarequest"]


def signed_in(client: Client, role: Role, *scopes):
    user = person(role, *scopes)
    client.force_login(user)
    return user


def page(model: str, name: str = "changelist", *args) -> str:
    return reverse(f"admin:orders_{model}_{name}", args=args)


@pytest.fixture
def filled():
    """An order with one of everything."""
    order = OrderFactory(store__name="Lamp shop", customer__name="Ada Example", number="#1001")
    OrderLineFactory(order=order, title="Lamp Alba")
    parcel = FulfillmentFactory(order=order, tracking_number="1Z777")
    parcel.events.create(external_id="1", status="out_for_delivery", happened_at=NOW)
    refund = RefundFactory(order=order, note="it flickers")
    TransactionFactory(order=order, refund=refund, error_code="card_declined", status="failure")
    RiskAssessmentFactory(order=order)
    store = order.store
    WebhookDeliveryFactory(store=store, body={"name": "#1001"})
    ReconciliationRun.objects.create(store=store, updated_from=NOW, started_at=NOW)
    ImportRun.objects.create(store=store, mapping="olist", source="x", started_at=NOW,
                             problems=[{"file": "a.csv", "line": 3, "reason": "total is missing"}])  # fmt: skip
    DataRequest.objects.create(store=store, external_id="99", customer_external_id="7", requested_at=NOW,
                               export={"customers": [{"name": "Ada Example"}]})  # fmt: skip
    Dispute.objects.create(store=store, order=order, external_id="5", kind="chargeback", status="open", amount=5,
                           currency="USD", told_at=NOW)  # fmt: skip
    return order


@pytest.mark.parametrize("model", [*DATA, *INTAKE, "dispute"])
def test_every_page_opens(client, filled, model):
    signed_in(client, Role.ADMINISTRATOR)
    assert client.get(page(model)).status_code == 200
    for row in filled._meta.apps.get_model("orders", model).objects.all():
        answer = client.get(page(model, "change", row.pk))
        assert answer.status_code == 200


@pytest.mark.parametrize("model", DATA)
def test_operators_look_at_their_stores_only(client, filled, model):
    rows = filled._meta.apps.get_model("orders", model).objects.all()
    key = rows.get().pk
    signed_in(client, Role.OPERATOR, filled.store.scope)
    assert client.get(page(model, "change", key)).status_code == 200
    assert client.post(page(model, "change", key), {}).status_code == 403
    assert client.get(page(model, "add")).status_code == 403

    signed_in(client, Role.OPERATOR, ScopeFactory())
    assert client.get(page(model, "change", key)).status_code == 302  # as if there were none
    assert "Lamp shop" not in client.get(page(model)).content.decode()


@pytest.mark.parametrize("model", INTAKE)
def test_operators_do_not_see_how_data_came_in(client, filled, model):
    signed_in(client, Role.OPERATOR, filled.store.scope)
    assert client.get(page(model)).status_code == 403


@pytest.mark.parametrize("model", [*INTAKE, "dispute"])
def test_auditors_do_and_change_nothing(client, filled, model):
    signed_in(client, Role.AUDITOR)
    key = filled._meta.apps.get_model("orders", model).objects.get().pk
    assert client.get(page(model)).status_code == 200
    assert client.post(page(model, "change", key), {}).status_code == 403
    assert client.get(page(model, "add")).status_code == 403


def test_an_order_is_readable_on_one_page(client, filled):
    card = CardFactory(subject=f"order:{filled.pk}", scope=filled.store.scope)
    signed_in(client, Role.OPERATOR, filled.store.scope)
    said = client.get(page("order", "change", filled.pk)).content.decode()
    for words in ("#1001", "Ada Example", "Lamp Alba", "1Z777", "it flickers", "card_declined", "High", "100.00"):
        assert words in said
    assert reverse("admin:actions_actioncard_change", args=[card.pk]) in said


@pytest.mark.parametrize("term", ["1001", "#1001", "#10"])
def test_orders_are_found_by_what_people_type(client, filled, term):
    OrderFactory(store=filled.store, number="#2002")
    signed_in(client, Role.OPERATOR, filled.store.scope)
    said = client.get(page("order"), {"q": term}).content.decode()
    assert "#1001" in said
    assert "#2002" not in said


@pytest.mark.parametrize(("model", "term"), [("customer", "ada ex"), ("product", "Lam"), ("fulfillment", "1Z7")])
def test_searches(client, filled, model, term):
    signed_in(client, Role.OPERATOR, filled.store.scope)
    assert client.get(page(model), {"q": term}).context["cl"].result_count == 1
    assert client.get(page(model), {"q": "nothing like it"}).context["cl"].result_count == 0


def test_filters(client, filled):
    other = OrderFactory(number="#9009")
    signed_in(client, Role.AUDITOR)
    for query in ({"store": filled.store_id}, {"waiting": "yes"}, {"store": "x"}):
        said = client.get(page("order"), query).content.decode()
        assert ("#1001" in said) == (query.get("store") != "x")
    assert other.number not in client.get(page("order"), {"store": filled.store_id}).content.decode()


@pytest.mark.parametrize("model", ["order", "webhookdelivery", "fulfillment", "refund", "transaction"])
def test_lists_ask_little(client, filled, model, django_assert_max_num_queries):
    for _ in range(10):
        refund = RefundFactory(store=filled.store)
        TransactionFactory(order=refund.order)
        FulfillmentFactory(order=refund.order)
        WebhookDeliveryFactory(store=filled.store)
    signed_in(client, Role.AUDITOR)
    with django_assert_max_num_queries(20):
        client.get(page(model))


FORM = {"name": "Lamp shop", "platform": "shopify", "domain": "Lamps.example.com", "currency": "usd",
        "time_zone": "Europe/Berlin", "active": "on", "api_base_url": ""}  # fmt: skip


def save(client, store, **changes):
    return client.post(page("store", "change", store.pk), {**FORM, "scope": store.scope_id, **changes})


def test_secrets_are_never_shown(client):
    store = StoreFactory(webhook_secret="whsec-1", webhook_secret_previous="whsec-0", api_token="shpat-1")
    signed_in(client, Role.ADMINISTRATOR)
    said = client.get(page("store", "change", store.pk)).content.decode() + client.get(page("store")).content.decode()
    said += save(client, store, new_webhook_secret="whsec-2", currency="wrong").content.decode()
    for secret in ("whsec-0", "whsec-1", "whsec-2", "shpat-1"):
        assert secret not in said
    assert "Being rotated" in said


def test_a_new_secret_keeps_the_old_one_until_it_is_dropped(client):
    store = StoreFactory(api_token="shpat-1")
    signed_in(client, Role.ADMINISTRATOR)
    assert save(client, store, new_webhook_secret="new").status_code == 302
    store.refresh_from_db()
    assert (store.webhook_secret, store.webhook_secret_previous, store.api_token) == ("new", SECRET, "shpat-1")
    assert (store.domain, store.currency) == ("lamps.example.com", "USD")

    save(client, store, drop_previous_secret="on", drop_api_token="on")
    store.refresh_from_db()
    assert (store.webhook_secret, store.webhook_secret_previous, store.api_token) == ("new", "", "")
    said = [decision.action for decision in Decision.objects.order_by("seq")]
    assert said == ["store_new_webhook_secret", "store_drop_previous_secret", "store_drop_api_token"]
    assert "new" not in str([decision.payload for decision in Decision.objects.all()])


@pytest.mark.parametrize(
    "wrong", [{"time_zone": "Moon/Base"}, {"currency": "12"}, {"api_base_url": "http://plain.example.com"}]
)
def test_a_store_must_make_sense(client, wrong):
    store = StoreFactory()
    signed_in(client, Role.ADMINISTRATOR)
    assert save(client, store, **wrong).status_code == 200
    assert Store.objects.get().time_zone == "UTC"


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.AUDITOR, Role.RISK_MANAGER])
def test_others_see_a_store_without_its_secrets_and_change_nothing(client, role):
    store = StoreFactory()
    signed_in(client, role, store.scope)
    said = client.get(page("store", "change", store.pk)).content.decode()
    assert store.domain in said
    assert SECRET not in said
    assert "new_webhook_secret" not in said
    assert save(client, store, new_webhook_secret="mine").status_code == 403


def test_nobody_deletes_a_store(client):
    store = StoreFactory()
    signed_in(client, Role.ADMINISTRATOR)
    assert client.post(page("store", "delete", store.pk), {"post": "yes"}).status_code == 403


def act(client, model, action, *rows):
    return client.post(page(model), {"action": action, "_selected_action": [row.pk for row in rows]}, follow=True)


def test_a_dead_letter_is_replayed(client, django_capture_on_commit_callbacks, monkeypatch):
    from apps.orders.admin import intake

    woken = []
    monkeypatch.setattr(intake, "wake", lambda: woken.append(1))
    dead = WebhookDeliveryFactory(status="dead", attempts=10, body={"id": 1}, next_attempt_at=None, last_error="broken")
    cleared = WebhookDeliveryFactory(status="dead", body={})
    user = signed_in(client, Role.ADMINISTRATOR)
    with django_capture_on_commit_callbacks(execute=True):
        said = act(client, "webhookdelivery", "replay_deliveries", dead, cleared).content.decode()
    assert "1 webhooks will be processed again. The documents of 1 are gone." in said
    dead.refresh_from_db()
    assert (dead.status, dead.attempts, dead.last_error) == ("pending", 0, "")
    assert woken
    assert Decision.objects.filter(action="webhook_replayed", actor=user).count() == 2


def test_an_auditor_replays_nothing(client):
    dead = WebhookDeliveryFactory(status="dead", body={"id": 1})
    signed_in(client, Role.AUDITOR)
    act(client, "webhookdelivery", "replay_deliveries", dead)
    assert WebhookDelivery.objects.get().status == "dead"


def test_a_store_is_reconciled_on_request(client, reachable, monkeypatch):
    from apps.orders.admin import stores

    asked = []
    monkeypatch.setattr(stores.reconcile_one, "delay", asked.append)
    mute = StoreFactory()
    signed_in(client, Role.ADMINISTRATOR)
    said = act(client, "store", "reconcile_now", reachable, mute).content.decode()
    assert "1 stores are being reconciled. 1 cannot be asked" in said
    assert asked == [reachable.pk]
    signed_in(client, Role.OPERATOR, reachable.scope)
    act(client, "store", "reconcile_now", reachable)
    assert len(asked) == 1


def test_a_data_request_is_read_and_closed(client, filled):
    request = DataRequest.objects.get()
    signed_in(client, Role.AUDITOR)
    act(client, "datarequest", "close", request)
    assert DataRequest.objects.get().closed_at is None

    signed_in(client, Role.ADMINISTRATOR)
    assert "Ada Example" in client.get(page("datarequest", "change", request.pk)).content.decode()
    act(client, "datarequest", "close", request)
    assert DataRequest.objects.get().closed_at is not None
    assert Decision.objects.filter(action="data_request_closed").exists()


def test_markup_in_what_a_shop_sends_is_shown_as_text(client):
    evil = "<script>alert(1)</script>"
    order = OrderFactory(number=evil[:64], customer__name=evil, email=evil)
    OrderLineFactory(order=order, title=evil, product__title=evil)
    RefundFactory(order=order, note=evil)
    delivery = WebhookDeliveryFactory(store=order.store, body={"note": evil}, last_error=evil)
    signed_in(client, Role.ADMINISTRATOR)
    for path in (page("order"), page("order", "change", order.pk), page("webhookdelivery", "change", delivery.pk),
                 page("customer", "change", order.customer_id)):  # fmt: skip
        assert evil not in client.get(path).content.decode()
