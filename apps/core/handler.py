"""Django's ASGI handler, made to bend under load instead of breaking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from contextvars import copy_context
from typing import IO, Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import close_old_connections
from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.urls import set_script_prefix

from apps.core.middleware import HOSTLESS_PATHS
from apps.core.sockets import Scope

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class BoundedHandler(ASGIHandler):
    """Answers so many requests at the same time, and lets the others wait for their turn.

    Django gives each request under ASGI a thread at once. In a burst a hundred threads then fight for ten database
    connections, nobody gets on, and the process answers fewer requests than if it had taken them one after the other.
    A request waits here when its body has arrived, so slow senders keep no place; probes and metrics do not wait.

    Python runs one thread at a time. With a few of them that is enough to work while others wait for the database; with
    more, some requests are overtaken again and again. So only a few requests have a turn at a time. One that takes long
    goes on without it: it does not keep the quick ones from theirs.

    A request goes to a thread once and comes back with its answer: signals, middleware and view together. Django makes a
    thread for each request and goes there and back four times, a third of what a small answer costs. There are no views
    here that are coroutines; what is streamed is read as Django does it.

    Args:
        places: requests answered at the same time; as many as there are database connections.
        turns: those among them that are quick, or that may be.
        queue: requests that may wait; further ones are refused with 503, so that memory has a bound.
    """

    def __init__(self, *, places: int, turns: int = 3, queue: int = 500) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(places, thread_name_prefix="request")
        self._probes = ThreadPoolExecutor(2, thread_name_prefix="probe")
        self._places, self._turns = asyncio.Semaphore(places), asyncio.Semaphore(turns)
        self._waiting, self._queue = 0, queue

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(RequestAborted), closing(await self.read_body(receive)) as body:
            response = await self._in_turn(scope, body, receive)
            if response.streaming:
                await self._stream(response, receive, send)
            else:
                await self.send_response(response, send)

    async def _in_turn(self, scope: Scope, body: IO[bytes], receive: Receive) -> HttpResponseBase:
        """The answer, when it was this request's turn.

        Raises:
            RequestAborted: the client left while it waited.
        """
        if scope["path"] in HOSTLESS_PATHS:
            return await self._begin(self._probes, scope, body)
        if self._waiting >= self._queue:
            words = "Too many requests are waiting here. Try again in a moment. (busy)"
            return HttpResponse(words, status=503, content_type="text/plain", headers={"Retry-After": "2"})
        self._waiting += 1
        try:
            if self._places.locked() or self._turns.locked():
                await self._wait(receive)
            else:
                await self._take()
        finally:
            self._waiting -= 1
        turn = Turn(self._turns)
        try:
            return await self._begin(self._threads, scope, body)
        finally:
            turn.end()
            self._places.release()

    async def _take(self) -> None:
        """A place and a turn, or neither."""
        await self._places.acquire()
        try:
            await self._turns.acquire()
        except asyncio.CancelledError:
            self._places.release()
            raise

    async def _wait(self, receive: Receive) -> None:
        """Take a place and a turn, unless the client leaves before."""
        taken, left = asyncio.create_task(self._take()), asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait((taken, left), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if taken.done() and not taken.cancelled():  # nobody will give back what just came
                self._turns.release()
                self._places.release()
            raise
        finally:
            for task in (taken, left):
                task.cancel()
            await asyncio.gather(taken, left, return_exceptions=True)
        if taken.cancelled():
            raise RequestAborted

    def _begin(self, threads: ThreadPoolExecutor, scope: Scope, body: IO[bytes]) -> asyncio.Future[HttpResponseBase]:
        return asyncio.wrap_future(threads.submit(copy_context().run, self._whole, scope, body))

    def _whole(self, scope: Scope, body: IO[bytes]) -> HttpResponseBase:
        """What of a request happens in its thread: everything."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        response = self.get_response(request) if request is not None else refusal
        assert response is not None  # one of the two is there
        response._handler_class = self.__class__  # type: ignore[attr-defined]  # Django's name
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if response.streaming:
            close_old_connections()  # it is read in another thread, with a connection of that one
        else:
            response.close()
        return response

    async def _stream(self, response: HttpResponseBase, receive: Receive, send: Send) -> None:
        """Send what is made while it is sent, until the client leaves."""
        async with ThreadSensitiveContext():
            sending = asyncio.create_task(self.send_response(response, send))
            left = asyncio.create_task(self.listen_for_disconnect(receive))
            try:
                await asyncio.wait((sending, left), return_when=asyncio.FIRST_COMPLETED)
            finally:
                sending.cancel()
                left.cancel()
                sent, _ = await asyncio.gather(sending, left, return_exceptions=True)
                await sync_to_async(response.close)()
            if isinstance(sent, Exception):
                raise sent


class Turn:
    """Has been taken, and is given back once: at the end, or when it lasts too long for a quick request."""

    SECONDS = 0.05

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns: asyncio.Semaphore | None = turns
        self._late = asyncio.get_running_loop().call_later(self.SECONDS, self.end)

    def end(self) -> None:
        self._late.cancel()
        turns, self._turns = self._turns, None
        if turns is not None:
            turns.release()
