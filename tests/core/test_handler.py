"""The handler under load: a bounded number of requests at a time, the others in a queue with an end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from asgiref.testing import ApplicationCommunicator
from django.http import HttpRequest, HttpResponse

from apps.core.handler import BoundedHandler


class SlowHandler(BoundedHandler):
    """Instead of the site: requests that last until they are let go, and how many of them there were at a time."""

    def __init__(self, *, places: int, queue: int) -> None:
        super().__init__(places=places, queue=queue)
        self.let_go, self.lock = threading.Event(), threading.Lock()
        self.now = self.most = 0

    def get_response(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith("/health"):
            return HttpResponse("alive")
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.let_go.wait(10)
        with self.lock:
            self.now -= 1
        return HttpResponse("done")


def request(handler: BoundedHandler, path: str = "/") -> ApplicationCommunicator:
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"localhost")]}
    return ApplicationCommunicator(handler, scope)


async def begin(communicator: ApplicationCommunicator) -> None:
    await communicator.send_input({"type": "http.request", "body": b""})


async def status(communicator: ApplicationCommunicator) -> int:
    answer: dict[str, Any] = await communicator.receive_output(10)
    await communicator.receive_output(10)
    await communicator.wait(10)
    return int(answer["status"])


def test_so_many_at_a_time_and_the_others_in_turn() -> None:
    async def burst() -> list[int]:
        requests = [request(handler) for _ in range(12)]
        for one in requests:
            await begin(one)
        await asyncio.sleep(0.3)
        handler.let_go.set()
        return [await status(one) for one in requests]

    handler = SlowHandler(places=3, queue=100)
    assert asyncio.run(burst()) == [200] * 12
    assert handler.most == 3


def test_a_full_queue_refuses_and_probes_are_answered_all_the_same() -> None:
    async def burst() -> tuple[list[int], int, int]:
        requests = [request(handler) for _ in range(3)]
        for one in requests:
            await begin(one)
            await asyncio.sleep(0.1)
        refused, probe = request(handler), request(handler, "/health/live")
        await begin(refused)
        await begin(probe)
        answers = await status(refused), await status(probe)
        handler.let_go.set()
        return [await status(one) for one in requests], *answers

    handler = SlowHandler(places=1, queue=2)
    assert asyncio.run(burst()) == ([200] * 3, 503, 200)


def test_somebody_who_leaves_the_queue_costs_no_place() -> None:
    async def leave() -> int:
        first, gone, last = (request(handler) for _ in range(3))
        await begin(first)
        await asyncio.sleep(0.1)
        await begin(gone)
        await asyncio.sleep(0.1)
        await gone.send_input({"type": "http.disconnect"})
        await gone.wait(10)
        await begin(last)
        await asyncio.sleep(0.1)
        handler.let_go.set()
        assert await status(first) == 200
        return await status(last)

    handler = SlowHandler(places=1, queue=1)
    assert asyncio.run(leave()) == 200
