"""Django's ASGI handler, made to bend under load instead of breaking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any, BinaryIO, TypeVar

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import close_old_connections
from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.urls import set_script_prefix

from apps.core.middleware import HOSTLESS_PATHS
from apps.core.sockets import Receive, Scope, Send

T = TypeVar("T")
Answering = Callable[[Scope, BinaryIO], Coroutine[Any, Any, HttpResponseBase]]


class BoundedHandler(ASGIHandler):
    """Answers so many requests at the same time, and lets the others wait for their turn.

    Django gives each request under ASGI a thread at once. In a burst a hundred threads then fight for ten database
    connections, nobody gets on, and the process answers fewer requests than if it had taken them one after the other.
    A request waits here when its body has arrived, so slow senders keep no place; probes and metrics do not wait.

    A request goes to its thread once and comes back with its answer, signals, middleware and view included: here are no
    views that are coroutines. Django makes a thread for each request and goes there and back four times, which is half of
    what a small answer costs. Only what is streamed is read as Django does it.

    Args:
        places: requests answered at the same time; as many as there are database connections.
        queue: requests that may wait; further ones are refused with 503, so that memory has a bound.
    """

    def __init__(self, *, places: int, queue: int = 500) -> None:
        super().__init__()
        self._places, self._most, self._under_way = places, places + queue, 0
        self._answer, self._answer_probe = self._threads(places, "request"), self._threads(2, "probe")

    def _threads(self, count: int, name: str) -> Answering:
        threads = ThreadPoolExecutor(count, thread_name_prefix=name)
        return sync_to_async(self._whole, thread_sensitive=False, executor=threads)

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(RequestAborted), closing(await self.read_body(receive)) as body:
            response = await self._in_turn(scope, body, receive)
            if response.streaming:
                await _unless_left(self._stream(response, send), self.listen_for_disconnect(receive))
            else:
                await self.send_response(response, send)

    async def _in_turn(self, scope: Scope, body: BinaryIO, receive: Receive) -> HttpResponseBase:
        """The answer, when there was a place for it.

        Raises:
            RequestAborted: the client left before.
        """
        if scope["path"] in HOSTLESS_PATHS:
            return await self._answer_probe(scope, body)
        if self._under_way >= self._most:
            words = "Too many requests are waiting here. Try again in a moment. (busy)"
            return HttpResponse(words, status=503, content_type="text/plain", headers={"Retry-After": "2"})
        self._under_way += 1
        try:
            if self._under_way <= self._places:
                return await self._answer(scope, body)
            return await _unless_left(self._answer(scope, body), self.listen_for_disconnect(receive))
        finally:
            self._under_way -= 1

    def _whole(self, scope: Scope, body: BinaryIO) -> HttpResponseBase:
        """All of a request that happens in its thread."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        response = refusal if request is None else self.get_response(request)
        response._handler_class = self.__class__
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if response.streaming:
            close_old_connections()  # what is streamed has connections of its own
        else:
            response.close()
        return response

    async def _stream(self, response: HttpResponseBase, send: Send) -> None:
        async with ThreadSensitiveContext():
            try:
                await self.send_response(response, send)
            finally:
                await sync_to_async(response.close)()


async def _unless_left(work: Coroutine[Any, Any, T], leaving: Coroutine[Any, Any, None]) -> T:
    """Do something that ends when the client leaves.

    Raises:
        RequestAborted: the client left.
    """
    working, left = asyncio.ensure_future(work), asyncio.ensure_future(leaving)
    try:
        await asyncio.wait((working, left), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else await left  # type: ignore[return-value]  # which raises
    finally:
        for task in (working, left):
            task.cancel()
        await asyncio.gather(working, left, return_exceptions=True)
