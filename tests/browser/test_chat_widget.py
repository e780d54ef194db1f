"""The chat on a page of another origin, under a strict policy, in a real browser against the real server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from PIL import Image
from playwright.sync_api import Browser, expect

from apps.chat import conversations, identity, live, tasks
from apps.chat.bot import turns
from apps.chat.bot.owing import PAUSE
from apps.chat.models import ChatSession, ChatSite, Conversation, Rating, TranscriptMail, Verification
from apps.core.models import User
from apps.core.roles import Role
from apps.escalation.models import Member, OpenHours
from tests.browser.shop import Shopper, shop
from tests.chat.factories import chat_site
from tests.core.factories import ScopeFactory, person
from tests.escalation.factories import calendar, team
from tests.orders.factories import OrderFactory, StoreFactory

pytestmark = pytest.mark.browser

Visit = Callable[..., Shopper]


@pytest.fixture
def place(site: str) -> Iterator[str]:
    """The shop, which may carry a chat. Its key is new each time, for the server remembers sites for a while."""
    made = chat_site(
        ScopeFactory(), name="Nordlicht", greeting="Hello!", quick_replies=["Where is my order?"], has_bot=False
    )
    with shop(site, made.key) as origin:
        ChatSite.objects.update(allowed_origins=[origin])
        yield origin


@pytest.fixture
def visit(browser: Browser, place: str) -> Iterator[Visit]:
    """Come to the shop: ``visit(width=390, theme="dark")``. The test fails if any page broke the policy."""
    came: list[Shopper] = []

    def make(*, width: int = 1280, theme: str = "light") -> Shopper:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme)  # type: ignore[arg-type]
        came.append(Shopper(place, context))
        return came[-1]

    yield make
    for one in came:
        one.context.close()
    assert [complaint for one in came for complaint in one.complaints] == []


@pytest.fixture
def ada(place: str) -> User:
    return person(Role.SUPPORT_AGENT, ChatSite.objects.get().scope, first_name="Ada", username="ada")


def taken_by(user: User) -> Conversation:
    return conversations.take(Conversation.objects.get().pk, user, None, timezone.now())


def replies(user: User, text: str) -> None:
    conversations.reply(Conversation.objects.get().pk, user, text=text, client_id=uuid4(), now=timezone.now())


def serious(shopper: Shopper) -> list[str]:
    found = Axe().run(shopper.page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found if one["impact"] in ("serious", "critical")
    ]


def test_customer_and_agent_talk(visit: Visit, ada: User) -> None:
    """By keyboard alone, with who it is, typing and reading shown to each other."""
    shopper = visit()
    shopper.visit()
    page = shopper.page
    page.locator(".launcher").wait_for()
    assert not ChatSession.objects.exists()  # whoever only looks at the page leaves nothing

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    shopper.sees("Hello!")
    page.keyboard.type("My card is 4111 1111 1111 1111,")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("where is my parcel?")
    page.keyboard.press("Enter")
    shopper.sees("[card number]")
    shopper.sees("we removed a card number")

    here = taken_by(ada)
    shopper.sees("You are talking to Ada")
    conversations.read(here.pk, ada, here.seq)
    live.read(here, by="staff", seq=here.seq)
    expect(page.locator(".own .state").last).to_contain_text("Read")
    live.typing(here, who="agent", name="Ada", on=True)
    shopper.sees("Ada is typing")
    replies(ada, "It left us this morning: https://post.example.com/1")
    expect(page.locator(".typing")).to_be_hidden()
    expect(page.locator(".bubble a")).to_have_attribute("rel", "noopener noreferrer")
    assert shopper.said()[0].endswith("[card number],\nwhere is my parcel?")
    assert serious(shopper) == []

    page.keyboard.press("Escape")
    expect(page.locator(".panel")).to_be_hidden()
    replies(ada, "Anything else?")
    expect(page.locator(".badge")).to_have_text("1")
    page.keyboard.press("Enter")  # the button has the focus again
    shopper.sees("Anything else?")
    expect(page.locator(".badge")).to_be_hidden()


def test_nothing_is_lost_without_network_and_over_reloads_and_tabs(visit: Visit, ada: User) -> None:
    shopper = visit()
    shopper.opens()
    shopper.goes("socket")
    shopper.says("one")
    shopper.sees("Sent")

    shopper.loses_network()
    shopper.goes("offline")
    shopper.says("two")
    shopper.says("three")
    shopper.sees("Will be sent when you are connected")
    taken_by(ada)
    replies(ada, "meanwhile")
    shopper.finds_network()
    shopper.sees("meanwhile")
    shopper.goes("socket")
    shopper.gets_through()
    assert shopper.said() == ["one", "meanwhile", "two", "three"]

    shopper.page.locator(".box textarea").fill("a draft")
    shopper.page.reload()
    shopper.sees("one")  # and the panel is open
    assert shopper.said() == ["one", "meanwhile", "two", "three"]
    expect(shopper.page.locator(".box textarea")).to_have_value("a draft")

    other = shopper.tab()
    shopper.cut = True  # this tab only asks now and then, and has what the first one sends and learns all the same
    shopper.visit(page=other)
    other.locator(".launcher").click()
    shopper.sees("three", other)
    shopper.says("four")
    shopper.sees("four", other)
    shopper.gets_through(other)
    assert shopper.said(other) == ["one", "meanwhile", "two", "three", "four"]
    said = Conversation.objects.get().events.filter(author="customer").values_list("text", flat=True)
    assert list(said) == ["one", "two", "three", "four"]
    assert ChatSession.objects.count() == 1


def test_polls_while_sockets_fail_and_goes_back(visit: Visit, ada: User) -> None:
    shopper = visit()
    shopper.cut_sockets()
    shopper.opens()
    shopper.goes("polling")
    shopper.sees("The connection is slow")
    shopper.says("Hello?")
    shopper.sees("Sent")
    taken_by(ada)
    replies(ada, "Here I am.")
    shopper.sees("Here I am.")
    shopper.sees("You are talking to Ada")

    shopper.cut = False
    shopper.page.evaluate("window.dispatchEvent(new Event('online'))")
    shopper.goes("socket")
    expect(shopper.page.locator(".banner")).to_be_hidden()
    replies(ada, "And now by socket.")
    shopper.sees("And now by socket.")
    assert shopper.said() == ["Hello?", "Here I am.", "And now by socket."]


def test_waits_as_long_as_the_server_says_and_notices_a_dead_socket(visit: Visit) -> None:
    shopper = visit()
    shopper.refusal = (4429, "2")
    shopper.opens()
    shopper.goes("socket")
    first, second = shopper.came
    assert second - first >= 2

    shopper.mute = True  # open to both sides, and nothing gets through: as after a laptop slept
    shopper.page.evaluate("window.dispatchEvent(new Event('focus'))")
    shopper.says("Is anybody there?")
    shopper.goes("connecting")
    shopper.mute = False
    shopper.goes("socket")
    shopper.sees("Sent")
    assert shopper.said() == ["Is anybody there?"]


def test_rates_a_conversation_that_has_ended(visit: Visit, ada: User) -> None:
    shopper = visit(width=390, theme="dark")
    shopper.opens("language=de")
    shopper.sees("Hallo! Wie können wir helfen?")  # the site's own greeting is in English
    shopper.page.get_by_role("button", name="Mit einem Menschen sprechen").click()
    shopper.sees("Gesendet")
    here = taken_by(ada)
    conversations.resolve(here.pk, ada, seen_version=None, now=timezone.now())

    shopper.sees("Wie war es?")
    shopper.page.get_by_text("Sehr gut").click()
    shopper.page.get_by_label("Möchten Sie uns noch etwas sagen?").fill("Schnell!")
    assert serious(shopper) == []
    shopper.page.get_by_role("button", name="Bewertung senden").click()
    shopper.sees("Danke")
    shopper.sees("Ihre Bewertung: Sehr gut")

    rating = Rating.objects.get()
    assert (rating.score, rating.comment, rating.resolved_by) == (5, "Schnell!", "person")
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert shopper.page.evaluate(width) <= 0


def bot_answers(shopper: Shopper) -> None:
    """Let the bot answer as soon as it owes something; workers do this elsewhere."""
    shopper.gets_through()
    deadline = time.monotonic() + 10
    while not turns.answer_due(timezone.now() + PAUSE):
        assert time.monotonic() < deadline, "the bot owes no answer"
        time.sleep(0.05)


def test_bot_looks_up_an_order_for_whom_it_belongs_to_and_hands_over(visit: Visit, ada: User, mailoutbox: Any) -> None:
    scope = ChatSite.objects.get().scope
    always = calendar("UTC", ((0, 1440),))
    for weekday in (5, 6):
        OpenHours.objects.create(calendar=always, weekday=weekday, opens=0, closes=1440)
    crew = team(scope, always)
    Member.objects.create(team=crew, user=ada)
    ChatSite.objects.update(has_bot=True, team=crew)
    OrderFactory(store=StoreFactory(scope=scope), number="#1042", email="kim@example.com", synced_at=timezone.now())
    shopper = visit(width=390)
    shopper.opens()
    field = shopper.page.locator(".box textarea")

    shopper.page.get_by_role("button", name="Where is my order?").click()
    bot_answers(shopper)
    shopper.sees("What is the number of your order?")
    expect(field).to_have_attribute("placeholder", "Number")
    shopper.says("1042")
    bot_answers(shopper)
    shopper.sees("Which e-mail address did you use")
    shopper.says("kim@example.com")
    shopper.sees("not shown in the chat")
    bot_answers(shopper)
    shopper.sees("Please type the code here")
    expect(field).to_have_attribute("autocomplete", "one-time-code")
    tasks.send_code(Verification.objects.get().pk)
    (mail,) = mailoutbox
    assert mail.to == ["kim@example.com"]
    code = re.search(r"\b\d{6}\b", mail.body)
    assert code
    shopper.says(code[0])
    bot_answers(shopper)
    shopper.sees("1042")
    expect(shopper.page.locator(".theirs .bubble").last).to_contain_text("1042")
    assert code[0] not in "".join(shopper.said())

    shopper.says("I want to talk to a person please.")
    bot_answers(shopper)
    shopper.sees("Looking for somebody for you")
    shopper.sees("You are next.")
    taken_by(ada)
    replies(ada, "Hello, Ada here.")
    shopper.sees("You are talking to Ada")
    shopper.sees("Hello, Ada here.")


def test_sends_a_file_and_has_the_transcript_sent(visit: Visit, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    shopper = visit()
    shopper.opens()
    shopper.goes("socket")
    picture = BytesIO()
    Image.new("RGB", (320, 200), "#23584a").save(picture, "PNG")
    chosen = {"name": "parcel.png", "mimeType": "image/png", "buffer": picture.getvalue()}
    shopper.page.locator(".box input[type=file]").set_input_files(chosen)
    shopper.sees("parcel.png")
    picture_shown = shopper.page.locator("canvas.picture")
    expect(picture_shown).to_have_attribute("width", "320")
    expect(picture_shown).to_have_accessible_name("parcel.png")
    with shopper.page.expect_download() as saved:
        shopper.page.get_by_role("button", name="Download parcel.png").click()
    assert saved.value.suggested_filename == "parcel.png"
    shopper.page.locator(".box input[type=file]").set_input_files(
        {**chosen, "name": "x.exe", "mimeType": "application/x-dosexec"}
    )
    shopper.sees("Files of this type cannot be sent: x.exe")

    shopper.page.get_by_role("button", name="More").click()
    shopper.page.keyboard.press("Enter")  # the first item has the focus
    shopper.page.get_by_label("Your e-mail address").fill("kim@example.com")
    assert serious(shopper) == []
    shopper.page.keyboard.press("Enter")
    shopper.sees("The transcript is on its way.")
    assert TranscriptMail.objects.count() == 1


def test_stands_on_the_other_side_of_a_page_from_the_right(visit: Visit) -> None:
    shopper = visit()
    shopper.opens("dir=rtl")
    shopper.says("שלום, מה שלומכם?")
    shopper.sees("שלום")

    button = shopper.page.locator(".launcher").bounding_box()
    assert button
    assert button["x"] < 100
    assert serious(shopper) == []


def test_the_page_says_who_it_is(visit: Visit) -> None:
    """One conversation on all devices of its user, and nothing of it for who comes next."""
    ChatSite.objects.update(identity_secret="of the shop")
    ends = timezone.now().timestamp() + 600
    anna, tom = (identity.sign("of the shop", {"id": name, "name": name, "exp": ends}) for name in ("Anna", "Tom"))
    desktop, phone = visit(), visit(width=390)
    desktop.opens()
    desktop.says("still nobody")
    desktop.sees("Sent")
    desktop.page.evaluate("signed => RiskdeskChat.identify(signed)", anna)
    desktop.page.wait_for_function("Object.values(localStorage).some(kept => kept.includes('identity\":\"e'))")

    phone.opens(f"identity={anna}")
    phone.sees("still nobody")
    phone.says("from the phone")
    desktop.sees("from the phone")

    desktop.page.evaluate("signed => RiskdeskChat.identify(signed)", tom)
    expect(desktop.page.locator(".own")).to_have_count(0)
    desktop.says("Tom here")
    desktop.sees("Sent")
    assert desktop.said() == ["Tom here"]
    other = desktop.tab()
    desktop.visit(f"identity={tom}", page=other)
    other.locator(".launcher").click()
    desktop.sees("Tom here", other)
    desktop.page.evaluate("RiskdeskChat.forget()")
    expect(desktop.page.locator(".panel")).to_be_hidden()
    expect(other.locator(".panel")).to_be_hidden()
    expect(other.locator(".own")).to_have_count(0)
    assert desktop.page.evaluate("Object.keys(localStorage).filter(key => localStorage[key].includes('Tom'))") == []
    assert Conversation.objects.count() == 2


def test_a_page_of_its_own(visit: Visit, site: str) -> None:
    shopper = visit(width=390, theme="dark")
    shopper.page.goto(f"{site}/chat/{ChatSite.objects.get().key}/")
    shopper.sees("Hello!")
    shopper.says("From a link in a mail")
    shopper.sees("Sent")

    assert shopper.page.get_by_role("heading", level=1).inner_text() == "Nordlicht"
    assert shopper.page.get_by_role("button", name="Close chat").count() == 0
    assert serious(shopper) == []


def test_is_not_there_on_pages_of_other_origins(visit: Visit, site: str) -> None:
    ChatSite.objects.update(allowed_origins=["https://elsewhere.example.com"])
    shopper = visit()
    with shopper.page.expect_console_message(lambda message: "does not allow" in message.text):
        shopper.visit()

    assert shopper.page.locator("riskdesk-chat").count() == 0


def test_a_first_visitor_is_told_that_the_chat_is_away(visit: Visit) -> None:
    shopper = visit()
    shopper.cut = True
    shopper.context.route(re.compile("/chat/[^/]+/(config|session|events)"), lambda route: route.abort())
    shopper.opens()
    shopper.sees("The chat is away")
    shopper.says("Is somebody there?")

    shopper.context.unroute_all()
    shopper.cut = False
    shopper.sees("Hello!")
    shopper.sees("Sent")
    assert Conversation.objects.get().events.filter(author="customer").count() == 1


def test_polling_tells_that_the_visitor_types(visit: Visit, site: str) -> None:
    shopper = visit()
    shopper.cut = True
    shopper.opens()
    shopper.goes("polling")
    with shopper.page.expect_request("**/typing") as told:
        shopper.page.locator(".box textarea").press_sequentially("Hm")
    assert told.value.post_data_json == {"on": True}
