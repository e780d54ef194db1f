"""One customer's socket, as far as sending goes: little memory, in order, and never waiting for a slow reader."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from apps.chat.sockets.hub import Room

Send = Callable[[dict[str, Any]], Awaitable[None]]

MOST_FRAMES, MOST_BYTES = 64, 256 * 1024
"""Waiting to be sent to one socket. Whoever reads slower loses nothing: the rest is read from the database later."""
IN_FLIGHT = 16
"""Messages of one socket that are not acknowledged yet; until then no more is read from it."""

sockets_open = Gauge("riskdesk_chat_sockets", "Open sockets of customers", multiprocess_mode="livesum")
sockets_refused = Counter("riskdesk_chat_sockets_refused_total", "Sockets that were closed, by code", ["code"])
lagged = Counter("riskdesk_chat_sockets_lagged_total", "Times that a socket read too slowly and was left behind")


class Connection:
    """A socket after its hello.

    Attributes:
        sent: the seq up to which everything was given to it.
        lags: it has more to get than may wait here; it is served from the database when it has taken that.
    """

    __slots__ = (
        "__weakref__", "_bytes", "_closing", "_drained", "_frames", "_loop", "_send", "_task", "client", "closed", "in_flight",
        "lags", "room", "sent", "session_id",
    )  # fmt: skip

    def __init__(self, send: Send, *, session_id: int, client: str, room: Room, sent: int) -> None:
        self._send, self._loop = send, asyncio.get_running_loop()
        self._frames: deque[str] | None = None  # most sockets are idle most of the time
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._bytes = 0
        self.session_id, self.client, self.room, self.sent = session_id, client, room, sent
        self.in_flight, self.lags, self.closed = 0, False, False

    def push(self, frame: str) -> bool:
        """Send a frame after those that wait; False if too many do, or the socket is closed."""
        if self.closed:
            return False
        if self._frames is None:
            self._frames = deque()
        if len(self._frames) >= MOST_FRAMES or self._bytes + len(frame) > MOST_BYTES:
            return False
        self._frames.append(frame)
        self._bytes += len(frame)
        if self._task is None:
            self._task = self._loop.create_task(self._flush())
        return True

    def tell(self, kind: str, **facts: Any) -> bool:
        """Send a frame of a kind."""
        return self.push(json.dumps({"type": kind, **facts}, separators=(",", ":")))

    def give(self, seq: int, frame: str) -> None:
        """Send events up to ``seq``; if that is not to be done, it is left behind and served later."""
        if self.push(frame):
            self.sent = seq
        elif not self.closed:
            self.lags = True
            lagged.inc()

    async def close(self, code: int, reason: str = "") -> None:
        """Close it, after what waits was sent."""
        if self.closed:
            return
        self.closed = True
        if self._task is not None:
            await asyncio.wait([self._task], timeout=1)
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except (RuntimeError, OSError):
            return  # it was closed from the other side meanwhile

    def end(self, code: int, reason: str = "") -> None:
        """Close it as soon as what waits was sent, without waiting for that here."""
        self._closing = self._loop.create_task(self.close(code, reason))

    async def room_to_send(self) -> None:
        """Wait until fewer than :data:`IN_FLIGHT` messages are not acknowledged."""
        while self.in_flight >= IN_FLIGHT and not self.closed:
            self._drained = self._loop.create_future()
            await self._drained

    def answered(self) -> None:
        """One of its messages was answered."""
        self.in_flight -= 1
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def gone(self) -> None:
        """The other side has closed it."""
        self.closed = True
        if self._task is not None:
            self._task.cancel()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def _flush(self) -> None:
        try:
            while self._frames:
                frame = self._frames.popleft()
                self._bytes -= len(frame)
                await self._send({"type": "websocket.send", "text": frame})
        except (RuntimeError, OSError):  # closed meanwhile; the other end of the socket's life tidies up
            self.closed = True
        finally:
            self._task, self._frames = None, None
            self._bytes = 0
        if self.lags and not self.closed:
            self.lags = False
            self.room.look()
