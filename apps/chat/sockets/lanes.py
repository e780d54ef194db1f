"""Threads in which the event loop's database work happens, and work that is done for many at once.

Two thousand sockets must not become two thousand queries. What they ask while a query runs is gathered and asked by the
next one: the busier the process, the larger the batches, and the less each costs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import structlog
from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from apps.chat.refusals import NotStored

logger = structlog.get_logger(__name__)
Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST_WAITING = 20_000
GATHER_SECONDS = 0.015
HELD_SECONDS, MOST_TRIES = 0.03, 300
"""What somebody else holds is asked for again after so long, so many times."""
BUSY = 8
"""A batch of so many says that gathering a little longer is worth it."""


class Lane:
    """One thread with one database connection, which it keeps.

    A connection that broke (the database was restarted) is opened again once, unseen by those who wait.
    """

    in_callers_thread = False
    """For tests, whose transaction only one thread sees."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"chat-{name}")

    async def run(self, work: Callable[..., Answer], *args: Any) -> Answer:
        """Do something that uses the database, in this lane's turn."""
        if Lane.in_callers_thread:
            return await sync_to_async(work, thread_sensitive=True)(*args)
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._work, work, args)

    def close(self) -> None:
        """Give the connection back and end the thread, after what it still has to do."""
        self._pool.submit(lambda: connection.close())  # looked up there: each thread has a connection of its own
        self._pool.shutdown()

    @staticmethod
    def _work(work: Callable[..., Answer], args: tuple[Any, ...]) -> Answer:
        was_open = connection.connection is not None
        try:
            return work(*args)
        except (OperationalError, InterfaceError):
            connection.close()
            if not was_open:
                raise
        try:
            return work(*args)
        except (OperationalError, InterfaceError):
            connection.close()
            raise


class _Waiting(Generic[Item, Answer]):
    __slots__ = ("item", "then", "tries")

    def __init__(self, item: Item, then: Callable[[Answer | Exception], None]) -> None:
        self.item, self.then, self.tries = item, then, 0


class Batches(Generic[Item, Answer]):
    """Work that is done for many at once, in one lane, in the order in which it was asked for.

    Args:
        work: gives an answer for each item, in their order; an answer may be an exception. None: not done yet, to be
            asked again before anything else.
        most: items of one batch.
    """

    def __init__(
        self, lane: Lane, work: Callable[[list[Item]], Sequence[Answer | Exception | None]], *, most: int = 200
    ) -> None:
        self._lane, self._work, self._most = lane, work, most
        self._waiting: deque[_Waiting[Item, Answer]] = deque()
        self._running: asyncio.Task[None] | None = None

    def submit(self, item: Item, then: Callable[[Answer | Exception], None]) -> None:
        """Ask for an item; ``then`` is called in the event loop with its answer, or with what went wrong."""
        if len(self._waiting) >= MOST_WAITING:
            then(NotStored())
            return
        self._waiting.append(_Waiting(item, then))
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())

    def ask(self, item: Item) -> asyncio.Future[Answer]:
        """The same, to be awaited."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def then(answer: Answer | Exception) -> None:
            if future.done():
                return
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self.submit(item, then)
        return future

    async def done(self) -> None:
        """Wait until everything that was asked for is answered."""
        while self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                again = await self._do(batch)
                self._waiting.extendleft(reversed(again))
                if again:  # somebody holds what they need
                    await asyncio.sleep(HELD_SECONDS)
                elif len(batch) >= BUSY:
                    await asyncio.sleep(GATHER_SECONDS)
        finally:
            self._running = None

    async def _do(self, batch: list[_Waiting[Item, Answer]]) -> list[_Waiting[Item, Answer]]:
        answers: Sequence[Answer | Exception | None]
        try:
            answers = await self._lane.run(self._work, [each.item for each in batch])
        except (OperationalError, InterfaceError):
            logger.warning("chat_database_away", waiting=len(batch))
            answers = [NotStored()] * len(batch)
        except Exception:  # one batch that fails must not end the work for all sockets
            logger.exception("chat_batch_failed", at=timezone.now().isoformat())
            answers = [NotStored()] * len(batch)
        again = []
        for each, answer in zip(batch, answers, strict=True):
            each.tries += 1
            if answer is None and each.tries < MOST_TRIES:
                again.append(each)
            else:
                each.then(answer if answer is not None else NotStored())
        return again
