"""Customers by the thousand in one process, as light as they can be: what is measured is the server."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

ORIGIN = "https://shop.example.com"
LOST = (OSError, InvalidHandshake, InvalidMessage, ConnectionClosed, EOFError, TimeoutError)


@dataclass
class Tally:
    """What was said and what arrived.

    Attributes:
        due: when each message was due to be sent, by its id.
        acknowledged, delivered: seconds from due to there; the latter for each socket that got it.
        warned: sockets that were told beforehand that the server leaves.
    """

    due: dict[str, float] = field(default_factory=dict)
    acknowledged: list[float] = field(default_factory=list)
    delivered: list[float] = field(default_factory=list)
    got: int = 0
    warned: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    closed: dict[int, int] = field(default_factory=dict)


def percentile(values: Sequence[float], share: float) -> float:
    """A percentile in milliseconds; 0 without values."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] * 1_000


def summary(values: Sequence[float]) -> str:
    """Median, p95, p99 and the worst."""
    worst = max(values, default=0.0) * 1_000
    middle = median(values) * 1_000 if values else 0.0
    return f"p50 {middle:.0f} p95 {percentile(values, 0.95):.0f} p99 {percentile(values, 0.99):.0f} max {worst:.0f} ms"


class Tab:
    """One socket of ours."""

    def __init__(self, port: int, token: str, tally: Tally) -> None:
        self.port, self.token, self.tally = port, token, tally
        self.socket: ClientConnection | None = None
        self.have, self.ready_at = 0, 0.0
        self.beyond = set[int]()  # events after a gap that is not filled yet
        self.ready = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect and say hello.

        Raises:
            One of LOST: it did not work.
        """
        address = f"ws://127.0.0.1:{self.port}/ws/chat/bench/"
        self.socket = await connect(
            address, origin=ORIGIN, compression=None, ping_interval=None, proxy=None, open_timeout=30, max_queue=None
        )  # type: ignore[arg-type]
        hello = {"type": "hello", "token": self.token, "after": self.have, "protocol": 1}
        await self.socket.send(json.dumps(hello))

    async def read(self) -> None:
        """Take frames until the socket is closed; returns then."""
        assert self.socket is not None
        try:
            async for frame in self.socket:
                self.take(json.loads(frame), time.monotonic())
        except ConnectionClosed:
            pass
        self.ready.clear()
        code = self.socket.close_code or 0
        self.tally.closed[code] = self.tally.closed.get(code, 0) + 1

    def take(self, frame: dict[str, Any], now: float) -> None:
        kind = frame["type"]
        if kind == "events":
            for event in frame["events"]:
                self._got(event, now)
            self.have = max(self.have, frame["seq"])
            self.beyond = {seq for seq in self.beyond if seq > self.have}
        elif kind == "ack":
            self._got(frame["event"], now)
            if frame["seq"] == self.have + 1:
                self.have = frame["seq"]
                self.beyond.discard(self.have)
            if due := self.tally.due.get(frame["client_msg_id"]):
                self.tally.acknowledged.append(now - due)
        elif kind == "ready":
            self.ready_at = now
            self.ready.set()
        elif kind == "going_away":
            self.tally.warned += 1
        elif kind == "refused":
            self.tally.refused[frame["code"]] = self.tally.refused.get(frame["code"], 0) + 1

    def _got(self, event: dict[str, Any], now: float) -> None:
        if event["seq"] <= self.have or event["seq"] in self.beyond:
            return
        self.beyond.add(event["seq"])
        if due := self.tally.due.get(event.get("client_id", "")):  # not of an earlier rate
            self.tally.got += 1
            self.tally.delivered.append(now - due)

    async def say(self, text: str, due: float) -> None:
        key = str(uuid4())
        self.tally.due[key] = due
        assert self.socket is not None
        await self.socket.send(json.dumps({"type": "message", "client_msg_id": key, "text": text}))

    async def leave(self) -> None:
        if self.socket is not None:
            self.socket.transport.abort()


class PlainTab(Tab):
    """One socket of the tutorial's chat; ``token`` is the room."""

    async def open(self) -> None:
        address = f"ws://127.0.0.1:{self.port}/ws/chat/{self.token}/"
        self.socket = await connect(
            address, compression=None, ping_interval=None, proxy=None, open_timeout=30, max_queue=None
        )
        self.ready_at = time.monotonic()
        self.ready.set()

    def take(self, frame: dict[str, Any], now: float) -> None:
        key = frame["message"].partition(" ")[0]
        if due := self.tally.due.get(key):
            self.tally.got += 1
            self.tally.delivered.append(now - due)

    async def say(self, text: str, due: float) -> None:
        key = uuid4().hex
        self.tally.due[key] = due
        assert self.socket is not None
        await self.socket.send(json.dumps({"message": f"{key} {text}"}))


async def open_all(tabs: Sequence[Tab], at_once: int = 100) -> float:
    """Open all sockets and wait until they are ready; returns the seconds it took."""
    places, began = asyncio.Semaphore(at_once), time.monotonic()

    async def one(tab: Tab) -> None:
        async with places:
            await tab.open()
            tab.task = asyncio.create_task(tab.read())
            await asyncio.wait_for(tab.ready.wait(), 60)

    await asyncio.gather(*(one(tab) for tab in tabs))
    return time.monotonic() - began


async def close_all(tabs: Sequence[Tab]) -> None:
    for tab in tabs:
        await tab.leave()
    await asyncio.gather(*(tab.task for tab in tabs if tab.task), return_exceptions=True)


async def talk(tabs: Sequence[Tab], rate: float, seconds: float, seed: int = 1) -> float:
    """Say ``rate`` messages a second, each at its time whether or not the earlier ones arrived; returns how late the last was."""
    dice, began = random.Random(seed), time.monotonic()
    order = list(tabs)
    dice.shuffle(order)
    late = 0.0
    for number, tab in zip(range(int(rate * seconds)), itertools.cycle(order), strict=False):
        due = began + number / rate
        wait = due - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        late = max(0.0, -wait)
        await tab.say(f"Where is my order {number}, and when will it be here?", due)
    return late


async def until(true: Callable[[], bool], seconds: float) -> bool:
    """Wait for something to become true, for so many seconds at most."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


async def come_back(tab: Tab, until_ready: asyncio.Event, dice: random.Random) -> None:
    """Open the socket again as the widget does: with growing, jittered waits."""
    tries = 0
    while not until_ready.is_set():
        await asyncio.sleep(min(30.0, 0.5 * 2**tries) * (0.5 + dice.random() / 2))
        tries += 1
        try:
            async with asyncio.timeout(10):
                await tab.open()
            tab.task = asyncio.create_task(tab.read())
            await asyncio.wait_for(tab.ready.wait(), 10)
        except LOST:
            continue
        return
