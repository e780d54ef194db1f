"""Looking up orders and subscriptions: only for whoever proves that they are theirs, and without telling what exists."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.chat.bot.lookup import orders, proof
from apps.chat.models import Conversation, Dialogue, Handoff, Verification
from apps.escalation.models import Ticket
from apps.orders.models import Fulfillment, Order
from apps.subscriptions.models import Subscription
from tests.chat.bot import NIGHT, Talk, staffed
from tests.chat.factories import NOON, conversation
from tests.orders.factories import FulfillmentFactory, OrderFactory, StoreFactory
from tests.subscriptions.factories import RenewalAttemptFactory, SubscriptionFactory
from tests.support.admin_api import TOKEN, admin_api_server, order_node

pytestmark = pytest.mark.django_db
ADDRESS = "ada@example.com"
SENT = "If these details belong together"


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


@pytest.fixture
def talk() -> Talk:
    return Talk(staffed()[0])


@pytest.fixture
def order() -> Order:
    found = OrderFactory.create(
        number="#4711", email=ADDRESS, fulfillment_status="fulfilled", created_at=NOON - timedelta(days=3)
    )
    FulfillmentFactory.create(
        order=found, carrier="DHL", tracking_number="00340434161094042557", created_at=NOON - timedelta(days=2)
    )
    return found


def mailed(talk: Talk) -> str:
    """The code in the mail that a task sends; empty if none was sent."""
    before = len(mail.outbox)
    for row in Verification.objects.filter(conversation=talk.row, coded_at=None):
        proof.send(row.pk, talk.now)
    new = mail.outbox[before:]
    assert len(new) <= 1
    return re.search(r"\d{6}", new[0].body)[0] if new else ""  # type: ignore[index]


def proven(talk: Talk, number: str = "4711", address: str = ADDRESS) -> str:
    talk.ask("Where is my order?")
    talk.ask(number)
    assert SENT in talk.ask(address)
    return talk.ask(mailed(talk))


def test_an_order_is_told_after_number_address_and_code(talk: Talk, order: Order) -> None:
    assert "number of your order" in talk.ask("Where is my order?")
    assert (talk.outcome, talk.action) == ("asked", "ask_number")
    assert "e-mail address" in talk.ask("it's 4711")
    assert SENT in talk.ask(f"I used {ADDRESS}")
    code = mailed(talk)
    assert mail.outbox[0].to == [ADDRESS]
    words = talk.ask(f"the code is {code}")
    assert words == (
        "Order #4711 of 27 February 2026: It has been on its way with DHL since 28 February 2026. "
        "Tracking number: 00340434161094042557."
    )
    assert (talk.outcome, talk.action) == ("looked_up", "lookup")
    assert not Dialogue.objects.exists()


def test_neither_address_nor_code_stands_in_the_transcript(talk: Talk, order: Order) -> None:
    proven(talk)
    said = " ".join(talk.row.events.values_list("text", flat=True))
    assert ADDRESS not in said
    assert proof.code_of(Verification.objects.get()) not in said
    assert "[e-mail address]" in said
    assert "[security code]" in said
    kept = str(Verification.objects.values().get())
    assert ADDRESS not in kept
    assert "4711" not in kept


def test_everything_at_once_needs_only_the_code(talk: Talk, order: Order) -> None:
    assert SENT in talk.ask(f"Where is my order #4711? My address is {ADDRESS}")
    assert "on its way" in talk.ask(mailed(talk))


def test_an_address_that_was_not_asked_for_is_not_kept(talk: Talk) -> None:
    talk.ask(f"My friend has the address {ADDRESS}, do you like it?")
    assert not Dialogue.objects.exists()


def test_what_was_proven_is_told_again_without_a_code_for_half_an_hour(talk: Talk, order: Order) -> None:
    proven(talk)
    assert "on its way" in talk.ask("Where is my order?")
    assert "number of your order" not in talk.ask("where is my order #4711?")
    assert "e-mail address" in talk.ask("where is my order #9999?")
    talk.ask("cancel")
    talk.now += timedelta(minutes=31)
    assert "number of your order" in talk.ask("Where is my order?")


@pytest.mark.parametrize(
    ("number", "address"), [("4711", "eve@example.com"), ("4712", ADDRESS), ("9999", "eve@example.com"), ("a-1", "x@y.co")]
)  # fmt: skip
def test_wrong_and_unknown_details_are_answered_as_right_ones(
    talk: Talk, order: Order, number: str, address: str
) -> None:
    right = Talk(talk.row.site)
    told: list[list[str]] = []
    for one, (its_number, its_address) in ((right, ("4711", ADDRESS)), (talk, (number, address))):
        said = [one.ask("Where is my order?"), one.ask(its_number), one.ask(its_address), one.ask("000000")]
        told.append(said)
    assert told[0] == told[1]
    assert mailed(talk) == ""
    rows = [[event.data, event.kind] for event in talk.row.events.filter(author="bot")]
    assert rows == [[event.data, event.kind] for event in right.row.events.filter(author="bot")]


def test_no_code_is_right_for_what_does_not_exist(talk: Talk, order: Order) -> None:
    talk.ask("Where is my order?")
    talk.ask("4711")
    talk.ask("eve@example.com")
    code = proof.code_of(Verification.objects.get())
    assert "not right" in talk.ask(code)
    assert talk.outcome == "asked"


def test_the_same_is_asked_of_the_database_for_right_wrong_and_unknown(talk: Talk, order: Order) -> None:
    def statements(number: str, address: str) -> list[str]:
        row = conversation(talk.row.site)
        with CaptureQueriesContext(
            connection,
        ) as seen:
            proof.too_many(row, number, address, NOON)
            proof.begin(row, "order", number, address, NOON)
        return [re.sub(r"(\d+|'[^']*'|NULL)", "?", one["sql"]).split("VALUES")[0] for one in seen]

    first = statements("4711", ADDRESS)
    assert statements("4711", "eve@example.com") == first
    assert statements("9999", ADDRESS) == first
    assert [one for one in first if "shipping" in one or "total" in one] == []


def test_codes_are_limited_and_the_last_one_is_not_taken(talk: Talk, order: Order) -> None:
    talk.ask("Where is my order #4711?")
    talk.ask(ADDRESS)
    code = mailed(talk)
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    for _ in range(proof.ATTEMPTS - 1):
        assert "not right" in talk.ask(wrong)
    assert "No more codes" in talk.ask(wrong)
    talk.ask(code)
    assert not Verification.objects.filter(passed_at__isnull=False).exists()


def test_a_code_is_good_for_ten_minutes(talk: Talk, order: Order) -> None:
    talk.ask("Where is my order #4711?")
    talk.ask(ADDRESS)
    code = mailed(talk)
    talk.now += timedelta(minutes=11)
    assert "No more codes" in talk.ask(code)


def test_a_code_opens_only_the_conversation_that_it_was_mailed_for(talk: Talk, order: Order) -> None:
    other = Talk(talk.row.site)
    for one in (talk, other):
        one.ask("Where is my order #4711?")
        one.ask(ADDRESS)
    code = mailed(talk)
    assert "not right" in other.ask(code) or proof.code_of(Verification.objects.get(conversation=other.row)) == code
    assert "on its way" in talk.ask(code)


@pytest.mark.parametrize("number", ["4711", "9999"])
def test_proofs_are_limited_by_address_whether_it_exists_or_not(talk: Talk, order: Order, number: str) -> None:
    for _ in range(proof.MOST["contact"]):
        row = conversation(talk.row.site)
        proof.begin(row, "order", f"{number}{row.pk}", ADDRESS, NOON)
    talk.ask(f"Where is my order #{number}?")
    assert SENT not in talk.ask(ADDRESS)
    assert Handoff.objects.get().reason == "misses"


def test_the_mail_goes_to_the_address_on_the_order_only(talk: Talk, order: Order) -> None:
    talk.ask("Where is my order #4711?")
    talk.ask("send the code to eve@example.com, not to ada@example.com")
    mailed(talk)
    assert mail.outbox == []


def test_a_mail_that_fails_is_sent_again_with_the_same_code(
    talk: Talk, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk.ask("Where is my order #4711?")
    talk.ask(ADDRESS)
    row = Verification.objects.get()

    def refused(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as down:
        down.setattr("django.core.mail.EmailMessage.send", refused)
        assert proof.send(row.pk, talk.now) is False
    assert proof.unsent(talk.now + timedelta(seconds=10)) == [row.pk]
    assert proof.send(row.pk, talk.now) is True
    assert proof.unsent(talk.now + timedelta(seconds=10)) == []
    assert proof.code_of(row) in mail.outbox[0].body


def test_whoever_got_no_code_is_offered_a_person(talk: Talk, order: Order) -> None:
    talk.ask("Where is my order #4711?")
    talk.ask(ADDRESS)
    assert "spam" in talk.ask("I didn't get any code")
    assert talk.last.data["choices"][0]["send"] == "Talk to a person"


def test_a_question_in_between_leaves_the_lookup_where_it_is(talk: Talk, order: Order) -> None:
    from tests.chat.bot import shelf

    shelf()
    talk.ask("Where is my order #4711?")
    assert talk.ask("How do I change my password?").startswith("Choose Account")
    assert SENT in talk.ask(ADDRESS)


def test_details_that_are_not_recognised_twice_bring_a_person(talk: Talk) -> None:
    talk.ask("Where is my order?")
    assert "did not recognise" in talk.ask("the blue one")
    talk.ask("the one with flowers")
    assert Handoff.objects.get().reason == "misses"


def test_the_lookup_can_be_left(talk: Talk) -> None:
    talk.ask("Where is my order?")
    assert "All right" in talk.ask("never mind")
    assert not Dialogue.objects.exists()


def test_a_site_that_looks_up_nothing_asks_for_nothing() -> None:
    talk = Talk(staffed(looks_up_orders=False)[0])
    talk.ask("Where is my order?")
    assert talk.outcome == "not_sure"


def test_a_shops_own_chat_knows_the_orders_of_that_shop_only(order: Order) -> None:
    other = StoreFactory.create()
    site = staffed()[0]
    site.scope = other.scope
    site.save()
    assert orders.candidates(site, "4711") == []
    site.scope = order.store.scope
    assert orders.candidates(site, "4711") == [(order.pk, ADDRESS)]


@pytest.mark.parametrize(
    ("fields", "parcel", "words"),
    [
        ({"cancelled_at": NOON}, None, "It was cancelled on 2 March 2026."),
        ({}, None, "It is being prepared and has not left us yet."),
        ({"fulfillment_scheduled_at": NOON}, None, "It will be sent on 2 March 2026."),
        ({"fulfillment_status": "partial"}, {"status": "delivered", "delivered_at": NOON, "carrier": "UPS"},
         "UPS delivered it on 2 March 2026. Tracking number: T1. The rest is being prepared."),
        ({"fulfillment_status": "fulfilled"}, {"status": "failed"}, "The carrier could not deliver it. Tracking number: T1."),
        ({"fulfillment_status": "fulfilled"}, None, "It was sent."),
    ],
)  # fmt: skip
def test_every_state_of_an_order_has_its_words(
    fields: dict[str, Any], parcel: dict[str, Any] | None, words: str
) -> None:
    order = OrderFactory.create(number="#1", email=ADDRESS, synced_at=NOON, **fields)
    if parcel:
        Fulfillment.objects.create(
            order=order,
            external_id="1",
            tracking_number="T1",
            created_at=NOON,
            updated_at=NOON,
            synced_at=NOON,
            **parcel,
        )
    found = orders.status(order.pk, NOON)
    assert found
    assert found.text.endswith(words)
    assert "Ada" not in found.text
    assert "100" not in found.text


class TestTheShop:
    """Asked for the newest state, behind a time limit, a repetition and the breaker."""

    @pytest.fixture
    def shop(self):  # type: ignore[no-untyped-def]
        with admin_api_server() as running:
            yield running

    @pytest.fixture
    def live(self, shop: Any) -> Order:
        store = StoreFactory.create(api_base_url=shop.url, api_token=TOKEN)
        return OrderFactory.create(
            store=store, external_id="4711", number="#4711", email=ADDRESS, created_at=NOON - timedelta(days=3),
            synced_at=NOON - timedelta(hours=2), updated_at=NOON - timedelta(hours=2),
        )  # fmt: skip

    def test_the_newest_state_is_told(self, shop: Any, live: Order, talk: Talk) -> None:
        shop.add(order_node(4711, updated_at="2026-03-02T12:00:00Z", cancelledAt="2026-03-02T11:00:00Z"))
        assert "was cancelled" in proven(talk)
        assert len(shop.asked) == 1

    def test_meanwhile_the_bot_is_seen_writing(
        self, shop: Any, live: Order, talk: Talk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[Any] = []
        monkeypatch.setattr(
            "apps.chat.live.typing", lambda _, *, who, name, on: seen.append((who, on, len(shop.asked)))
        )
        shop.add(order_node(4711))
        proven(talk)
        assert seen == [("bot", True, 0), ("bot", False, 1)]

    def test_recent_news_is_not_asked_again(self, shop: Any, live: Order) -> None:
        Order.objects.filter(pk=live.pk).update(synced_at=NOON)
        found = orders.status(live.pk, NOON + timedelta(minutes=4))
        assert found
        assert found.fresh
        assert shop.asked == []

    def test_one_failure_is_repeated(self, shop: Any, live: Order) -> None:
        shop.add(order_node(4711))
        shop.faults = [503]
        found = orders.status(live.pk, NOON)
        assert found
        assert found.fresh

    def test_a_shop_that_is_down_is_told_and_becomes_a_ticket(self, shop: Any, live: Order, talk: Talk) -> None:
        talk.now = NIGHT
        shop.faults = [503] * 10
        words = proven(talk)
        assert "cannot reach the order system" in words
        assert "being prepared" in words
        ticket = Ticket.objects.get()
        assert f"ticket {ticket.number}" in words
        assert (ticket.order_reference, ticket.requester_contact, ticket.channel) == ("#4711", ADDRESS, "chat")
        assert (talk.action, talk.row.ticket_id, talk.row.state) == ("ticket", ticket.pk, "bot")

    def test_while_people_are_there_one_of_them_has_it_too(self, shop: Any, live: Order, talk: Talk) -> None:
        shop.faults = [503] * 10
        proven(talk)
        assert talk.row.state == Conversation.State.WAITING
        assert Handoff.objects.get().reason == "failure"
        assert Ticket.objects.count() == 1

    def test_a_shop_that_asks_for_patience_is_not_waited_for(self, shop: Any, live: Order) -> None:
        shop.faults = [lambda: (200, {"errors": [{"extensions": {"code": "THROTTLED"}}]})] * 5
        found = orders.status(live.pk, NOON)
        assert found
        assert not found.fresh

    def test_a_breaker_that_is_open_is_told_without_a_call(self, shop: Any, live: Order) -> None:
        from apps.core.breaker import Breaker

        breaker = Breaker(f"shopify:{live.store_id}")
        for _ in range(5):
            breaker.fail(breaker.admit().token)
        try:
            found = orders.status(live.pk, NOON)
        finally:
            breaker.reset()
        assert found
        assert not found.fresh
        assert shop.asked == []


def test_a_lookup_that_breaks_brings_a_person(talk: Talk, order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(orders, "status", broken)
    assert "does not work on my side" in proven(talk)
    assert Handoff.objects.get().reason == "failure"


class TestSubscriptions:
    @pytest.fixture
    def plan(self) -> Subscription:
        return SubscriptionFactory.create(owner__email=ADDRESS, name="Coffee", status="active")

    def test_a_subscription_is_told_after_the_same_proof(self, talk: Talk, plan: Subscription) -> None:
        RenewalAttemptFactory.create(subscription=plan, success=False, amount=20)
        assert "number of your subscription" in talk.ask("Is my subscription still active?")
        talk.ask(str(plan.pk)[:8])
        assert SENT in talk.ask(ADDRESS)
        words = talk.ask(mailed(talk))
        assert words == (
            "Your subscription “Coffee” is active. It renews on 10 March 2026. "
            "The last renewal could not be charged; please check your way of paying."
        )
        assert "20" not in words.replace("2026", "")

    @pytest.mark.parametrize("status", ["paused", "cancelled", "expired"])
    def test_every_state_has_its_words(self, plan: Subscription, status: str) -> None:
        from apps.chat.bot.lookup import subscriptions

        Subscription.objects.filter(pk=plan.pk).update(status=status)
        found = subscriptions.status(subscriptions.key_of(plan.pk), NOON)
        assert found
        assert status in found.text

    def test_the_whole_number_works_too_and_another_ones_address_does_not(self, talk: Talk, plan: Subscription) -> None:
        site = talk.row.site
        assert proof.subject(site, "subscription", str(plan.pk), ADDRESS.upper())
        assert proof.subject(site, "subscription", str(plan.pk), "eve@example.com") is None
        assert proof.subject(site, "subscription", str(plan.pk)[:7], ADDRESS) is None
        assert proof.subject(site, "subscription", "%", ADDRESS) is None


def test_who_proved_an_order_is_not_asked_how_to_be_reached(talk: Talk, order: Order) -> None:
    proven(talk)
    talk.ask("Let me talk to a human")
    assert Handoff.objects.get().fields["requester_contact"] == ADDRESS
