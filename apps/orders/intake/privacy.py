"""Keeps the promises of the three compliance topics (shopify.dev, "Privacy law compliance").

``customers/data_request``: everything kept about the person is collected and the administrators are told, who hand it
over within thirty days. ``customers/redact``: the person is taken out of customers, orders, cards, waiting webhooks and
old answers; orders and sums stay, as books must. ``shop/redact``: the store's data is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.forms.models import model_to_dict

from apps.actions.models import ActionCard, CardEvent, Execution
from apps.core.decisions import Entry, record, system
from apps.core.notifications import notify
from apps.core.roles import Role, people_with
from apps.orders.intake import values as v
from apps.orders.models import (
    Customer,
    DataRequest,
    Dispute,
    ImportRun,
    Order,
    Product,
    ReconciliationRun,
    Refund,
    Store,
    WebhookDelivery,
)

REMOVED = "[removed on request]"
_PERSONAL = ("email", "billing_name", "shipping_name", "address_key", "ip_key", "payment_key")


@transaction.atomic
def comply(store: Store, delivery: WebhookDelivery, *, now: datetime) -> None:
    """Do what a compliance webhook asks; doing it twice changes nothing more.

    Raises:
        Malformed: if it does not say about whom.
    """
    if delivery.topic == "shop/redact":
        _forget_store(store, delivery, now)
        return
    person = v.part(delivery.body, "customer")
    ref, email = v.reference(person, "id"), v.text(person, "email", 254)
    if not ref and not email:
        raise v.Malformed("customer is missing")
    listed = delivery.body.get("orders_requested") or delivery.body.get("orders_to_redact") or []
    if not isinstance(listed, list):
        raise v.Malformed("the list of orders is no list")
    customers = Customer.objects.filter(_named(store, ref, email))
    orders = Order.objects.filter(store=store).filter(
        Q(external_id__in=[str(one)[:64] for one in listed]) | Q(customer__in=customers)
    )
    if delivery.topic == "customers/data_request":
        _collect(store, delivery, ref, customers, orders)
    else:
        _forget_person(store, delivery, ref, list(customers), list(orders), now)


def _named(store: Store, ref: str, email: str) -> Q:
    which = Q(external_id=ref) if ref else Q(pk__in=[])
    return Q(store=store) & (which | Q(email__iexact=email) if email else which)


def _collect(
    store: Store, delivery: WebhookDelivery, ref: str, customers: QuerySet[Customer], orders: QuerySet[Order]
) -> None:
    """Collect what is kept about the person, and tell those who hand it over."""
    number = v.reference(v.part(delivery.body, "data_request"), "id") or delivery.webhook_id
    request, new = DataRequest.objects.get_or_create(
        store=store,
        external_id=number[:64],
        defaults={
            "customer_external_id": ref,
            "requested_at": delivery.received_at,
            "export": {
                "customers": [_plain(model_to_dict(one)) for one in customers],
                "orders": [_order(one) for one in orders.prefetch_related("lines", "refunds", "fulfillments")],
            },
        },
    )
    if new:
        notify(
            kind="privacy",
            recipients=people_with(Role.ADMINISTRATOR),
            title=f"A customer of {store.name} asks what is kept about them",
            body="Everything kept about the person was collected. Hand it over within thirty days and close the request.",
            url=f"/admin/orders/datarequest/{request.pk}/change/",
            dedupe_key=f"data_request:{request.pk}",
            urgent=True,
        )
        _log("data_request_collected", f"data_request:{request.pk}", store)


def _order(order: Order) -> dict[str, Any]:
    parts = {
        name: [_plain(model_to_dict(one)) for one in getattr(order, name).all()]
        for name in ("lines", "refunds", "fulfillments")
    }
    return {**_plain(model_to_dict(order)), **parts}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value if isinstance(value, int | list | None) else str(value) for key, value in values.items()}


def _forget_person(
    store: Store, delivery: WebhookDelivery, ref: str, customers: list[Customer], orders: list[Order], now: datetime
) -> None:
    words = {word for one in customers for word in (one.name, one.email, one.phone)}
    words |= {word for one in orders for word in (one.email, one.billing_name, one.shipping_name)}
    keys = [one.pk for one in orders]
    Customer.objects.filter(pk__in=[one.pk for one in customers]).update(name="", email="", phone="", redacted_at=now)
    if ref:  # somebody we do not know yet is remembered as forgotten, or late news would bring them in
        Customer.objects.get_or_create(store=store, external_id=ref, defaults={"updated_at": now, "redacted_at": now})
    Order.objects.filter(pk__in=keys).update(**dict.fromkeys(_PERSONAL, ""))
    Refund.objects.filter(order__in=keys).update(note="")
    DataRequest.objects.filter(store=store, customer_external_id=ref).update(export={})
    refunds = Refund.objects.filter(order__in=keys).values_list("pk", flat=True)
    parcels = [one for order in orders for one in order.fulfillments.values_list("pk", flat=True)]
    subjects = [f"order:{key}" for key in keys] + [f"customer:{one.pk}" for one in customers]
    subjects += [f"refund:{key}" for key in refunds] + [f"fulfillment:{key}" for key in parcels]
    _clean_cards(ActionCard.objects.filter(subject__in=subjects), words)
    _clear_deliveries(store, ref, [one.external_id for one in orders], delivery)
    _log("customer_redacted", f"customer:{customers[0].pk if customers else ref}", store)


def _clean_cards(cards: Iterable[ActionCard], words: set[str]) -> None:
    """Take a person's names out of cards, their timelines and their messages. The words shown change, not the decision."""
    said = sorted((word for word in words if len(word) > 2), key=len, reverse=True)
    for card in cards:
        card.message = REMOVED if card.message else ""
        for name in ("target", "draft", "rationale"):
            setattr(card, name, _without(getattr(card, name), said))
        card.evidence = _without(card.evidence, said)
        card.version += 1
        card.save(update_fields=["message", "target", "draft", "rationale", "evidence", "version"])
        for event in CardEvent.objects.filter(card=card):
            event.text, event.data = _without(event.text, said), _without(event.data, said)
            event.save(update_fields=["text", "data"])
        for execution in Execution.objects.filter(card=card):
            execution.payload = {**_without(execution.payload, said), **_hidden(execution.payload)}
            execution.save(update_fields=["payload"])


def _hidden(payload: dict[str, Any]) -> dict[str, str]:
    return {"message": REMOVED} if payload.get("message") else {}


def _without(value: Any, words: list[str]) -> Any:
    if isinstance(value, str):
        for word in words:
            value = value.replace(word, REMOVED)
        return value
    if isinstance(value, dict):
        return {key: _without(item, words) for key, item in value.items()}
    return [_without(item, words) for item in value] if isinstance(value, list) else value


def _clear_deliveries(store: Store, ref: str, orders: list[str], asking: WebhookDelivery) -> None:
    """Empty the webhooks that speak of the person; those not processed yet are over."""
    numbers = [int(one) for one in orders if one.isdecimal()]
    which = Q(body__id__in=numbers, topic__startswith="orders/") | Q(body__order_id__in=numbers)
    if ref.isdecimal():
        which |= Q(body__customer__id=int(ref)) | Q(body__id=int(ref), topic__startswith="customers/")
    found = WebhookDelivery.objects.filter(which, store=store).exclude(pk=asking.pk)
    found.filter(status="pending").update(
        status="done", last_error="The person asked to be forgotten.", next_attempt_at=None
    )
    found.update(body={})
    WebhookDelivery.objects.filter(pk=asking.pk).update(body={})


def _forget_store(store: Store, delivery: WebhookDelivery, now: datetime) -> None:
    """Delete what the store sent. The store's name stays, switched off, because decisions name it."""
    cards = ActionCard.objects.filter(scope=store.scope_id)
    CardEvent.objects.filter(card__in=cards).exclude(text="").update(text=REMOVED)
    Execution.objects.filter(card__in=cards).update(payload={})
    cards.update(message="", draft=REMOVED, rationale=REMOVED, evidence=[], target=REMOVED)
    cards.filter(status__in=["open", "failed"]).update(status="resolved", closed_at=now, changed_at=now)
    Dispute.objects.filter(store=store).delete()
    Order.objects.filter(store=store).delete()
    for model in (Customer, Product, DataRequest, ReconciliationRun, ImportRun):
        model._default_manager.filter(store=store).delete()
    WebhookDelivery.objects.filter(store=store).exclude(pk=delivery.pk).delete()
    WebhookDelivery.objects.filter(pk=delivery.pk).update(body={})
    store.active, store.api_token = False, ""
    store.webhook_secret = store.webhook_secret_previous = ""
    store.save(update_fields=["active", "api_token", "webhook_secret", "webhook_secret_previous"])
    _log("store_redacted", f"store:{store.pk}", store)


def _log(action: str, subject: str, store: Store) -> None:
    record(Entry(scope="privacy", actor=system("privacy"), action=action, subject=subject, payload={"store": store.pk}))
