"""The desk's socket: who may listen, what each event of it is allowed, and what it tells."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.routing import URLRouter
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client, TestCase
from django.utils import timezone
from redis import ConnectionError as RedisConnectionError

from apps.chat import conversations, live
from apps.chat.desk import socket
from apps.chat.desk.sockets import desk_sockets
from apps.chat.models import Conversation
from apps.core.models import Scope, User
from apps.core.roles import Role
from tests.chat.factories import chat_site, conversation, says
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.escalation.factories import team

pytestmark = pytest.mark.django_db

State = Conversation.State


class Window(ApplicationCommunicator):
    """A page's end of a socket."""

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        scope = {"type": "websocket", "path": "/ws/desk/", "query_string": b"", "subprotocols": [], "headers": headers}
        super().__init__(URLRouter(desk_sockets), scope)

    async def connect(self) -> dict[str, Any]:
        """The answer to the handshake."""
        await self.send_input({"type": "websocket.connect"})
        return dict(await self.receive_output(timeout=5))

    async def says(self, **facts: Any) -> None:
        await self.sends(json.dumps(facts))

    async def sends(self, frame: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": frame})

    async def leave(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait()


Story = Callable[[Window], Awaitable[None]]


@pytest.fixture(autouse=True)
def _one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket asks the database in this thread, within the transaction of the test."""
    monkeypatch.setattr(socket, "_thread", thread)
    monkeypatch.setattr("channels.db.close_old_connections", lambda: None)


@pytest.fixture
def scope() -> Scope:
    return ScopeFactory()


@pytest.fixture
def ada(scope: Scope) -> User:
    return person(Role.SUPPORT_AGENT, scope, first_name="Ada")


@pytest.fixture
def talk(scope: Scope) -> Conversation:
    return conversation(chat_site(scope), state=State.WAITING, waiting_since=timezone.now())


def window(user: User | None, origin: str = "http://localhost") -> Window:
    """A page of the desk, with the cookie of a person who signed in."""
    client = Client()
    if user:
        client.force_login(user)
    cookie = client.cookies.get(settings.SESSION_COOKIE_NAME)
    headers = [(b"origin", origin.encode()), (b"host", b"localhost")]
    if cookie:
        headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie.value}".encode()))
    return Window(headers)


async def heard(page: Window, kind: str, tries: int = 8) -> dict[str, Any]:
    """The next message of a kind."""
    for _ in range(tries):
        message = json.loads((await page.receive_output(timeout=3))["text"])
        if message["type"] == kind:
            return dict(message)
    raise AssertionError(f"Nothing of kind {kind} came.")


async def quiet(page: Window) -> bool:
    """Whether nothing but who looks comes for a moment."""
    return await page.receive_nothing(timeout=0.7, interval=0.05)


def play(user: User | None, story: Story) -> None:
    """Open a window, wait until it listens, and go through a story."""

    async def whole() -> None:
        page = window_of
        assert (await page.connect())["type"] == "websocket.accept"
        await heard(page, "ready")
        await story(page)
        await page.leave()

    window_of = window(user)
    async_to_sync(whole)()


async def thread(work: Callable[[], Any]) -> Any:
    """Do something, with what follows its commit."""

    def whole() -> Any:
        with TestCase.captureOnCommitCallbacks(execute=True):
            return work()

    return await sync_to_async(whole, thread_sensitive=True)()


def closed_with(user: User | None) -> int:
    page = window(user)

    async def whole() -> int:
        assert (await page.connect())["type"] == "websocket.accept"
        message = await page.receive_output(timeout=3)
        assert message["type"] == "websocket.close"
        return int(message["code"])

    return async_to_sync(whole)()


# Who may listen


def test_strangers_customers_and_leavers_are_closed(scope: Scope) -> None:
    assert closed_with(None) == socket.NOT_SIGNED_IN
    assert closed_with(UserFactory()) == socket.NOT_SIGNED_IN
    assert closed_with(person(Role.OPERATOR, scope)) == socket.NOT_ALLOWED
    assert closed_with(person(Role.SUPPORT_AGENT, scope, is_active=False)) == socket.NOT_SIGNED_IN


def test_pages_of_other_sites_are_refused(ada: User) -> None:
    """Their handshake fails, so that the person's cookie is never looked at."""
    answer = async_to_sync(window(ada, origin="https://evil.example").connect)()
    assert answer["type"] == "websocket.close"


@pytest.mark.parametrize("role", [Role.SUPPORT_AGENT, Role.AUDITOR])
def test_who_reads_conversations_listens(scope: Scope, talk: Conversation, role: Role) -> None:
    async def story(page: Window) -> None:
        await thread(lambda: says(talk, "Hello", at=timezone.now()))
        hints = await heard(page, "hints")
        assert hints["hints"] == [[str(talk.public_id), 1]]
        await page.says(type="ping")
        await heard(page, "pong")

    play(person(role, scope), story)


def test_other_scopes_are_not_heard(talk: Conversation) -> None:
    async def story(page: Window) -> None:
        await thread(lambda: says(talk, "Hello", at=timezone.now()))
        assert await quiet(page)

    play(person(Role.SUPPORT_AGENT, ScopeFactory()), story)


def test_a_hint_is_authorised_when_it_is_sent(ada: User, talk: Conversation) -> None:
    """Whoever guesses the group, or lost the scope a moment ago, is not told."""

    async def story(page: Window) -> None:
        elsewhere = await thread(lambda: conversation(chat_site()))
        hint = live.Hint(elsewhere.public_id, talk.scope_id, 7)
        await thread(lambda: live.publish([hint]))
        assert await quiet(page)

    play(ada, story)


def test_the_team_hears_what_was_given_to_it(ada: User, talk: Conversation) -> None:
    billing = team()

    async def story(page: Window) -> None:
        await thread(
            lambda: conversations.transfer(talk.pk, ada, to=billing, why="x", seen_version=None, now=timezone.now())
        )
        assert [one for one, _ in (await heard(page, "hints"))["hints"]] == [str(talk.public_id)]

    play(person(Role.SUPPORT_AGENT, billing.scope), story)


def test_many_hints_are_put_together(ada: User, talk: Conversation) -> None:
    async def story(page: Window) -> None:
        for n in range(6):
            await thread(lambda n=n: says(talk, f"Word {n}", at=timezone.now()))  # type: ignore[misc]
        seqs = []
        while not seqs or seqs[-1] < 6:
            seqs.append((await heard(page, "hints"))["hints"][0][1])
        assert len(seqs) < 6

    play(ada, story)


def test_who_is_told_too_much_looks_at_all(ada: User, talk: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "MOST_WAITING", 0)

    async def story(page: Window) -> None:
        await thread(lambda: says(talk, "Hello", at=timezone.now()))
        assert (await heard(page, "hints"))["all"] is True

    play(ada, story)


def test_losing_the_role_ends_the_socket(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "RIGHTS_SECONDS", 0.05)

    async def story(page: Window) -> None:
        await thread(lambda: ada.groups.clear())
        message = await page.receive_output(timeout=3)
        assert message == {"type": "websocket.close", "code": socket.NOT_ALLOWED}

    play(ada, story)


def test_signing_out_ends_the_socket(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "RIGHTS_SECONDS", 0.05)

    async def story(page: Window) -> None:
        await thread(lambda: Session.objects.all().delete())
        assert (await page.receive_output(timeout=3))["code"] == socket.NOT_SIGNED_IN

    play(ada, story)


# What the page says


@pytest.mark.parametrize("kind", ["view", "typing"])
def test_what_is_out_of_sight_is_refused(talk: Conversation, kind: str) -> None:
    async def story(page: Window) -> None:
        for wanted in (str(talk.public_id), str(uuid4()), "x", 7):
            await page.says(type=kind, conversation=wanted, on=True)
            assert (await heard(page, "refused"))["code"] == "not_found"
        assert await thread(lambda: live.viewers(talk)) == {}

    play(person(Role.SUPPORT_AGENT, ScopeFactory()), story)


def test_viewers_see_each_other_come_write_and_go(ada: User, talk: Conversation, scope: Scope) -> None:
    ben = person(Role.SUPPORT_AGENT, scope, first_name="Ben")

    async def story(page: Window) -> None:
        await page.says(type="view", conversation=str(talk.public_id))
        assert (await heard(page, "people"))["viewers"] == []
        await thread(lambda: live.view(talk, user_id=ben.pk, name="Ben", doing="typing"))
        assert (await heard(page, "people"))["viewers"] == [{"id": ben.pk, "name": "Ben", "typing": True}]
        await thread(lambda: live.leave(talk, user_id=ben.pk))
        assert (await heard(page, "people"))["viewers"] == []
        assert set(await thread(lambda: live.viewers(talk))) == {ada.pk}
        await page.says(type="view", conversation=None)
        await page.says(type="ping")
        await heard(page, "pong")
        assert await thread(lambda: live.viewers(talk)) == {}

    play(ada, story)


def test_customers_typing_and_reading_is_shown_to_who_looks(ada: User, talk: Conversation) -> None:
    async def story(page: Window) -> None:
        await page.says(type="view", conversation=str(talk.public_id))
        await heard(page, "people")
        await thread(lambda: live.typing(talk, who="customer", name="", on=True))
        assert (await heard(page, "typing"))["who"] == "customer"
        await thread(lambda: live.read(talk, by="customer", seq=3))
        assert (await heard(page, "read"))["seq"] == 3

    play(ada, story)


def test_only_the_one_who_has_it_is_seen_writing_by_the_customer(
    ada: User, talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(live, "typing", lambda conversation, **facts: told.append(facts["on"]))

    async def write(page: Window, **more: Any) -> list[bool]:
        told.clear()
        await page.says(type="typing", conversation=str(talk.public_id), on=True, **more)
        await page.says(type="ping")
        await heard(page, "pong")
        return list(told)

    async def story(page: Window) -> None:
        assert await write(page) == []
        await thread(lambda: conversations.take(talk.pk, ada, None, timezone.now()))
        assert await write(page) == [True]
        assert await write(page, note=True) == []

    play(ada, story)


@pytest.mark.parametrize("frame", ["", "[", "[]", '"x"', '{"type": "hack"}', '{"type": []}', "x" * 2000, "[" * 900])
def test_frames_that_cannot_be_read_end_the_socket(ada: User, frame: str) -> None:
    async def story(page: Window) -> None:
        await page.sends(frame)
        assert await page.receive_output(timeout=3) == {"type": "websocket.close", "code": socket.BAD_FRAME}

    play(ada, story)


def test_too_many_frames_end_the_socket(ada: User) -> None:
    async def story(page: Window) -> None:
        for _ in range(socket.BURST + 5):
            await page.says(type="ping")
        for _ in range(socket.BURST + 5):
            message = await page.receive_output(timeout=3)
            if message["type"] == "websocket.close":
                assert message["code"] == socket.TOO_MANY
                return
            await asyncio.sleep(0)
        raise AssertionError("It was not closed.")

    play(ada, story)


def test_without_valkey_looking_and_writing_go_on(ada: User, talk: Conversation, settings: Any) -> None:
    lost = live.hints_lost._value.get()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    live.view(talk, user_id=ada.pk, name="Ada")
    says(talk, "Hello", at=timezone.now())
    assert live.viewers(talk) == {}
    assert live.hints_lost._value.get() > lost


def broken(*_: object, **__: object) -> None:
    raise OperationalError("the database is down")


def test_without_the_database_it_ends_instead_of_being_deaf(
    ada: User, talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(page: Window) -> None:
        monkeypatch.setattr(socket, "visible", broken)
        await thread(lambda: says(talk, "Hello", at=timezone.now()))
        assert await page.receive_output(timeout=3) == {"type": "websocket.close", "code": socket.NOT_NOW}

    play(ada, story)


def test_what_cannot_be_looked_up_now_ends_it_too(
    ada: User, talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(page: Window) -> None:
        monkeypatch.setattr(socket, "seen_by", broken)
        await page.says(type="view", conversation=str(talk.public_id))
        assert await page.receive_output(timeout=3) == {"type": "websocket.close", "code": socket.NOT_NOW}

    play(ada, story)


def test_without_valkey_it_is_not_opened(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object) -> None:
        raise RedisConnectionError("nobody there")

    monkeypatch.setattr(socket.DeskConsumer, "_renew", lambda self: refused())
    assert closed_with(ada) == socket.NOT_NOW
