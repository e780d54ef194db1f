"""What approving a card does in the shop and for the customer, twice the same as once, and how it is undone."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.core import mail
from django.utils import timezone

from apps.actions.executors import EffectFailed, Job, executors
from apps.actions.rules import rules
from apps.core.http import PermanentFailure, TransientFailure
from apps.escalation.models import Ticket
from tests.actions.factories import CardFactory
from tests.orders.factories import CustomerFactory, FulfillmentFactory, OrderFactory, StoreFactory
from tests.support.admin_api import order_node

pytestmark = pytest.mark.django_db
SHOP_ACTIONS = ["tag_order", "annotate_order", "hold_order"]


@pytest.fixture
def order(reachable, admin_shop):
    made = OrderFactory(store=reachable)
    admin_shop.add(order_node(int(made.external_id)))
    return made


@pytest.fixture
def card(order):
    return CardFactory(subject=f"order:{order.pk}")


def node(admin_shop):
    return next(iter(admin_shop.orders.values()))


def job(card, *, result=None, **payload) -> Job:
    return Job(card=card, key=uuid4(), payload=payload, result=result or {}, begin=lambda: None)


def effect(slug):
    return executors[slug].effect


def test_every_action_that_a_rule_names_exists():
    for rule in rules:
        for action in rule.actions:
            assert action in executors or rule.slug == "example", f"{rule.slug} names {action}"


@pytest.mark.parametrize("slug", SHOP_ACTIONS)
def test_offered_where_the_store_can_be_asked(slug, card, reachable):
    assert effect(slug).available(card)
    reachable.api_token = ""
    reachable.save()
    assert not effect(slug).available(card)


@pytest.mark.parametrize("slug", [*SHOP_ACTIONS, "message_customer"])
@pytest.mark.parametrize("subject", ["order:0", "store:1", "address:abc", "order:x"])
def test_not_offered_for_cards_about_something_else(slug, subject, db):
    assert not effect(slug).available(CardFactory(subject=subject))


@pytest.mark.parametrize("slug", SHOP_ACTIONS)
@pytest.mark.parametrize(("fault", "error"), [(503, TransientFailure), (404, PermanentFailure)])
def test_failures_are_told_apart(slug, card, admin_shop, fault, error, monkeypatch):
    monkeypatch.setattr("apps.core.http.time.sleep", lambda _: None)
    admin_shop.faults = [fault] * 9
    with pytest.raises(error):
        effect(slug).execute(job(card))


@pytest.mark.parametrize("slug", SHOP_ACTIONS)
def test_an_order_that_the_shop_does_not_know(slug, card, admin_shop):
    admin_shop.orders.clear()
    with pytest.raises(EffectFailed, match="does not know"):
        effect(slug).execute(job(card))


def test_a_tag_is_added_and_taken_away(card, admin_shop):
    done = effect("tag_order").execute(job(card))
    assert "risk-review" in node(admin_shop)["tags"]
    effect("tag_order").roll_back(job(card, result=done))
    assert node(admin_shop)["tags"] == ["vip"]


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_tag_that_was_there_before_stays(card, admin_shop, attempts):
    node(admin_shop)["tags"] = ["risk-review"]
    for _ in range(attempts):
        done = effect("tag_order").execute(job(card))
    effect("tag_order").roll_back(job(card, result=done))
    assert node(admin_shop)["tags"] == ["risk-review"]


def test_a_second_attempt_does_not_take_its_own_tag_for_an_older_one(card, admin_shop):
    for _ in range(2):
        done = effect("tag_order").execute(job(card))
    effect("tag_order").roll_back(job(card, result=done))
    assert node(admin_shop)["tags"] == ["vip"]


def test_a_note_is_added_once_and_taken_out(card, admin_shop):
    node(admin_shop)["note"] = "Ring twice.\nLeave at the door."
    for _ in range(2):
        done = effect("annotate_order").execute(job(card))
    assert node(admin_shop)["note"] == f"Ring twice.\nLeave at the door.\n[Riskdesk {card.pk}] Waits for 4 days."
    effect("annotate_order").roll_back(job(card, result=done))
    assert node(admin_shop)["note"] == "Ring twice.\nLeave at the door."


def test_a_full_note_is_said(card, admin_shop):
    node(admin_shop)["note"] = "x" * 4_999
    with pytest.raises(EffectFailed, match="full"):
        effect("annotate_order").execute(job(card))


def test_an_order_is_held_once_and_released(card, admin_shop):
    part = node(admin_shop)["fulfillmentOrders"]["nodes"][0]
    part["fulfillmentHolds"] = [{"id": "gid://shopify/FulfillmentHold/9", "handle": "somebody-else"}]
    for _ in range(2):
        done = effect("hold_order").execute(job(card))
    assert [hold["handle"] for hold in part["fulfillmentHolds"]] == ["somebody-else", f"riskdesk-{card.pk}"]
    effect("hold_order").roll_back(job(card, result=done))
    assert [hold["handle"] for hold in part["fulfillmentHolds"]] == ["somebody-else"]


def test_what_was_sent_cannot_be_held(card, order, admin_shop):
    node(admin_shop)["fulfillmentOrders"]["nodes"][0]["status"] = "CLOSED"
    with pytest.raises(EffectFailed, match="Nothing of this order"):
        effect("hold_order").execute(job(card))
    order.fulfillment_status = "fulfilled"
    order.save()
    assert not effect("hold_order").available(card)


def test_the_key_goes_with_each_change(card, admin_shop):
    one = job(card)
    effect("tag_order").execute(one)
    assert admin_shop.keys[-1] == str(one.key)


def written_to(**fields):
    store = StoreFactory(name="Lamp shop")
    order = OrderFactory(store=store, number="#1001", email=fields.pop("email", "ada@example.com"),
                         customer=CustomerFactory(store=store, **fields))  # fmt: skip
    return CardFactory(subject=f"order:{order.pk}")


def test_the_approved_text_goes_to_the_customer():
    begun = []
    one = Job(card=written_to(), key=uuid4(), payload={"message": "Sorry."}, result={}, begin=lambda: begun.append(len(mail.outbox)))  # fmt: skip
    effect("message_customer").execute(one)
    (sent,) = mail.outbox
    assert (sent.to, sent.subject, sent.body) == (["ada@example.com"], "Your order #1001", "Sorry.")
    assert sent.extra_headers["Message-ID"] == f"<{one.key}@riskdesk>"
    assert begun == [0]  # recorded before it was sent


def test_rolling_a_message_back_sends_a_correction():
    card = written_to()
    effect("message_customer").roll_back(job(card, message="an internal reason"))
    (sent,) = mail.outbox
    assert sent.subject == "Correction: your order #1001"
    assert "disregard" in sent.body
    assert "internal" not in sent.body


def test_about_a_parcel_its_orders_customer_is_written_to():
    parcel = FulfillmentFactory(order__email="bo@example.com")
    effect("message_customer").execute(job(CardFactory(subject=f"fulfillment:{parcel.pk}"), message="Late."))
    assert mail.outbox[0].to == ["bo@example.com"]


def test_the_customers_own_address_is_used_where_the_order_has_none():
    card = written_to(email="")
    assert effect("message_customer").available(card)


@pytest.mark.parametrize("address", ["nowhere", "a@b\nBcc: all@example.com"])
def test_nobody_is_written_to_without_a_proper_address(address):
    card = written_to(email=address)
    assert not effect("message_customer").available(card)
    with pytest.raises(EffectFailed, match="no address"):
        effect("message_customer").execute(job(card, message="Hello."))


def test_who_asked_to_be_forgotten_is_not_written_to():
    from tests.orders.factories import NOW

    assert not effect("message_customer").available(written_to(redacted_at=NOW))


def test_an_empty_text_is_not_sent():
    with pytest.raises(EffectFailed, match="no text"):
        effect("message_customer").execute(job(written_to(), message="  "))


def test_a_ticket_is_opened_once_however_often_it_is_attempted(order):
    card = CardFactory(
        subject=f"order:{order.pk}", target=f"Order {order.number}", risk_tier="policy", scope=order.store.scope
    )
    one = job(card)
    made = [effect("open_ticket").execute(one) for _ in range(2)]

    ticket = Ticket.objects.get()
    assert made == [{"ticket": ticket.number}] * 2
    assert (ticket.order_reference, ticket.priority, ticket.scope) == (order.number, Ticket.Priority.URGENT, card.scope)
    assert card.mitigation in ticket.summary
    assert ticket.links.get().target == f"action_card:{card.pk}"


def test_a_ticket_is_offered_even_for_orders_of_files(db):
    card = CardFactory(subject=f"order:{OrderFactory(email='', customer=None).pk}")
    assert effect("open_ticket").available(card)


def test_rolling_back_closes_the_ticket_unless_it_was_answered(card):
    opened = effect("open_ticket").execute(job(card))
    effect("open_ticket").roll_back(job(card, result=opened))
    assert effect("open_ticket").roll_back(job(card, result=opened)) == opened, "once more is the same"
    assert Ticket.objects.get().status == Ticket.Status.CLOSED

    answered = effect("open_ticket").execute(job(card))
    Ticket.objects.filter(number=answered["ticket"]).update(first_responded_at=timezone.now())
    with pytest.raises(EffectFailed, match="has been answered"):
        effect("open_ticket").roll_back(job(card, result=answered))
