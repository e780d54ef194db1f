"""A shopper in the widget and an agent at the desk, each in a browser of their own: from the first word to the rating."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from apps.chat.models import Conversation, Rating
from apps.core.models import Scope
from apps.core.roles import Role
from apps.escalation import calendars
from apps.escalation.models import Team
from tests.browser.conftest import Desk
from tests.browser.shop import PATIENCE, Shopper, shop
from tests.chat.factories import chat_site
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.browser


@pytest.fixture
def scope(site: str) -> Scope:
    return ScopeFactory(name="Nordlicht")


def test_a_shopper_and_an_agent_from_the_first_word_to_the_rating(
    browser: Browser, site: str, desk: Callable[..., Desk], scope: Scope, tmp_path: Path, settings
) -> None:
    settings.MEDIA_ROOT = tmp_path
    care = Team.objects.create(scope=scope, name="Customer care", calendar=calendars.always())
    place = chat_site(scope, team=care, has_bot=False)
    ada = person(Role.SUPPORT_AGENT, scope, username="ada", first_name="Ada")
    with shop(site, place.key) as address:
        place.allowed_origins = [address]
        place.save()
        shopper = Shopper(address, browser.new_context())
        agent = desk()
        agent.log_in(ada)
        agent.open("/admin/chat/desk/")
        expect(agent.page.locator("#desk-live")).to_have_text("Live")

        shopper.opens()
        shopper.says("Hello, is somebody there?")
        shopper.sees("Sent")
        agent.page.keyboard.press("3")
        expect(agent.page.locator(".desk-row")).to_contain_text("is somebody there?", timeout=PATIENCE)
        agent.page.keyboard.press("j")
        expect(agent.page.locator("#desk-log")).to_contain_text("is somebody there?")
        agent.page.keyboard.press("t")
        shopper.sees("You are talking to Ada")

        agent.page.keyboard.type("Yes! How can I help?")
        shopper.sees("Ada is typing")
        agent.page.keyboard.press("Enter")
        shopper.sees("How can I help?")
        expect(agent.page.locator(".desk-mark")).to_have_text("Seen", timeout=PATIENCE)

        shopper.page.locator(".box textarea").press_sequentially("My card is 4111 1111 1111 1111", delay=10)
        expect(agent.page.locator("#desk-typing")).to_contain_text("is writing", timeout=PATIENCE)
        shopper.page.keyboard.press("Enter")
        expect(agent.page.locator("#desk-log")).to_contain_text("[card number]", timeout=PATIENCE)
        assert "4111" not in agent.page.content()

        agent.page.keyboard.press("Escape")
        agent.page.keyboard.press("n")
        agent.page.keyboard.type("A secret of the house\n")
        expect(agent.page.locator(".desk-said--note:not(.desk-said--pending)")).to_have_count(1)
        agent.page.keyboard.press("Escape")
        agent.page.keyboard.press("e")
        agent.page.keyboard.press("Enter")
        expect(agent.page.locator("#desk-head")).to_contain_text("Resolved")
        shopper.page.get_by_text("Very good").click()
        shopper.page.get_by_role("button", name="Send rating").click()
        expect(agent.page.locator("#desk-log")).to_contain_text("Rated 5 of 5", timeout=PATIENCE)
        assert "secret of the house" not in shopper.page.locator(".panel").inner_text()
        assert shopper.complaints == []
        shopper.context.close()
    talk = Conversation.objects.get()
    assert (talk.state, talk.assignee) == ("resolved", ada)
    assert Rating.objects.count() == 1
