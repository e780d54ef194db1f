"""The ASGI border: sockets of unknown paths and foreign pages, ids, and bodies that are too large."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler

from apps.core.sockets import BodyCap, SocketId
from config.asgi import application

HERE = [(b"origin", b"http://localhost"), (b"host", b"localhost")]


def opened(path: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """What the site answers to a handshake."""
    scope = {"type": "websocket", "path": path, "headers": headers, "query_string": b"", "subprotocols": []}

    async def connect() -> dict[str, Any]:
        communicator = ApplicationCommunicator(application, scope)
        await communicator.send_input({"type": "websocket.connect"})
        answer = await communicator.receive_output(timeout=5)
        await communicator.wait()
        return answer

    return async_to_sync(connect)()


@pytest.mark.django_db  # connections left by others are looked at when a socket opens
def test_an_unknown_socket_is_closed_cleanly() -> None:
    assert opened("/ws/nowhere", HERE) == {"type": "websocket.close", "code": 4404}


@pytest.mark.django_db
@pytest.mark.parametrize("origin", [b"https://evil.example", b"null", b""])
def test_a_socket_of_a_foreign_page_is_refused(origin) -> None:
    answer = opened("/ws/nowhere", [(b"origin", origin), (b"host", b"localhost")])
    assert answer["type"] == "websocket.close"
    assert answer.get("code") != 4404  # the list of sockets was never asked


@pytest.mark.parametrize(("given", "kept"), [(b"proxy-1234", True), (b"bad id", False), (b"", False)])
def test_sockets_have_ids(given, kept) -> None:
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append({**structlog.contextvars.get_contextvars(), "scope": scope["request_id"]})

    scope = {"type": "websocket", "path": "/ws/x", "headers": [(b"x-request-id", given)]}
    async_to_sync(SocketId(app))(scope, None, None)
    assert (seen[0]["request_id"] == given.decode()) is kept
    assert seen[0]["request_id"] == seen[0]["scope"]
    assert seen[0]["socket"] == "/ws/x"
    assert structlog.contextvars.get_contextvars() == {}


def posted(app: Callable[..., Awaitable[None]], chunks: list[bytes], declared: int | None) -> list[dict[str, Any]]:
    headers = [] if declared is None else [(b"content-length", str(declared).encode())]

    async def send_all() -> list[dict[str, Any]]:
        communicator = ApplicationCommunicator(app, {"type": "http", "path": "/", "headers": headers})
        for chunk in chunks:
            await communicator.send_input({"type": "http.request", "body": chunk, "more_body": chunk is not chunks[-1]})
        await communicator.wait()
        return [await communicator.receive_output() for _ in range(communicator.output_queue.qsize())]

    return async_to_sync(send_all)()


@pytest.fixture
def reads() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def reader(reads) -> BodyCap:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            reads.append(message)
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return

    return BodyCap(app, limit=10)


def test_a_declared_length_over_the_cap_is_refused_unread(reader, reads) -> None:
    start, body = posted(reader, [b"x"], declared=11)
    assert start["status"] == 413
    assert b"too_large" in body["body"]
    assert reads == []


def test_an_undeclared_body_is_cut_off_at_the_cap(reader, reads) -> None:
    start, body = posted(reader, [b"x" * 6, b"y" * 6, b"z" * 6], declared=None)
    assert [message["type"] for message in reads] == ["http.request", "http.disconnect"]
    assert start["status"] == 413
    assert b"too_large" in body["body"]


def test_django_answers_nothing_to_a_body_that_is_cut_off_so_the_cap_does() -> None:
    start, body = posted(BodyCap(ASGIHandler(), limit=10), [b"x" * 6, b"y" * 6], declared=None)
    assert start["status"] == 413
    assert b"too_large" in body["body"]


def test_what_was_answered_before_the_cap_is_left_as_it_is() -> None:
    async def hasty(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        await receive()

    start, _ = posted(BodyCap(hasty, limit=10), [b"x" * 11], declared=None)
    assert start["status"] == 401


def test_a_body_within_the_cap_passes(reader, reads) -> None:
    posted(reader, [b"x" * 5, b"y" * 5], declared=10)
    assert b"".join(message["body"] for message in reads) == b"xxxxxyyyyy"
