"""The operator's day in a real browser: decisions by keyboard alone, and every page inside its window."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from apps.actions.models import ActionCard, CardEvent, Execution
from apps.core.models import Scope, User
from apps.core.roles import Role
from apps.escalation.models import RiskFlag
from tests.actions.desk import NOW, QUEUE, actions, make_card, url  # noqa: F401  # a fixture
from tests.browser.conftest import Desk
from tests.core.factories import PASSWORD, ScopeFactory, person

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("actions")]

WINDOWS = [("light", 1440), ("dark", 390)]


@pytest.fixture
def store(site: str) -> Scope:
    return ScopeFactory(name="Nordlicht")


@pytest.fixture
def operator(store: Scope) -> User:
    return person(Role.OPERATOR, store, username="olga")


def status_of(card: ActionCard) -> str:
    card.refresh_from_db()
    return card.status


def test_by_keyboard_alone_from_the_login_to_three_decisions(
    desk: Callable[..., Desk], operator: User, store: Scope
) -> None:
    first, second, third = (make_card(scope=store, impact=impact) for impact in ("900", "500", "100"))
    one = desk()
    keys = one.page.keyboard

    one.open("/admin/login/?next=" + QUEUE)
    keys.type(operator.username)
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    one.page.wait_for_selector("#result_list")
    one.page.wait_for_load_state()  # the keys are a script's

    keys.press("Enter")  # opens the most pressing card
    one.page.wait_for_url(f"**{url(first)}*")
    keys.press("a")
    one.page.wait_for_url("**/approve/*")
    assert "An e-mail goes to the customer." in one.page.content()
    keys.press("Control+Enter")
    one.page.wait_for_url(f"**{url(second)}*")  # the next card comes by itself
    assert status_of(first) == "executing"
    assert Execution.objects.filter(card=first).count() == 1

    keys.press("d")
    one.page.wait_for_url("**/dismiss/*")
    keys.press("ArrowDown")  # from nothing to the first but one outcome
    keys.press("Tab")
    keys.type("Known customer")
    keys.press("Control+Enter")
    one.page.wait_for_url(f"**{url(third)}*")
    assert status_of(second) == "dismissed"
    assert second.outcome in ActionCard.Outcome.values

    keys.press("e")
    one.page.wait_for_url("**/escalate/*")
    keys.press("ArrowDown")
    keys.press("Tab")
    keys.type("The stock is gone")
    keys.press("Control+Enter")
    one.page.wait_for_selector(".empty")
    assert status_of(third) == "escalated"
    assert RiskFlag.objects.get().level == RiskFlag.Level.HIGH


def test_the_help_lists_the_keys_and_closes(desk: Callable[..., Desk], operator: User, store: Scope) -> None:
    make_card(scope=store)
    one = desk()
    one.log_in(operator)
    one.open(QUEUE)
    help_overlay = one.page.locator("#queue-help")
    expect(help_overlay).not_to_be_visible()
    one.page.keyboard.press("?")
    expect(help_overlay).to_be_visible()
    one.page.keyboard.press("Escape")
    expect(help_overlay).not_to_be_visible()


def test_keys_typed_into_a_field_are_text(desk: Callable[..., Desk], operator: User, store: Scope) -> None:
    make_card(scope=store, target="Order #1234")
    make_card(scope=store, target="Other")
    one = desk()
    one.log_in(operator)
    one.open(QUEUE)
    one.page.keyboard.press("/")
    one.page.keyboard.type("adej 1234")
    assert one.page.input_value("#searchbar") == "adej 1234"
    one.page.fill("#searchbar", "1234")
    one.page.keyboard.press("Enter")
    one.page.wait_for_url("**q=1234*")
    assert one.page.locator("#result_list tbody tr").count() == 1


def test_a_double_click_decides_once(desk: Callable[..., Desk], operator: User, store: Scope) -> None:
    card = make_card(scope=store)
    one = desk()
    one.log_in(operator)
    one.open(url(card, "approve"))
    one.page.locator("form[data-once] [type=submit]").dblclick()
    one.page.wait_for_url(f"**{QUEUE}")
    assert Execution.objects.filter(card=card).count() == 1


def test_what_changed_meanwhile_is_shown_and_can_then_be_decided(
    desk: Callable[..., Desk], operator: User, store: Scope
) -> None:
    card = make_card(scope=store)
    one = desk()
    one.log_in(operator)
    one.open(url(card, "dismiss"))
    ActionCard.objects.filter(pk=card.pk).update(version=2, risk_tier="policy")
    data = {"changes": {"Tier": ["Safety", "Policy"]}}
    CardEvent.objects.create(card=card, card_version=2, kind="raised", at=NOW, data=data)
    one.page.check("input[name=outcome][value=benign]")
    one.page.keyboard.press("Control+Enter")
    expect(one.page.get_by_role("alert")).to_contain_text("The card changed")
    # The refusal's own status is an error to the console, and the only one.
    assert [text for text in one.complaints if "409" not in text] == []
    one.complaints.clear()
    assert one.page.is_checked("input[name=outcome][value=benign]")
    one.page.locator("form[data-once] [type=submit]").click()
    one.page.wait_for_url(f"**{QUEUE}")
    assert status_of(card) == "dismissed"


def test_many_are_dismissed_at_once(desk: Callable[..., Desk], operator: User, store: Scope) -> None:
    cards = [make_card(scope=store) for _ in range(3)]
    one = desk()
    one.log_in(operator)
    one.open(QUEUE)
    for _ in range(2):
        one.page.keyboard.press("j")
        one.page.keyboard.press("x")
    one.page.select_option("select[name=action]", "dismiss_selected")
    one.page.click("#changelist-form .actions button[type=submit]")
    one.page.check("input[name=outcome][value=false]")
    one.page.fill("textarea[name=reason]", "Stock count")
    one.page.keyboard.press("Control+Enter")
    expect(one.page.locator(".messagelist")).to_contain_text("2 cards dismissed")
    assert sorted(status_of(card) for card in cards) == ["dismissed", "dismissed", "open"]


@pytest.mark.parametrize(("theme", "width"), WINDOWS)
def test_deep_pages_stay_inside_their_window(
    desk: Callable[..., Desk], operator: User, store: Scope, theme: str, width: int
) -> None:
    long = "Customer-with-a-very-long-name-" * 5
    card = make_card(scope=store, target=long, draft=long * 3)
    failed = make_card(scope=store, status="failed")
    done = make_card(scope=store, status="executed", closed_at=NOW)
    for one_card, state in ((failed, "failed"), (done, "succeeded")):
        Execution.objects.create(
            card=one_card, action="tag-order", requested_by=operator, created_at=NOW, finished_at=NOW, status=state,
            last_error="https://store.example.com/" + "x" * 200 if state == "failed" else "",
        )  # fmt: skip
    one = desk(width=width, theme=theme)
    one.log_in(operator)
    pages = [
        QUEUE,
        QUEUE + "?status=dismissed",
        "/admin/actions/ruleversion/",
        "/admin/actions/ruleversion/rule/order-ageing/",
    ]
    pages += [url(card, page) for page in ("change", "approve", "dismiss", "escalate", "note")]
    pages += [url(failed), url(failed, "retry"), url(done), url(done, "roll-back")]
    too_wide = {}
    for path in pages:
        one.open(path)
        too_wide[path] = one.overflow()
        for drawer in one.page.locator("#content details:not([open]) > summary").all():
            drawer.click() if drawer.is_visible() else None
        too_wide[path + " opened"] = one.overflow()
    assert {path: pixels for path, pixels in too_wide.items() if pixels > 0} == {}
