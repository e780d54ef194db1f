"""A customer without a browser, who keeps to docs/chat-protocol.md as the widget does: an outbox until acknowledged, a
heartbeat, events in the order of ``seq``, polling while sockets fail."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

SHOP = "https://shop.example.com"


class Conflict(AssertionError):
    """The server told two different things about one event."""


@dataclass
class Customer:
    """One tab.

    Attributes:
        address: of the proxy, and of the server for HTTP; asked each time, for servers come and go.
        have: nothing is missing up to here.
        history: what it was told, by seq.
        outbox: what is not acknowledged yet, in order.
        acknowledged: the seq of what is.
    """

    site: str
    token: str
    socket_port: Callable[[], int]
    http_port: Callable[[], int]
    random: random.Random
    patience: float = 1.5
    have: int = 0
    history: dict[int, dict[str, Any]] = field(default_factory=dict)
    outbox: dict[str, str] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    connects: int = 0
    polls: int = 0
    unsocketed: bool = False
    failures: int = 0
    _socket: ClientConnection | None = None

    def says(self, text: str) -> str:
        """Put a message into the outbox, and send it if there is a socket."""
        key = str(UUID(int=self.random.getrandbits(128), version=4))
        self.outbox[key] = text
        return key

    async def live(self) -> None:
        """Stay in touch until cancelled."""
        async with httpx.AsyncClient(timeout=self.patience * 2, trust_env=False) as http:
            while True:
                if self.unsocketed or self.failures >= 3:
                    await self._poll(http)
                if not self.unsocketed:
                    await self._visit()
                self.failures += 1
                await asyncio.sleep(min(1.0, 0.02 * 2**self.failures) * (0.5 + self.random.random() / 2))

    async def _visit(self) -> None:
        address = f"ws://127.0.0.1:{self.socket_port()}/ws/chat/{self.site}/"
        try:
            async with asyncio.timeout(self.patience * 2):
                socket = await connect(address, origin=SHOP, compression=None, ping_interval=None, proxy=None)  # type: ignore[arg-type]
        except (OSError, InvalidHandshake, InvalidMessage, EOFError, TimeoutError):
            return
        self._socket = socket
        self.connects += 1
        try:
            await self._talk(socket)
        except (ConnectionClosed, TimeoutError):
            return
        finally:
            self._socket = None
            socket.transport.abort()

    async def _talk(self, socket: ClientConnection) -> None:
        await self._send(socket, {"type": "hello", "token": self.token, "after": self.have, "protocol": 1})
        loop = asyncio.get_running_loop()
        heard, sent, ready = loop.time(), {}, False
        while True:
            try:
                async with asyncio.timeout(self.patience / 8):
                    frame = json.loads(await socket.recv())
                heard = loop.time()
                if frame["type"] == "ready":
                    ready, self.failures = True, 0
                await self._take(socket, frame)
            except TimeoutError:
                if loop.time() - heard > self.patience:
                    raise  # half-open: nobody answers the pings
                await self._send(socket, {"type": "ping"})
            for key, text in list(self.outbox.items()) if ready else []:
                if loop.time() - sent.get(key, -9.0) > self.patience / 3:
                    sent[key] = loop.time()
                    await self._send(socket, {"type": "message", "client_msg_id": key, "text": text})

    async def _take(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "ack":
            self._learn(frame["event"])
            if frame["seq"] == self.have + 1:
                self.have = frame["seq"]
        elif kind == "events":
            for event in frame["events"]:
                self._learn(event)
            if frame["after"] <= self.have:
                self.have = max(self.have, frame["seq"])
            else:
                await self._send(socket, {"type": "after", "seq": self.have})
        elif kind == "pong" and frame["seq"] > self.have:
            await self._send(socket, {"type": "after", "seq": self.have})
        elif kind == "refused":
            self.refused[frame["code"]] = self.refused.get(frame["code"], 0) + 1

    async def _poll(self, http: httpx.AsyncClient) -> None:
        """Send what is to be sent and read what is new over HTTP; answers get lost, and requests arrive twice."""
        base = f"http://127.0.0.1:{self.http_port()}/chat/{self.site}"
        headers = {"Origin": SHOP, "Authorization": f"Chat {self.token}"}
        self.polls += 1
        try:
            for key, text in list(self.outbox.items()):
                body = {"client_msg_id": key, "text": text}
                for _ in range(2 if self.random.random() < 0.1 else 1):
                    answer = await http.post(f"{base}/messages", json=body, headers=headers)
                if answer.status_code in (200, 201) and self.random.random() > 0.1:
                    self._learn(answer.json()["event"])
            answer = await http.get(f"{base}/events", params={"after": self.have}, headers=headers)
            if answer.status_code == 200:
                news = answer.json()
                for event in news["events"]:
                    self._learn(event)
                self.have = max(self.have, news["seq"])
        except (httpx.HTTPError, OSError):
            return

    def _learn(self, event: dict[str, Any]) -> None:
        known = self.history.setdefault(event["seq"], event)
        if known != event:
            raise Conflict(f"{known} != {event}")
        key = event.get("client_id")
        if key in self.outbox:
            del self.outbox[key]
            self.acknowledged[key] = event["seq"]

    async def _send(self, socket: ClientConnection, body: dict[str, Any]) -> None:
        await socket.send(json.dumps(body))
