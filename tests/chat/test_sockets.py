"""The widget's socket: whom it lets in, what it takes, and in which order everybody gets it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from apps.chat import live
from apps.chat.models import BotTurn, ChatSession, ChatSite, Conversation, Event, Visitor
from apps.chat.saying import say
from apps.chat.sessions import end_session
from apps.chat.sockets import connection as connections
from apps.chat.sockets.drain import say_goodbye
from apps.chat.sockets.hub import Hub, hub
from config import urls
from tests.chat.factories import chat_site, says
from tests.chat.sockets import SHOP, Socket, handed_out, opened, spoken

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> ChatSite:
    return chat_site(key="shop", allowed_origins=[SHOP])


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    """Each test has a process of its own, as far as limits and known sites go."""
    urls.public_websocket_urlpatterns[0].callback.__init__()  # type: ignore[misc]


# Who is let in


def test_a_hello_opens_the_conversation(site) -> None:
    session = opened(site)
    says(session.conversation, "before")

    async def play() -> None:
        tab = Socket()
        ready = await tab.hello(session.token)
        assert (ready["type"], ready["seq"], ready["state"]) == ("ready", 1, "bot")
        assert ready["config"]["name"] == site.name
        events = await tab.get("events")
        assert ([each["text"] for each in events["events"]], events["after"], events["seq"]) == (["before"], 0, 1)
        assert (await tab.get("status"))["state"] == "bot"
        await tab.leave()

    spoken(play)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", None])
def test_a_foreign_page_is_refused_before_anything_is_believed(site, origin) -> None:
    session = opened(site)

    async def play() -> dict[str, Any]:
        return await Socket(origin=origin).hello(session.token)

    assert spoken(play)["code"] == 4403


def test_our_own_pages_are_let_in(site) -> None:
    session = opened(site)

    async def play() -> dict[str, Any]:
        return await Socket(origin="http://localhost").hello(session.token)

    assert spoken(play)["type"] == "ready"


def test_no_such_site(site) -> None:
    async def play() -> dict[str, Any]:
        return await Socket(site="nowhere").hello("x")

    assert spoken(play)["code"] == 4404


def spoil(session, how: str) -> str:
    """A token that is not good."""
    if how == "ended":
        end_session(session.session, timezone.now())
    elif how == "expired":
        ChatSession.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif how == "erased":
        Visitor.objects.update(erased_at=timezone.now())
    elif how == "other site":
        return opened(chat_site(key="other", allowed_origins=[SHOP])).token
    return {"wrong": "A" * 43, "empty": "", "short": session.token[:-1]}.get(how, session.token)


@pytest.mark.parametrize("how", ["wrong", "empty", "short", "ended", "expired", "erased", "other site"])
def test_a_token_that_opens_nothing(site, how) -> None:
    token = spoil(opened(site), how)

    async def play() -> dict[str, Any]:
        return await Socket().hello(token)

    assert spoken(play)["code"] == 4401


@pytest.mark.parametrize(
    "frame",
    ["", "x", "[]", "{}", '{"type": 1}', '{"type": "message"}', '{"type": "hello", "protocol": 2, "token": "x", "after": 0}',
     '{"type": "hello", "protocol": 1, "token": 7, "after": 0}', '{"type": "hello", "protocol": 1, "token": "x", "after": -1}',
     "[" * 20_000],
)  # fmt: skip
def test_what_is_no_hello(site, frame) -> None:
    async def play() -> dict[str, Any]:
        tab = Socket()
        await tab.connect()
        await tab.send(frame)
        return await tab.get()

    assert spoken(play)["code"] == 4400


def test_who_says_nothing_is_not_waited_for(site, monkeypatch) -> None:
    monkeypatch.setattr("apps.chat.consumers.HELLO_SECONDS", 0.05)

    async def play() -> dict[str, Any]:
        tab = Socket()
        await tab.connect()
        return await tab.get()

    assert spoken(play)["code"] == 4408


# What is said


def test_a_message_is_acknowledged_and_reaches_the_other_tab(site) -> None:
    session = opened(site)

    async def play() -> None:
        here, there = Socket(), Socket()
        await here.hello(session.token)
        await there.hello(session.token)
        key = await here.says("Hello, my card is 4111 1111 1111 1111")
        ack, news = await here.get("ack"), await there.get("events")
        assert (ack["client_msg_id"], ack["seq"], ack["event"]["client_id"]) == (key, 1, key)
        assert "4111" not in ack["event"]["text"]
        assert ack["event"]["data"]["masked"] == [{"kind": "card", "count": 1}]
        assert (news["events"], news["after"], news["seq"]) == ([ack["event"]], 0, 1)
        assert await here.quiet()

    spoken(play)
    assert Event.objects.get().text.startswith("Hello")


def test_the_same_message_again_is_stored_once_and_acknowledged_again(site) -> None:
    session = opened(site)

    async def play() -> None:
        tab = Socket()
        await tab.hello(session.token)
        key = await tab.says("once")
        first = await tab.get("ack")
        await tab.says("once", key)
        assert await tab.get("ack") == first
        await tab.says("together")
        await tab.says("once", key)
        assert [(await tab.get("ack"))["seq"] for _ in range(2)] == [2, 1]

    spoken(play)
    assert Event.objects.count() == 2


def test_the_bot_owes_an_answer_to_each_message_and_none_to_one_sent_again(site) -> None:
    session = opened(site)

    async def play() -> None:
        tab = Socket()
        await tab.hello(session.token)
        key = await tab.says("Where do you deliver to?")
        await tab.get("ack")
        await tab.says("Where do you deliver to?", key)
        await tab.get("ack")

    spoken(play)
    assert handed_out == [(session.conversation.pk, 0.0)]
    assert BotTurn.objects.get().up_to_seq == 1


def test_what_was_stored_and_never_told_is_told_when_it_is_sent_again(site) -> None:
    session = opened(site)
    key = uuid4()

    async def play() -> None:
        here, there = Socket(), Socket()
        await here.hello(session.token)
        await there.hello(session.token)
        await there.get("status")
        await sync_to_async(says)(session.conversation, "once", client_id=key)  # and its process dies
        await here.says("once", str(key))
        assert (await here.get("ack"))["seq"] == 1
        assert (await there.get("events"))["events"][0]["client_id"] == str(key)

    spoken(play)
    assert Event.objects.count() == 1


def test_messages_keep_the_order_in_which_they_were_sent(site) -> None:
    session = opened(site)
    words = [f"number {n}" for n in range(10)]

    async def play() -> list[str]:
        tab = Socket()
        await tab.hello(session.token)
        for each in words:
            await tab.says(each)
        return [(await tab.get("ack"))["event"]["text"] for _ in words]

    assert spoken(play) == words
    assert list(Event.objects.order_by("seq").values_list("text", flat=True)) == words
    assert Conversation.objects.get().turn == 10


@pytest.mark.parametrize(
    ("text", "code"), [(" ", "empty_message"), ("x" * 4_001, "message_too_long"), ("\0", "empty_message")]
)
def test_what_is_no_message_is_refused_by_its_id(site, text, code) -> None:
    session = opened(site)

    async def play() -> None:
        tab = Socket()
        await tab.hello(session.token)
        key = await tab.says(text)
        refused = await tab.get("refused")
        assert (refused["client_msg_id"], refused["code"]) == (key, code)
        await tab.says("fine")
        assert (await tab.get("ack"))["seq"] == 1

    spoken(play)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "message", "text": "x"}, 4400),
        ({"type": "message", "client_msg_id": "1", "text": "x"}, 4400),
        ({"type": "message", "client_msg_id": str(uuid4()).upper(), "text": "x"}, 4400),
        ({"type": "message", "client_msg_id": str(uuid4()), "text": 1}, 4400),
        ({"type": "message", "client_msg_id": str(uuid4()), "text": "x", "data": {"answer": 1}}, 4400),
        ({"type": "read", "seq": "1"}, 4400),
        ({"type": "got", "seq": -1}, 4400),
        ({"type": "after"}, 4400),
        ({"type": "typing"}, 4400),
        ({"type": "resolve"}, 4400),
        ("x" * 33_000, 4413),
    ],
)
def test_a_frame_that_cannot_be_read_ends_the_socket(site, frame, code) -> None:
    session = opened(site)

    async def play() -> dict[str, Any]:
        tab = Socket()
        await tab.hello(session.token)
        await tab.send(frame)
        return await tab.get("close")

    assert spoken(play)["code"] == code
    assert not Event.objects.exists()


def test_each_message_asks_the_session_again(site, monkeypatch) -> None:
    session = opened(site)

    async def nothing(_hub: Hub) -> None:
        """The sweep would find it too."""

    monkeypatch.setattr(Hub, "_look_around", nothing)

    async def play() -> None:
        tab = Socket()
        await tab.hello(session.token)
        await sync_to_async(end_session)(session.session, timezone.now())
        await tab.says("still there?")
        assert (await tab.get("refused"))["code"] == "session_over"
        assert (await tab.get("close"))["code"] == 4401

    spoken(play)
    assert not Event.objects.exists()


def test_a_socket_whose_session_ended_is_found_by_the_sweep(site) -> None:
    session = opened(site)

    async def play() -> dict[str, Any]:
        tab = Socket()
        await tab.hello(session.token)
        await sync_to_async(end_session)(session.session, timezone.now())
        hub().wake()
        return await tab.get("close")

    assert spoken(play)["code"] == 4401


def test_a_customer_sees_nothing_of_another_conversation_nor_private_notes(site) -> None:
    mine, other = opened(site), opened(site)

    async def play() -> None:
        tab, theirs = Socket(), Socket()
        await tab.hello(mine.token)
        await theirs.hello(other.token)
        await theirs.says("theirs")
        await theirs.get("ack")
        note = sync_to_async(say)
        await note(
            conversation_id=mine.conversation.pk, author="agent", text="private", now=timezone.now(), internal=True
        )
        hub().rooms[mine.conversation.pk].hinted(1)
        news = await tab.get("events")
        assert (news["events"], news["seq"]) == ([], 1)
        await tab.says("mine")
        assert (await tab.get("ack"))["seq"] == 2
        assert await tab.quiet()

    spoken(play)


def test_who_speaks_after_the_end_begins_a_new_context(site) -> None:
    session = opened(site)
    Conversation.objects.update(state="resolved", resolved_at=timezone.now(), resolution="person")

    async def play() -> None:
        tab = Socket()
        await tab.hello(session.token)
        await tab.says("again")
        news = {"events": [], "ack": None}
        while not (news["events"] and news["ack"]):
            frame = await tab.get()
            if frame["type"] == "ack":
                news["ack"] = frame
            elif frame["type"] == "events":
                news["events"] += [each["kind"] for each in frame["events"]]
        assert news["events"] == ["state", "message"]

    spoken(play)
    assert Conversation.objects.get().context == 2


# What is missing is read


def test_news_of_others_come_by_a_hint_and_without_one(site) -> None:
    session = opened(site)

    async def play() -> None:
        tab = Socket()
        await tab.hello(session.token)
        speak, conversation = sync_to_async(says), session.conversation
        await speak(conversation, "first", "bot")
        await sync_to_async(live.hint)(conversation, ["message"])
        assert (await tab.get("events"))["events"][0]["text"] == "first"
        await speak(conversation, "second", "bot")  # and nobody tells
        hub().wake()
        assert (await tab.get("events"))["events"][0]["text"] == "second"

    spoken(play)


def test_a_gap_is_filled_when_the_page_asks(site) -> None:
    session = opened(site)
    for n in range(3):
        says(session.conversation, str(n))

    async def play() -> None:
        tab = Socket()
        await tab.hello(session.token, after=3)
        await tab.send({"type": "after", "seq": 1})
        news = await tab.get("events")
        assert ([each["text"] for each in news["events"]], news["after"]) == (["1", "2"], 1)

    spoken(play)


def test_a_long_history_comes_in_pages(site, monkeypatch) -> None:
    monkeypatch.setattr("apps.chat.reading.news_after.__defaults__", (4,))
    session = opened(site)
    for n in range(10):
        says(session.conversation, str(n))

    async def play() -> list[str]:
        tab = Socket()
        await tab.hello(session.token)
        got: list[str] = []
        while len(got) < 10:
            got += [each["text"] for each in (await tab.get("events"))["events"]]
        return got

    assert spoken(play) == [str(n) for n in range(10)]


def test_a_slow_reader_is_left_behind_and_loses_nothing(site, monkeypatch) -> None:
    session = opened(site)

    async def play() -> list[int]:
        tab, other = Socket(), Socket()
        await tab.hello(session.token)
        await tab.get("status")
        await other.hello(session.token)
        slow = hub().rooms[session.conversation.pk].sockets[0]
        monkeypatch.setattr(connections, "MOST_FRAMES", 0)
        await other.send({"type": "ping"})
        slow.give(9, "too much")
        assert slow.lags
        monkeypatch.undo()
        await other.says("one")
        await other.get("ack")
        assert slow.tell("pong")  # it has taken what waited, and is served from the database
        return [each["seq"] for each in (await tab.get("events"))["events"]]

    assert spoken(play) == [1]


# What is not stored


def test_typing_and_reading_of_staff_are_shown(site) -> None:
    session = opened(site)
    says(session.conversation, "one")

    async def play() -> None:
        tab = Socket()
        await tab.hello(session.token)
        await tab.get("status")
        while hub().blind:
            await sync_to_async(lambda: None)()
        await sync_to_async(live.typing)(session.conversation, who="agent", name="Ada", on=True)
        assert await tab.get("typing") == {"type": "typing", "who": "agent", "name": "Ada", "on": True}
        await sync_to_async(live.typing)(session.conversation, who="customer", name="", on=True)
        await sync_to_async(live.read)(session.conversation, by="staff", seq=1)
        assert await tab.get() == {"type": "read", "by": "staff", "seq": 1}

    spoken(play)


def test_what_the_customer_got_and_read_is_noted(site) -> None:
    session = opened(site)
    says(session.conversation, "one")

    async def play() -> None:
        tab = Socket()
        await tab.hello(session.token)
        for frame in (
            {"type": "got", "seq": 1},
            {"type": "read", "seq": 1},
            {"type": "typing", "on": True},
            {"type": "ping"},
        ):
            await tab.send(frame)
        await tab.get("pong")
        await tab.says("two")
        await tab.get("ack")

    spoken(play)
    kept = Conversation.objects.get()
    assert (kept.customer_got_seq, kept.customer_read_seq) == (1, 1)


# Limits and the end


def test_too_many_messages_are_told_when_to_come_back(site, settings) -> None:
    settings.CHAT_SOCKET_LIMITS = settings.CHAT_SOCKET_LIMITS | {"messages": (2, 0.5)}
    session = opened(site)

    async def play() -> None:
        tab = Socket()
        await tab.hello(session.token)
        for n in range(2):
            await tab.says(str(n))
            await tab.get("ack")
        key = await tab.says("one too many")
        refused = await tab.get("refused")
        assert (refused["client_msg_id"], refused["code"], refused["retry_after"]) == (key, "rate_limited", 2)

    spoken(play)


@pytest.mark.parametrize("limit", ["network_sockets", "open_of_network", "open_of_session"])
def test_too_many_sockets_are_told_when_to_come_back(site, settings, limit) -> None:
    settings.CHAT_SOCKET_LIMITS = settings.CHAT_SOCKET_LIMITS | {limit: (1, 0.01) if limit == "network_sockets" else 1}
    session = opened(site)

    async def play() -> dict[str, Any]:
        first, second = Socket(), Socket()
        assert (await first.hello(session.token))["type"] == "ready"
        return await second.hello(session.token)

    closed = spoken(play)
    assert closed["code"] == 4429
    assert int(closed["reason"]) > 0


def test_a_flood_of_frames_ends_the_socket(site, settings) -> None:
    settings.CHAT_SOCKET_LIMITS = settings.CHAT_SOCKET_LIMITS | {"frames": (5, 0.1)}
    session = opened(site)

    async def play() -> dict[str, Any]:
        tab = Socket()
        await tab.hello(session.token)
        for _ in range(6):
            await tab.send({"type": "ping"})
        return await tab.get("close")

    assert spoken(play)["code"] == 4429


def test_who_leaves_is_forgotten(site) -> None:
    session = opened(site)

    async def play() -> tuple[int, int]:
        tab = Socket()
        await tab.hello(session.token)
        there = len(hub().rooms)
        await tab.leave()
        return there, len(hub().rooms)

    assert spoken(play) == (1, 0)


def test_going_away_is_said_before_the_end(site) -> None:
    session = opened(site)

    async def play() -> dict[str, Any]:
        tab = Socket()
        await tab.hello(session.token)
        assert say_goodbye(hub()) == 1
        return await tab.get("going_away")

    assert 500 <= spoken(play)["retry_after_ms"] < 1_500


def test_frames_are_small_json(site) -> None:
    session = opened(site)

    async def play() -> str:
        tab = Socket()
        await tab.hello(session.token)
        await tab.send({"type": "ping"})
        while (message := await tab.end.receive_output(5))["text"] != '{"type":"pong","seq":0}':
            json.loads(message["text"])
        return message["text"]

    assert spoken(play) == '{"type":"pong","seq":0}'
