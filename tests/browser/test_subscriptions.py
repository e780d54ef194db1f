"""The pages of subscriptions in a real browser: clean under the policy, readable in both themes, no wider than the window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils import timezone

from apps.core.models import ApiToken
from apps.core.roles import Role
from apps.subscriptions import levels
from apps.subscriptions.models import Approval, RiskScore, Subscription
from apps.subscriptions.scores import recalculate
from tests.browser.conftest import Desk
from tests.core.factories import ScopeFactory, person
from tests.subscriptions.factories import BalanceFactory, SubscriptionFactory

pytestmark = pytest.mark.browser
CONTRAST = Path(__file__).with_name("contrast.js").read_text()
NAMELESS = """[...document.querySelectorAll("a, button, select, textarea, input:not([type=hidden])")].filter(
    (one) => one.checkVisibility() &&
        !(one.textContent.trim() || one.ariaLabel || one.labels?.length || one.title || one.value)
).map((one) => one.outerHTML)"""
"""What can be focused and has no name."""


@pytest.fixture
def plan(site: str) -> Subscription:
    """A subscription without an approval."""
    now = timezone.now()
    one: Subscription = SubscriptionFactory(scope=ScopeFactory(), name="Team plan", renews_on=now.date())
    BalanceFactory(subscription=one, amount=Decimal("500.00"), as_of=now - timedelta(days=1))
    recalculate([one.pk], now=now - timedelta(days=3))
    levels.count(day=now.date())
    return one


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_every_page_fits_and_keeps_the_policy(
    desk: Callable[..., Desk], plan: Subscription, width: int, theme: str
) -> None:
    one = desk(width=width, theme=theme)
    one.log_in(person(Role.ADMINISTRATOR))
    base = "/admin/subscriptions"
    for path in (
        f"{base}/subscription/", f"{base}/subscription/{plan.pk}/change/", f"{base}/subscription/{plan.pk}/record/balance/",
        f"{base}/riskscore/", f"{base}/riskscorehistory/", f"{base}/levelcount/", f"{base}/recalculationrun/",
        f"{base}/factorversion/", f"{base}/factorversion/organisation/0/", f"{base}/renewalattempt/", f"{base}/approval/",
        f"{base}/accountbalance/", f"{base}/subscription/add/", f"{base}/subscription/{plan.pk}/record/edit/",
        f"{base}/paymentretry/", f"{base}/renewalprediction/", f"{base}/renewalmodel/", f"{base}/retrypolicyversion/",
        f"{base}/retrypolicyversion/add/", f"{base}/paymentprovider/add/", "/tokens/",
    ):  # fmt: skip
        one.open(path)
        assert one.overflow() == 0, path
        assert not one.page.evaluate(CONTRAST), path
        assert one.page.evaluate(NAMELESS) == [], path


def test_an_approval_set_by_hand_brings_the_level_down(desk: Callable[..., Desk], plan: Subscription) -> None:
    one = desk()
    one.log_in(person(Role.OPERATOR, plan.scope))
    one.open(f"/admin/subscriptions/subscription/{plan.pk}/change/")
    assert one.page.locator(".title-row .badge").first.inner_text() == "High"
    assert one.page.get_by_role("cell", name="there is no approval to renew").first.is_visible()
    one.page.get_by_role("link", name="Set an approval").click()
    one.page.get_by_role("button", name="Set the approval").click()
    one.page.get_by_text("the risk was calculated anew").wait_for()
    assert one.page.locator(".title-row .badge").first.inner_text() == "Low"
    assert one.page.locator("svg rect.level").count() == 2
    assert RiskScore.objects.get().risk_level == "LOW"


def go_to(one: Desk, words: str) -> None:
    """Press Tab until what is focused says these words."""
    script = "((one) => one === document.body ? '' : one.ariaLabel || one.innerText || '')(document.activeElement)"
    for _ in range(150):
        if words in one.page.evaluate(script):
            return
        one.page.keyboard.press("Tab")
    pytest.fail(f"Tab does not reach {words!r}")


def test_an_approval_is_set_and_revoked_by_the_keyboard_alone(desk: Callable[..., Desk], plan: Subscription) -> None:
    one = desk()
    one.log_in(person(Role.OPERATOR, plan.scope))
    one.open(f"/admin/subscriptions/subscription/{plan.pk}/change/")
    go_to(one, "Set an approval")
    one.page.keyboard.press("Enter")
    one.page.get_by_role("heading", name="Set an approval").wait_for()
    go_to(one, "Set the approval")
    one.page.keyboard.press("Enter")
    one.page.get_by_text("the risk was calculated anew").wait_for()
    assert Approval.objects.get().status == "active"
    go_to(one, "Revoke")
    one.page.keyboard.press("Enter")
    one.page.get_by_text("The approval was revoked").wait_for()
    assert Approval.objects.get().status == "revoked"


def test_a_token_is_made_and_revoked_by_the_keyboard_alone(desk: Callable[..., Desk]) -> None:
    one = desk(width=390, theme="dark")
    one.log_in(person(Role.OPERATOR))
    one.open("/tokens/")
    one.page.locator("#id_name").focus()
    one.page.keyboard.type("billing")
    one.page.keyboard.press("Enter")
    one.page.get_by_text("it is not shown again").wait_for()
    assert one.page.locator("#new-token").input_value().startswith("rd_")
    assert one.overflow() == 0
    assert not one.page.evaluate(CONTRAST)
    go_to(one, "Revoke billing")
    one.page.keyboard.press("Enter")
    one.page.get_by_text("lets nobody in any more").wait_for()
    assert not ApiToken.objects.exists()


def test_who_was_overtaken_sees_what_changed(desk: Callable[..., Desk], plan: Subscription) -> None:
    first, second = desk(), desk(width=390)
    for one, price in ((first, "30.00"), (second, "40.00")):
        one.log_in(person(Role.ADMINISTRATOR))
        one.open(f"/admin/subscriptions/subscription/{plan.pk}/record/edit/")
        one.page.fill("#id_price", price)
        one.page.fill("#id_reason", "New price.")
    for one in (first, second):
        one.page.get_by_role("button", name="Save the change").click()
    second.page.get_by_text("This is “30.00” now; you saw “20.00”.").wait_for()
    assert second.page.input_value("#id_price") == "40.00"
    assert second.overflow() == 0
    plan.refresh_from_db()
    assert plan.price == Decimal(30)
    second.complaints.clear()  # the browser notes the refusal, a 409, as an error
