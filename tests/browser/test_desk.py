"""The agents' desk in a real browser: by keyboard alone, live by its socket and without it, and easy on the eyes."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from apps.chat import conversations
from apps.chat.models import Conversation, Event, Handoff, HandoffRating
from apps.core.models import Scope, User
from apps.core.roles import Role
from apps.escalation import calendars
from apps.escalation.models import CannedReply, RiskFlag, Team
from tests.browser.conftest import Desk
from tests.chat.factories import chat_site, conversation, says, visitor
from tests.core.factories import PASSWORD, ScopeFactory, person

pytestmark = pytest.mark.browser

DESK = "/admin/chat/desk/"
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
CONTRAST = Path(__file__).with_name("contrast.js").read_text()
State = Conversation.State


@pytest.fixture
def scope(site: str) -> Scope:
    return ScopeFactory(name="Nordlicht")


@pytest.fixture
def ada(scope: Scope) -> User:
    return person(Role.SUPPORT_AGENT, scope, username="ada", first_name="Ada", last_name="Lind")


@pytest.fixture
def ben(scope: Scope) -> User:
    return person(Role.SUPPORT_AGENT, scope, username="ben", first_name="Ben", last_name="Okafor")


@pytest.fixture
def talk(scope: Scope) -> Conversation:
    """Mia waits for a person; what was asked of her so far came along."""
    care = Team.objects.create(scope=scope, name="Customer care", calendar=calendars.always())
    site = chat_site(scope, team=care)
    now = timezone.now()
    mia = visitor(site, name="Mia Hansen", email="mia@example.com")
    made = conversation(site, state=State.WAITING, waiting_since=now, visitor=mia, subject="Parcel without news")
    says(made, "Where is my parcel?", at=now)
    says(made, "I am not sure. Shall I ask a person?", author="bot", at=now)
    says(made, "Yes, a person please", at=now)
    Handoff.objects.create(
        conversation=made, context=1, reason="misses", team=care, summary="Order #1042 is late.", transcript_to_seq=3,
        requested_at=now, fields={"order_reference": "#1042"}, missing=["wish"],
    )  # fmt: skip
    return made


def at(of: Conversation) -> str:
    return f"{DESK}{of.public_id}/"


def opened(desk: Callable[..., Desk], user: User, of: Conversation, **window: Any) -> Desk:
    """A person's desk with a conversation open."""
    one = desk(**window)
    one.log_in(user)
    one.open(at(of))
    expect(one.page.locator("#desk-head h2")).to_have_text("Mia Hansen")
    return one


def live(one: Desk) -> None:
    expect(one.page.locator("#desk-live")).to_have_text("Live")


def log(one: Desk) -> Any:
    return one.page.locator("#desk-log")


def test_by_keyboard_alone_from_the_login_to_the_end(desk: Callable[..., Desk], ada: User, talk: Conversation) -> None:
    CannedReply.objects.create(title="Greeting", body="Hello {requester}, I am {agent}.")
    one = desk()
    keys = one.page.keyboard
    one.open("/admin/login/?next=" + DESK)
    keys.type(ada.username)
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    expect(one.page.locator(".desk-row")).to_have_count(1)  # nothing is mine, so it shows who waits

    keys.press("j")
    expect(log(one)).to_contain_text("Where is my parcel?")
    expect(one.page.locator("#desk-head")).to_contain_text("to answer")
    keys.press("t")
    expect(one.page.locator("#desk-head")).to_contain_text("You have it")
    expect(one.page.locator("#desk-text")).to_be_focused()
    keys.press("/")  # in an empty reply: prepared answers
    expect(one.page.locator(".desk-pick")).to_have_count(1)
    keys.press("Enter")
    expect(one.page.locator("#desk-text")).to_have_value("Hello Mia Hansen, I am Ada Lind.")
    keys.press("Enter")
    expect(log(one).locator(".desk-said--agent:not(.desk-said--pending)")).to_contain_text("Hello Mia Hansen")

    keys.press("Escape")
    keys.press("n")
    keys.type("She is kind")
    keys.press("Enter")
    expect(log(one).locator(".desk-said--note:not(.desk-said--pending)")).to_contain_text("She is kind")

    keys.press("Escape")
    keys.press("h")
    keys.press("Space")  # useful
    keys.press("Enter")
    expect(one.page.locator("#desk-side")).to_contain_text("Rated useful")
    keys.press("e")
    keys.press("Enter")
    expect(one.page.locator("#desk-head")).to_contain_text("Resolved")

    talk.refresh_from_db()
    assert (talk.state, talk.resolution, talk.assignee) == (State.RESOLVED, "person", ada)
    assert talk.first_response_at is not None
    assert HandoffRating.objects.get().useful
    assert talk.events.get(kind="note").internal


def test_news_come_by_themselves_and_who_else_is_there_is_seen(
    desk: Callable[..., Desk], ada: User, ben: User, talk: Conversation
) -> None:
    conversations.take(talk.pk, ada, None, timezone.now())
    one, other = opened(desk, ada, talk), opened(desk, ben, talk)
    live(one)
    live(other)
    says(talk, "Are you there?", at=timezone.now())
    for window in (one, other):
        expect(log(window)).to_contain_text("Are you there?", timeout=2500)
    expect(one.page.locator(".desk-viewer")).to_have_text("Ben is looking")
    other.page.keyboard.press("n")
    other.page.keyboard.type("I know")
    expect(one.page.locator(".desk-viewer")).to_have_text("Ben is writing")
    other.page.keyboard.press("Enter")
    expect(log(one)).to_contain_text("I know")
    one.page.keyboard.press("r")
    one.page.keyboard.type("I am here\n")
    expect(log(other)).to_contain_text("I am here")
    assert talk.events.filter(author="agent").count() == 2


def test_without_sockets_it_looks_by_itself(desk: Callable[..., Desk], ada: User, talk: Conversation) -> None:
    one = desk()
    one.context.add_init_script("delete window.WebSocket")
    one.log_in(ada)
    one.open(at(talk))
    expect(log(one)).to_contain_text("Where is my parcel?")
    says(talk, "Still there?", at=timezone.now())
    expect(log(one)).to_contain_text("Still there?", timeout=6000)
    expect(one.page.locator("#desk-banner")).to_be_visible(timeout=6000)
    one.page.keyboard.press("t")
    one.page.keyboard.type("Yes\n")
    expect(log(one).locator(".desk-said--agent:not(.desk-said--pending)")).to_contain_text("Yes")


def test_what_is_written_offline_arrives_once(desk: Callable[..., Desk], ada: User, talk: Conversation) -> None:
    conversations.take(talk.pk, ada, None, timezone.now())
    one = opened(desk, ada, talk)
    live(one)
    one.context.set_offline(True)
    one.page.keyboard.press("r")
    one.page.keyboard.type("First\nSecond\n")
    expect(log(one).locator(".desk-said--pending")).to_have_count(2)
    expect(log(one)).to_contain_text("trying again")
    one.context.set_offline(False)
    expect(log(one).locator(".desk-said--pending")).to_have_count(0, timeout=15000)
    said = list(talk.events.filter(author=Event.Author.AGENT).order_by("seq").values_list("text", flat=True))
    assert said == ["First", "Second"]
    one.complaints[:] = [text for text in one.complaints if "ERR_INTERNET_DISCONNECTED" not in text]


def test_of_two_who_take_it_the_second_is_told(
    desk: Callable[..., Desk], ada: User, ben: User, talk: Conversation
) -> None:
    one = desk()
    one.context.add_init_script("delete window.WebSocket")
    one.log_in(ada)
    one.open(at(talk))
    expect(one.page.locator("#desk-head")).to_contain_text("Waiting")
    # Taken between the look and the key: the page still shows what was.
    one.page.route("**/events/**", lambda route: route.abort())
    conversations.take(talk.pk, ben, None, timezone.now())
    one.page.keyboard.press("t")
    expect(one.page.locator(".desk-toast")).to_contain_text("Somebody changed this conversation")
    one.page.unroute("**/events/**")
    expect(one.page.locator("#desk-head")).to_contain_text("With Ben", timeout=6000)
    one.complaints[:] = [text for text in one.complaints if "409" not in text and "ERR_FAILED" not in text]


def test_a_risk_is_flagged_in_two_clicks(desk: Callable[..., Desk], ada: User, talk: Conversation) -> None:
    one = opened(desk, ada, talk)
    with one.page.context.expect_page() as opening:  # a page of its own: what was being written here stays
        one.page.click("[data-do=flag]")
    form = opening.value
    form.wait_for_url("**/raise/**")
    assert "Order #1042 is late." in form.content()
    form.click("form[data-once] [type=submit]")
    form.wait_for_url("**/riskflag/*/change/")
    assert RiskFlag.objects.get().source == f"conversation:{talk.pk}"
    form.close()
    expect(log(one)).to_contain_text("Raised a risk flag")
    expect(one.page.locator("#desk-side")).to_contain_text("Risk flags")


def test_it_is_given_on_to_a_team_with_a_note(desk: Callable[..., Desk], ada: User, talk: Conversation) -> None:
    billing = Team.objects.create(scope=ScopeFactory(), name="Billing", calendar=calendars.always())
    one = opened(desk, ada, talk)
    keys = one.page.keyboard
    keys.press("g")
    expect(one.page.locator(".desk-pick").first).to_contain_text("Billing")
    keys.type("bill")
    expect(one.page.locator(".desk-pick")).to_have_count(1)
    keys.press("Enter")
    keys.type("Charged twice")
    keys.press("Enter")
    expect(log(one)).to_contain_text("goes on with Billing")
    expect(log(one).locator(".desk-said--note")).to_contain_text("Charged twice")
    talk.refresh_from_db()
    assert (talk.team, talk.state) == (billing, State.WAITING)


def test_markup_of_customers_stays_text(desk: Callable[..., Desk], ada: User, talk: Conversation) -> None:
    says(talk, "<img src=x onerror=alert(1)><script>alert(1)</script>", at=timezone.now())
    one = opened(desk, ada, talk)
    expect(log(one)).to_contain_text("<img src=x onerror=alert(1)>")
    assert log(one).locator("img, script").count() == 0


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 390)])
def test_it_can_be_read_and_operated(
    desk: Callable[..., Desk], ada: User, talk: Conversation, theme: str, width: int
) -> None:
    conversations.note(talk.pk, ada, text="A note", client_id=talk.public_id, now=timezone.now())
    one = opened(desk, ada, talk, theme=theme, width=width)
    expect(log(one)).to_contain_text("A note")
    states = {
        "open": lambda: None,
        "help": lambda: one.page.keyboard.press("?"),
        "list": lambda: one.page.goto(one.site + DESK),
    }
    for name, reach in states.items():
        reach()
        one.page.wait_for_timeout(250)
        assert one.overflow() == 0, name
        assert one.page.evaluate(CONTRAST) == {}, name
        one.page.evaluate(AXE)
        found = one.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        grave = [
            (f["id"], [node["html"][:120] for node in f["nodes"]])
            for f in found["violations"]
            if f["impact"] in ("serious", "critical")
        ]
        assert grave == [], name
        one.page.keyboard.press("Escape")


def test_on_a_phone_one_thing_is_shown_at_a_time(desk: Callable[..., Desk], ada: User, talk: Conversation) -> None:
    one = desk(width=390)
    one.log_in(ada)
    one.open(DESK)
    one.page.click(".desk-row")
    expect(one.page.locator("#desk-log")).to_be_visible()
    expect(one.page.locator(".desk-lists")).to_be_hidden()
    one.page.click(".desk-more-button")
    expect(one.page.locator("#desk-side")).to_contain_text("Mia Hansen")
    one.page.click(".desk-side__head button")
    one.page.go_back()
    expect(one.page.locator(".desk-lists")).to_be_visible()
