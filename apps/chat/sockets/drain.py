"""Leaving in good order: who is told to stop says so to its sockets first, each with a time of its own to come back.

uvicorn closes all sockets with 1012 as soon as it gets SIGTERM. Two thousand browsers would then come back in the same
moment.
"""

from __future__ import annotations

import asyncio
import random
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from apps.chat.sockets.hub import Hub

logger = structlog.get_logger(__name__)
NOTICE_SECONDS = 0.5
"""Between the news and the close."""
FIRST_MS, PER_SECOND = 500, 400
"""The earliest return, and how many sockets come back in a second."""


def before_the_end(hub: Hub) -> None:
    """Say goodbye when this process is told to stop, and pass the signal on after that.

    Only a server in its main thread is told; elsewhere, such as in tests, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    server = signal.getsignal(signal.SIGTERM)
    if not callable(server) or hasattr(server, "says_goodbye"):
        return
    loop, stop = asyncio.get_running_loop(), server

    def told(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(_leave, hub, loop, lambda: stop(number, frame))

    told.says_goodbye = True  # type: ignore[attr-defined]  # a mark on the function, so that it is wrapped once
    signal.signal(signal.SIGTERM, told)


def _leave(hub: Hub, loop: asyncio.AbstractEventLoop, stop: Callable[[], Any]) -> None:
    loop.call_later(NOTICE_SECONDS if say_goodbye(hub) else 0, stop)


def say_goodbye(hub: Hub) -> int:
    """Tell all sockets that they will be closed and when to come back; returns how many there are."""
    sockets = [each for room in hub.rooms.values() for each in room.sockets]
    spread = max(1_000, len(sockets) * 1_000 // PER_SECOND)
    for each in sockets:
        each.tell("going_away", retry_after_ms=FIRST_MS + random.randrange(spread))  # noqa: S311  # nothing secret
    logger.info("chat_going_away", sockets=len(sockets))
    return len(sockets)
