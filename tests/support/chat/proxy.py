"""A proxy between customers and the server that does to their sockets whatever networks do, and worse.

It ends the socket of the customer and opens one of its own, so it can also lose, repeat and delay single frames, which TCP
would never do; what survives this survives TCP.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

ORIGIN = "https://shop.example.com"


@dataclass(frozen=True, slots=True)
class Faults:
    """How likely each is, for each frame; times are seconds."""

    drop: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    longest_delay: float = 0.05
    cut: float = 0.0
    half_open: float = 0.0
    refuse: float = 0.0
    """Of a new socket."""


CALM = Faults()
STORM = Faults(drop=0.04, duplicate=0.06, delay=0.2, cut=0.02, half_open=0.01, refuse=0.1)


class FaultyProxy:
    """Listens on a port of its own; ``faults`` may be exchanged while it runs."""

    def __init__(self, server_port: int, faults: Faults, seed: int) -> None:
        self.server_port, self.faults, self.random = server_port, faults, random.Random(seed)
        self.injected: dict[str, int] = {}
        self._server: Server | None = None

    async def __aenter__(self) -> FaultyProxy:
        self._server = await serve(self._carry, "127.0.0.1", 0, compression=None, ping_interval=None, max_queue=256)
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _happens(self, name: str, likely: float) -> bool:
        if self.random.random() >= likely:
            return False
        self.injected[name] = self.injected.get(name, 0) + 1
        return True

    async def _carry(self, customer: ServerConnection) -> None:
        if self._happens("refuse", self.faults.refuse):
            customer.transport.abort()
            return
        address = f"ws://127.0.0.1:{self.server_port}{customer.request.path if customer.request else '/'}"
        try:
            server = await connect(address, origin=ORIGIN, compression=None, ping_interval=None, proxy=None)  # type: ignore[arg-type]
        except (OSError, InvalidHandshake, InvalidMessage, EOFError):
            customer.transport.abort()
            return
        silent = asyncio.Event()
        ways = [
            asyncio.create_task(self._way(customer, server, silent)),
            asyncio.create_task(self._way(server, customer, silent)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await self._end(server, customer)

    async def _way(self, source: object, target: object, silent: asyncio.Event) -> None:
        """Carry frames one way, in their order, until the socket ends or is cut."""
        assert hasattr(source, "__aiter__")
        async for frame in source:
            if silent.is_set():
                continue  # half-open: the other side hears nothing, and nobody says so
            if self._happens("cut", self.faults.cut):
                return
            if self._happens("half_open", self.faults.half_open):
                silent.set()
                continue
            if self._happens("drop", self.faults.drop):
                continue
            if self._happens("delay", self.faults.delay):
                await asyncio.sleep(self.random.random() * self.faults.longest_delay)
            for _ in range(2 if self._happens("duplicate", self.faults.duplicate) else 1):
                await target.send(frame)  # type: ignore[attr-defined]

    async def _end(self, server: object, customer: ServerConnection) -> None:
        code, reason = getattr(server, "close_code", None), getattr(server, "close_reason", None)
        await server.close()  # type: ignore[attr-defined]
        if (code is not None and 3000 <= code < 5000) or code in (1012, 1013):
            try:
                await customer.close(int(code), reason or "")
            except ConnectionClosed:
                return
        customer.transport.abort()
