"""A widget's socket, spoken to inside the test's own process and transaction."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.utils import timezone

from apps.chat.models import ChatSite
from apps.chat.sessions import Opened, open_session
from apps.chat.sockets import lanes
from apps.chat.sockets.hub import hub
from config.asgi import application

SHOP = "https://shop.example.com"
handed_out: list[tuple[int, float]] = []
"""What the workers were told to answer in the last scene: the conversation, and after how many seconds."""


def opened(site: ChatSite, key: UUID | None = None, **fields: Any) -> Opened:
    """A session that a page of the shop opened."""
    values = {"client_key": key or uuid4(), "identity": "", "language": "en", "origin": SHOP, "now": timezone.now()}
    return open_session(site_key=site.key, **{**values, **fields})


class Socket:
    """One tab."""

    def __init__(self, site: str = "shop", origin: str | None = SHOP, client: str = "203.0.113.9") -> None:
        headers = [(b"host", b"localhost")] + ([(b"origin", origin.encode())] if origin is not None else [])
        self.scope = {
            "type": "websocket", "path": f"/ws/chat/{site}/", "headers": headers, "query_string": b"",
            "subprotocols": [], "client": (client, 1),
        }  # fmt: skip
        self.end = ApplicationCommunicator(application, self.scope)

    async def connect(self) -> None:
        await self.end.send_input({"type": "websocket.connect"})
        assert (await self.end.receive_output(5))["type"] == "websocket.accept"

    async def send(self, body: Any) -> None:
        raw = body if isinstance(body, str) else json.dumps(body)
        await self.end.send_input({"type": "websocket.receive", "text": raw})

    async def get(self, kind: str = "") -> dict[str, Any]:
        """The next frame; of a kind, others are passed over. A close is ``{"type": "close", "code", "reason"}``."""
        while True:
            message = await self.end.receive_output(5)
            if message["type"] == "websocket.close":
                frame = {"type": "close", "code": message["code"], "reason": message.get("reason", "")}
            else:
                frame = json.loads(message["text"])
            if kind in ("", frame["type"]) or frame["type"] == "close":
                return frame

    async def hello(self, token: str, after: int = 0, **more: Any) -> dict[str, Any]:
        await self.connect()
        await self.send({"type": "hello", "token": token, "after": after, "protocol": 1, **more})
        return await self.get()

    async def says(self, text: str, key: str = "", **more: Any) -> str:
        key = key or str(uuid4())
        await self.send({"type": "message", "client_msg_id": key, "text": text, **more})
        return key

    async def quiet(self) -> bool:
        """Whether nothing more comes, statuses aside."""
        while True:
            if await self.end.receive_nothing(0.05):
                return True
            if (await self.get())["type"] != "status":
                return False

    async def leave(self) -> None:
        await self.end.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.end.wait(5)


def spoken(play: Callable[[], Awaitable[Any]]) -> Any:
    """Play a scene with sockets; database work happens in the test's thread, and so in its transaction."""

    async def scene() -> Any:
        try:
            return await asyncio.wait_for(play(), 20)
        finally:
            await hub().stop()

    lanes.Lane.in_callers_thread = True
    try:
        handed_out.clear()
        with patch("apps.chat.bot.owing.hand_out", lambda *turn: handed_out.append(turn)):  # no worker is there
            return async_to_sync(scene)()
    finally:
        lanes.Lane.in_callers_thread = False
