"""The dashboard in a real browser, with much, with nothing, and with days that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core.roles import Role
from tests.actions.desk import make_card
from tests.browser.conftest import Desk
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.browser

PAGE = "/admin/actions/actioncard/dashboard/"


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 390)])
def test_figures_and_plots_fit_the_window(desk: Callable[..., Desk], theme: str, width: int) -> None:
    one = desk(width=width, theme=theme)
    store = ScopeFactory()
    one.log_in(person(Role.OPERATOR, store))
    one.open(PAGE)
    assert one.overflow() <= 0
    assert one.page.get_by_text("Nothing happened in these days").is_visible()

    now = timezone.now()
    for n in range(40):
        closed = now - timedelta(days=n % 20, hours=1)
        make_card(
            scope=store, status="dismissed", outcome=("false", "true")[n % 2], impact="12345.67",
            currency=("EUR", "USD", "JPY")[n % 3], opened_at=closed - timedelta(hours=n), closed_at=closed,
        )  # fmt: skip
    make_card(scope=store, rule="monitoring-down", kind="monitoring-alert", target="Order monitoring")
    one.open(PAGE)
    assert one.page.locator("figure.plot svg").count() == 4
    assert one.page.get_by_text("Monitoring is down").is_visible()
    assert one.overflow() <= 0
    one.page.get_by_text("The days as a table").click()
    assert one.overflow() <= 0


def test_days_are_chosen_and_kept_in_the_address(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.log_in(person(Role.OPERATOR))
    one.open(PAGE)
    one.page.get_by_role("link", name="Last 7 days").click()
    one.page.wait_for_url("**since=*")
    assert one.page.locator(".tabs [aria-current]").inner_text() == "Last 7 days"
    one.page.fill("#id_since", "2026-01-05")
    one.page.fill("#id_until", "2026-01-06")
    one.page.get_by_role("button", name="Show").click()
    one.page.wait_for_url("**since=2026-01-05&until=2026-01-06")
    assert one.page.get_by_text("5 Jan 2026 to 6 Jan 2026").is_visible()
