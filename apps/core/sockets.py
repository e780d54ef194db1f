"""What surrounds Django at the ASGI border: ids for sockets, an answer for unknown sockets, a cap on bodies."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from uuid import uuid4

import structlog

from apps.core.middleware import REQUEST_ID

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[..., Awaitable[None]]

NO_SUCH_SOCKET = 4404
logger = structlog.get_logger(__name__)


class SocketId:
    """Gives each socket an id, which its logs and the tasks that it starts carry; like requests have."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        scope["request_id"] = given if REQUEST_ID.fullmatch(given) else str(uuid4())
        with structlog.contextvars.bound_contextvars(request_id=scope["request_id"], socket=scope["path"]):
            logger.info("socket_opened")
            try:
                await self.app(scope, receive, send)
            finally:
                logger.info("socket_closed")


async def no_such_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """The end of the list of sockets: refuses the handshake, where Channels' router would raise."""
    await receive()
    await send({"type": "websocket.close", "code": NO_SUCH_SOCKET})


class BodyCap:
    """Refuses requests whose body is larger than anything this site takes.

    Django's ASGI handler writes the whole body to disk before the first line of ours runs, so this stands before it. A
    body without a declared length is cut off when it passes the limit: the application sees that nobody is there any
    more, and what it leaves unanswered is refused here.
    """

    def __init__(self, app: App, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.limit:
            await self._refuse(send)
            return
        seen, answered = 0, False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return message if seen <= self.limit else {"type": "http.disconnect"}

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        await self.app(scope, counted, noted)
        if seen > self.limit and not answered:
            await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        identity = str(uuid4())
        message = f"The body is larger than {self.limit} bytes."
        body = json.dumps({"error": {"code": "too_large", "message": message, "request_id": identity}}).encode()
        logger.warning("request_too_large", request_id=identity)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [(b"x-request-id", identity.encode()), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})
