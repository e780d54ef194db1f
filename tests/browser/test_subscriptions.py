"""The pages of subscriptions in a real browser: clean under the policy, readable in both themes, no wider than the window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.core.roles import Role
from apps.subscriptions import levels
from apps.subscriptions.models import RiskScore, Subscription
from apps.subscriptions.scores import recalculate
from tests.browser.conftest import Desk
from tests.core.factories import ScopeFactory, person
from tests.subscriptions.factories import BalanceFactory, SubscriptionFactory

pytestmark = pytest.mark.browser


@pytest.fixture
def plan(site: str) -> Subscription:
    """A subscription without an approval."""
    now = timezone.now()
    one: Subscription = SubscriptionFactory(scope=ScopeFactory(), name="Team plan", renews_on=now.date())
    BalanceFactory(subscription=one, amount=Decimal("500.00"), as_of=now - timedelta(days=1))
    recalculate([one.pk], now=now - timedelta(days=3))
    levels.count(day=now.date())
    return one


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")])
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
        f"{base}/accountbalance/",
    ):  # fmt: skip
        one.open(path)
        assert one.overflow() == 0, path


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
