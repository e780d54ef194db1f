"""Decisions about one card: the page that shows what will happen, and the POST that does it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.actions.models import ActionCard, CardEvent, Execution
from apps.core.models import Decision, User
from apps.core.roles import Role
from apps.escalation.models import RiskFlag
from tests.actions.desk import NOW, QUEUE, actions, make_card, url  # noqa: F401  # a fixture
from tests.core.factories import ScopeFactory, person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("actions")]

PAGES = ["approve", "dismiss", "escalate", "note"]


@pytest.fixture
def store():
    return ScopeFactory()


@pytest.fixture
def operator(store) -> User:
    return person(Role.OPERATOR, store, username="olga")


@pytest.fixture
def desk(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def form_of(client: Client, address: str) -> dict[str, Any]:
    """The hidden fields as the page gave them."""
    page = client.get(address)
    assert page.status_code == 200, page.content[:2000]
    found = dict(re.findall(r'name="(seen|key|cards)" value="([^"]*)"', page.content.decode()))
    assert found
    return found


def take(client: Client, card: ActionCard, page: str, **fields: Any) -> HttpResponse:
    return client.post(url(card, page), form_of(client, url(card, page)) | fields)


# ----- approve


def test_the_approval_page_shows_what_will_happen(desk: Client) -> None:
    card = make_card()
    page = desk.get(url(card, "approve")).content.decode()
    for words in (
        "Send the customer a message",
        "An e-mail goes to the customer.",
        "Hello, your order is late.",
        "Write again.",
    ):
        assert words in page
    assert not Execution.objects.exists()


def test_approving_sends_the_edited_draft_and_goes_to_the_next_card(desk: Client, operator: User) -> None:
    card, following = make_card(impact="900"), make_card(impact="100")
    response = take(desk, card, "approve", action="send-message", message="Edited words")
    assert response["Location"] == url(following)
    execution = Execution.objects.get()
    assert (execution.card_id, execution.action, execution.requested_by) == (card.pk, "send-message", operator)
    assert execution.payload["message"] == "Edited words"
    card.refresh_from_db()
    assert card.status == ActionCard.Status.EXECUTING


def test_a_double_click_approves_once(desk: Client) -> None:
    card = make_card()
    fields = form_of(desk, url(card, "approve")) | {"action": "tag-order", "message": "x"}
    assert [desk.post(url(card, "approve"), fields).status_code for _ in range(2)] == [302, 302]
    assert Execution.objects.count() == 1


def test_a_message_that_was_emptied_is_refused_beside_its_field(desk: Client) -> None:
    card = make_card()
    response = take(desk, card, "approve", action="send-message", message="  ")
    assert response.status_code == 422
    assert "Write what the customer is to read" in response.content.decode()
    assert not Execution.objects.exists()


def test_a_card_for_a_persons_own_work_never_offers_approval(desk: Client) -> None:
    card = make_card(can_execute=False)
    assert "approve" not in desk.get(url(card)).content.decode().split("s-actions")[1].split("</section>")[0].replace(
        "Approval", ""
    )
    assert f"{card.pk}/approve/" not in desk.get(QUEUE).content.decode()
    response = desk.get(url(card, "approve"))
    assert response.status_code == 409
    assert "cannot_execute" in response.content.decode()
    fields = form_of(desk, url(card, "dismiss")) | {"action": "tag-order"}
    assert desk.post(url(card, "approve"), fields).status_code in (400, 409)
    assert not Execution.objects.exists()


# ----- dismiss, escalate, note


def test_dismissing_records_outcome_and_reason(desk: Client, operator: User) -> None:
    card = make_card()
    take(desk, card, "dismiss", outcome="benign", reason="Known customer")
    card.refresh_from_db()
    assert (card.status, card.outcome, card.outcome_reason, card.decided_by) == (
        "dismissed",
        "benign",
        "Known customer",
        operator,
    )
    assert Decision.objects.filter(action="card_dismissed", subject=f"action_card:{card.pk}").exists()


def test_a_false_alarm_needs_a_reason(desk: Client) -> None:
    card = make_card()
    response = take(desk, card, "dismiss", outcome="false", reason="")
    assert response.status_code == 400
    assert "Say why the rule was wrong" in response.content.decode()
    card.refresh_from_db()
    assert card.status == "open"


def test_dismissing_needs_an_outcome(desk: Client) -> None:
    assert take(desk, make_card(), "dismiss", reason="because").status_code == 400


def test_escalating_raises_a_flag_once(desk: Client, operator: User) -> None:
    card = make_card()
    fields = form_of(desk, url(card, "escalate")) | {"level": 4, "reason": "Stock is gone"}
    assert [desk.post(url(card, "escalate"), fields).status_code for _ in range(2)] == [302, 302]
    flag = RiskFlag.objects.get()
    assert (flag.level, flag.source, flag.raised_by) == (4, f"action_card:{card.pk}", operator)
    page = desk.get(url(card)).content.decode()
    assert f"/admin/escalation/riskflag/{flag.pk}/change/" in page


def test_a_note_is_added_once_and_leaves_the_card_open(desk: Client) -> None:
    card = make_card()
    fields = form_of(desk, url(card, "note")) | {"text": "Called the customer"}
    assert [desk.post(url(card, "note"), fields)["Location"] for _ in range(2)] == [url(card)] * 2
    assert CardEvent.objects.filter(card=card, kind="note").count() == 1
    card.refresh_from_db()
    assert (card.status, card.version) == ("open", 1)
    assert "Called the customer" in desk.get(url(card)).content.decode()


# ----- bound to what was seen


def test_a_changed_card_is_refused_and_the_change_is_shown(desk: Client) -> None:
    card = make_card()
    fields = form_of(desk, url(card, "dismiss")) | {"outcome": "benign", "reason": "Typed before"}
    ActionCard.objects.filter(pk=card.pk).update(version=2, risk_tier="policy")
    CardEvent.objects.create(
        card=card, card_version=2, kind="raised", at=NOW, data={"changes": {"Tier": ["Safety", "Policy"]}}
    )
    response = desk.post(url(card, "dismiss"), fields)
    page = response.content.decode()
    assert response.status_code == 409
    assert "card_changed" in page
    assert "<del>Safety</del>" in page
    assert "<ins>Policy</ins>" in page
    assert "Typed before" in page
    assert 'name="seen" value="2"' in page
    card.refresh_from_db()
    assert card.status == "open"


def test_the_timeline_says_what_a_sweep_found_and_changed(desk: Client) -> None:
    card = make_card()
    event = {"card": card, "at": card.opened_at, "text": "shopify-order-query-20260302-001"}
    CardEvent.objects.create(**event, card_version=1, kind="opened", data={"rule_version": card.rule_version_id})
    CardEvent.objects.create(
        **event, card_version=2, kind="raised",
        data={"changes": {"Tier": ["low", "safety"], "Description": ["3 days", "5 days"]}},
    )  # fmt: skip
    shown = desk.get(url(card)).content.decode()
    assert "Found by" in shown.split("Timeline")[1]
    assert "Tier: low → safety" in shown
    assert "Description changed" in shown
    assert "Evidence shopify-order-query-20260302-001" in shown


def test_a_card_that_was_decided_meanwhile_says_so(desk: Client) -> None:
    card = make_card()
    fields = form_of(desk, url(card, "escalate")) | {"level": 3, "reason": "x"}
    ActionCard.objects.filter(pk=card.pk).update(status="dismissed", version=2, closed_at=NOW)
    response = desk.post(url(card, "escalate"), fields)
    assert response.status_code == 409
    assert not RiskFlag.objects.exists()


@pytest.mark.parametrize("page", ["approve", "dismiss", "escalate", "retry", "roll-back"])
def test_a_decided_card_offers_nothing_but_notes(desk: Client, page: str) -> None:
    card = make_card(status="dismissed", closed_at=NOW)
    response = desk.get(url(card, page))
    assert response.status_code == 409
    assert "not_decidable" in response.content.decode()


# ----- retry and roll back


def executed(card: ActionCard, user: User, **fields: Any) -> Execution:
    return Execution.objects.create(
        card=card, action="tag-order", requested_by=user, created_at=NOW, finished_at=NOW, **fields
    )


def test_a_failure_is_shown_and_tried_again(desk: Client, operator: User) -> None:
    card = make_card(status="failed")
    execution = executed(card, operator, status="failed", failure_kind="permanent", last_error="The store said no.")
    page = desk.get(url(card)).content.decode()
    assert "The store said no." in page
    assert "Needs a person" in page
    fields = form_of(desk, url(card, "retry"))
    assert [desk.post(url(card, "retry"), fields).status_code for _ in range(2)] == [302, 302]
    execution.refresh_from_db()
    card.refresh_from_db()
    assert (execution.status, card.status) == ("pending", "executing")


def test_rolling_back_shows_the_plan_and_asks_for_it_once(desk: Client, operator: User) -> None:
    card = make_card(status="executed", closed_at=NOW)
    executed(card, operator, status="succeeded")
    page = desk.get(url(card, "roll-back")).content.decode()
    assert "Write again." in page
    assert "Undo tag-order." in page
    fields = form_of(desk, url(card, "roll-back")) | {"reason": "Wrong order"}
    assert [desk.post(url(card, "roll-back"), fields).status_code for _ in range(2)] == [302, 302]
    assert Execution.objects.filter(direction="roll_back").count() == 1


# ----- who may


@pytest.mark.parametrize("page", [*PAGES, "change"])
def test_a_card_of_another_scope_is_not_there(client: Client, store, page: str) -> None:
    client.force_login(person(Role.OPERATOR, ScopeFactory()))
    card = make_card(scope=store)
    assert client.get(url(card, page)).status_code == 404
    if page != "change":
        assert client.post(url(card, page), {"seen": 1}).status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_an_operator_of_the_scope_may_decide(desk: Client, store, page: str) -> None:
    assert desk.get(url(make_card(scope=store), page)).status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_an_auditor_looks_and_does_not_decide(client: Client, page: str) -> None:
    client.force_login(person(Role.AUDITOR))
    card = make_card()
    assert client.get(url(card)).status_code == 200
    assert client.get(url(card, page)).status_code == 403
    assert client.post(url(card, page), {"seen": 1, "outcome": "benign"}).status_code == 403
    card.refresh_from_db()
    assert card.status == "open"


@pytest.mark.parametrize("page", [*PAGES, "change"])
def test_nobody_gets_the_login(client: Client, page: str) -> None:
    response = client.get(url(make_card(), page))
    assert response.status_code == 302
    assert "/admin/login/" in response["Location"]


def test_a_post_without_the_token_is_refused(operator: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    card = make_card()
    assert strict.post(url(card, "dismiss"), {"seen": 1, "outcome": "benign"}).status_code == 403
    card.refresh_from_db()
    assert card.status == "open"


def test_other_methods_are_refused(desk: Client) -> None:
    assert desk.put(url(make_card(), "dismiss")).status_code == 405


# ----- many at once


def bulk_page(client: Client, *cards: ActionCard) -> HttpResponse:
    return client.post(QUEUE, {"action": "dismiss_selected", "_selected_action": [card.pk for card in cards]})


def cards_of(response: HttpResponse) -> str:
    found = re.search(r'name="cards" value="([^"]*)"', response.content.decode())
    assert found
    return found[1]


def test_many_are_dismissed_with_one_reason(desk: Client) -> None:
    first, second, left = make_card(), make_card(), make_card()
    page = bulk_page(desk, first, second)
    assert page.status_code == 200
    assert ActionCard.objects.filter(status="open").count() == 3
    response = desk.post(QUEUE + "bulk-dismiss/", {"cards": cards_of(page), "outcome": "benign", "reason": "Sale"})
    assert response.status_code == 302
    assert list(ActionCard.objects.filter(status="open")) == [left]
    assert Decision.objects.filter(action="card_dismissed").count() == 2


def test_one_changed_card_keeps_all(desk: Client) -> None:
    first, second = make_card(), make_card()
    cards = cards_of(bulk_page(desk, first, second))
    ActionCard.objects.filter(pk=first.pk).update(version=2)
    response = desk.post(QUEUE + "bulk-dismiss/", {"cards": cards, "outcome": "benign", "reason": "Sale"})
    assert response.status_code == 409
    assert "card_changed" in response.content.decode()
    assert "Changed" in response.content.decode()
    assert ActionCard.objects.filter(status="open").count() == 2


def test_foreign_cards_cannot_be_slipped_into_the_list(desk: Client) -> None:
    mine, foreign = make_card(), make_card(scope=ScopeFactory())
    cards = f"{mine.pk}:1,{foreign.pk}:1"
    desk.post(QUEUE + "bulk-dismiss/", {"cards": cards, "outcome": "benign", "reason": "Sale"})
    foreign.refresh_from_db()
    assert foreign.status == "open"


def test_dismissing_many_needs_the_permission_a_reason_and_a_post(desk: Client, client: Client) -> None:
    card = make_card()
    assert desk.get(QUEUE + "bulk-dismiss/").status_code == 405
    assert desk.post(QUEUE + "bulk-dismiss/", {"cards": f"{card.pk}:1", "outcome": "benign"}).status_code == 400
    assert desk.post(QUEUE + "bulk-dismiss/", {"cards": "x", "outcome": "benign", "reason": "y"}).status_code == 400
    client.force_login(person(Role.AUDITOR))
    assert client.post(QUEUE + "bulk-dismiss/", {"cards": f"{card.pk}:1"}).status_code == 403
    bulk_page(client, card)
    card.refresh_from_db()
    assert card.status == "open"


# ----- where the way leads


def test_the_next_card_is_the_next_of_the_filtered_list(desk: Client) -> None:
    first = make_card(impact="900", risk_tier="policy")
    make_card(impact="800", risk_tier="low")
    second = make_card(impact="100", risk_tier="policy")
    filters = "?_changelist_filters=risk_tier__exact%3Dpolicy"
    fields = form_of(desk, url(first, "dismiss") + filters) | {"outcome": "true", "reason": ""}
    response = desk.post(url(first, "dismiss") + filters, fields)
    assert response["Location"] == url(second) + filters


def test_after_the_last_card_comes_the_list(desk: Client) -> None:
    assert take(desk, make_card(), "dismiss", outcome="true", reason="")["Location"] == QUEUE
