"""Django's ASGI handler, made to bend under load instead of breaking."""

from __future__ import annotations

import asyncio

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from apps.core.middleware import HOSTLESS_PATHS


class BoundedHandler(ASGIHandler):
    """Answers so many requests at the same time, and lets the others wait for their turn.

    Django gives each request under ASGI a thread at once. In a burst a hundred threads then fight for ten database
    connections, nobody gets on, and the process answers fewer requests than if it had taken them one after the other.
    A request waits here when its body has arrived, so slow senders keep no place; probes and metrics do not wait.

    All middleware and the view of a request run in one thread, without the way back to the event loop in between that
    Django takes for views that are coroutines; here there are none.

    Args:
        places: requests answered at the same time; as many as there are database connections.
        queue: requests that may wait; further ones are refused with 503, so that memory has a bound.
    """

    def __init__(self, *, places: int, queue: int = 500) -> None:
        super().__init__()
        self._places, self._queue, self._waiting = asyncio.Semaphore(places), queue, 0

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        answer = sync_to_async(self.get_response, thread_sensitive=True)
        if request.path in HOSTLESS_PATHS:
            return await answer(request)
        if self._waiting >= self._queue:
            words = "Too many requests are waiting here. Try again in a moment. (busy)"
            return HttpResponse(words, status=503, content_type="text/plain", headers={"Retry-After": "2"})
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            return await answer(request)
        finally:
            self._places.release()
