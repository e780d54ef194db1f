"""Every page of the administrator, light and dark, wide and narrow: inside the window and inside the policy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib import admin
from django.urls import NoReverseMatch, reverse

from tests.browser.conftest import Desk
from tests.core.factories import UserFactory

pytestmark = pytest.mark.browser

THEMES = [("light", 1440), ("dark", 390)]


def _list_pages() -> list[str]:
    pages = ["/admin/", "/admin/password_change/"]
    for name in ("inbox", "inbox_settings"):
        try:
            pages.append(reverse(name))
        except NoReverseMatch:
            continue
    return pages + [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in admin.site._registry
    ]


@pytest.mark.parametrize(("theme", "width"), THEMES)
def test_pages_stay_inside_the_window_and_the_policy(desk: Callable[..., Desk], theme: str, width: int) -> None:
    one = desk(width=width, theme=theme)
    one.open("/admin/login/")
    too_wide = {"/admin/login/": one.overflow()}
    one.log_in(UserFactory(is_staff=True, is_superuser=True))

    for path in _list_pages():
        one.open(path)
        too_wide[path] = one.overflow()
        add = one.page.locator(".object-tools a.addlink")
        if add.count():
            with one.page.expect_navigation():
                add.first.click()
            too_wide[one.page.url] = one.overflow()

    assert {path: pixels for path, pixels in too_wide.items() if pixels > 0} == {}


def test_keyboard_reaches_the_content_and_shows_where_it_is(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.log_in(UserFactory(is_staff=True, is_superuser=True))
    one.open("/admin/")

    one.page.keyboard.press("Tab")
    assert one.page.evaluate("document.activeElement.className") == "skip-to-content-link"
    assert one.page.evaluate("document.activeElement.getBoundingClientRect().top >= -1")
    one.page.keyboard.press("Enter")
    assert one.page.evaluate("document.activeElement.id") == "content-start"

    one.page.locator(".rail__link").first.focus()
    one.page.keyboard.press("Tab")
    assert one.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_rail_opens_and_closes_on_a_small_screen(desk: Callable[..., Desk]) -> None:
    one = desk(width=390)
    one.log_in(UserFactory(is_staff=True, is_superuser=True))
    rail = one.page.locator("#rail")

    assert not rail.is_visible()
    one.page.locator(".bar__menu").click()
    assert rail.is_visible()
    one.page.keyboard.press("Escape")
    assert not rail.is_visible()


def test_the_theme_toggle_beats_the_system(desk: Callable[..., Desk]) -> None:
    one = desk(theme="light")
    one.log_in(UserFactory(is_staff=True, is_superuser=True))
    before = one.page.evaluate("getComputedStyle(document.body).backgroundColor")

    one.page.locator(".theme-toggle").click()

    assert one.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert one.page.evaluate("getComputedStyle(document.body).backgroundColor") != before
