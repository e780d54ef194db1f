"""The handler under load: a bounded number of requests at a time, the others in a queue with an end.

Besides, that a request happens in one thread, where the database connections of it are, and that streams end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from apps.core.handler import BoundedHandler


class SlowHandler(BoundedHandler):
    """Instead of the site: requests that last until they are let go, and how many of them there were at a time."""

    def __init__(self, *, places: int, queue: int, turns: int = 3) -> None:
        super().__init__(places=places, queue=queue, turns=turns)
        self.let_go, self.lock = threading.Event(), threading.Lock()
        self.now = self.most = self.begun = 0

    def get_response(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith("/health"):
            return HttpResponse("alive")
        with self.lock:
            self.now += 1
            self.begun += 1
            self.most = max(self.most, self.now)
        if request.path != "/quick":
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


def test_quick_requests_run_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def burst() -> int:
        requests = [request(handler) for _ in range(8)]
        for one in requests:
            await begin(one)
        await asyncio.sleep(0.2)
        at_a_time = handler.now
        handler.let_go.set()
        assert [await status(one) for one in requests] == [200] * 8
        return at_a_time

    monkeypatch.setattr("apps.core.handler.Turn.SECONDS", 60)
    handler = SlowHandler(places=8, queue=100, turns=2)
    assert asyncio.run(burst()) == 2
    assert handler.most == 2


def test_slow_requests_do_not_keep_the_quick_ones_waiting() -> None:
    async def ask() -> list[int]:
        slow, quick = [request(handler) for _ in range(4)], [request(handler, "/quick") for _ in range(6)]
        for one in slow + quick:
            await begin(one)
        answers = [await status(one) for one in quick]
        assert handler.now == 4
        handler.let_go.set()
        return answers + [await status(one) for one in slow]

    handler = SlowHandler(places=5, queue=100, turns=1)
    assert asyncio.run(ask()) == [200] * 10


def test_what_has_begun_is_finished_though_the_client_left() -> None:
    async def leave() -> None:
        first, left = request(handler), request(handler)
        await begin(first)
        await begin(left)  # waits for a place, so it is looked at whether its client stays
        await asyncio.sleep(0.1)
        handler.let_go.set()  # wakes the first
        handler.let_go.clear()
        assert await status(first) == 200
        while handler.begun < 2:
            await asyncio.sleep(0.01)
        await left.send_input({"type": "http.disconnect"})
        await asyncio.sleep(0.1)
        assert handler.now == 1
        handler.let_go.set()
        await left.wait(10)

    handler = SlowHandler(places=1, queue=1)
    asyncio.run(leave())
    assert (handler.begun, handler.now) == (2, 0)


def test_a_request_that_is_ended_just_when_its_turn_comes_keeps_no_place() -> None:
    async def end() -> tuple[bool, bool]:
        async def stays() -> dict[str, Any]:
            await asyncio.sleep(60)
            return {}

        await handler._take()
        waiting = asyncio.create_task(handler._wait(stays))
        await asyncio.sleep(0.05)
        handler._turns.release()
        handler._places.release()
        for _ in range(3):  # until it has its turn, and before it goes on
            await asyncio.sleep(0)
            if handler._turns.locked():
                break
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return handler._places.locked(), handler._turns.locked()

    handler = SlowHandler(places=1, queue=1, turns=1)
    assert asyncio.run(end()) == (False, False)


class Noting(BoundedHandler):
    """Notes in which threads a request is."""

    def __init__(self) -> None:
        super().__init__(places=2)
        self.threads: list[int] = []

    def note(self, **kwargs: Any) -> None:
        self.threads.append(threading.get_ident())

    def get_response(self, request: HttpRequest) -> HttpResponse:
        self.note()
        return HttpResponse("noted")


def test_a_request_begins_and_ends_in_the_thread_of_its_view() -> None:
    async def ask() -> int:
        one = request(handler)
        await begin(one)
        return await status(one)

    handler = Noting()
    request_started.connect(handler.note, sender=Noting)
    request_finished.connect(handler.note, sender=Noting)
    assert asyncio.run(ask()) == 200
    assert len(handler.threads) == 3
    assert len(set(handler.threads) - {threading.get_ident()}) == 1


class Streaming(BoundedHandler):
    """Answers with numbers that have no end unless the client leaves; 13 is an accident."""

    def __init__(self, last: int | None = None) -> None:
        super().__init__(places=2)
        self.last, self.sent, self.closed = last, 0, 0

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        response = StreamingHttpResponse(self.numbers())
        response._resource_closers.append(self.close)  # type: ignore[attr-defined]
        return response

    def close(self) -> None:
        self.closed += 1

    async def numbers(self) -> AsyncIterator[str]:
        while self.sent != self.last:
            if self.sent == 13:
                raise ArithmeticError
            yield f"{self.sent}\n"
            self.sent += 1
            await asyncio.sleep(0)


async def streamed(handler: Streaming) -> bytes:
    one = request(handler)
    await begin(one)
    await one.wait(10)
    parts = [await one.receive_output(1) for _ in range(one.output_queue.qsize())]
    assert [part["type"] for part in parts[:2]] == ["http.response.start", "http.response.body"]
    assert not parts[-1].get("more_body")
    return b"".join(part.get("body", b"") for part in parts)


def test_a_stream_comes_whole() -> None:
    handler = Streaming(last=3)
    assert asyncio.run(streamed(handler)) == b"0\n1\n2\n"
    assert handler.closed == 1


def test_a_stream_ends_when_its_client_leaves() -> None:
    async def leave() -> None:
        one = request(handler)
        await begin(one)
        await one.receive_output(10)
        await one.send_input({"type": "http.disconnect"})
        await one.wait(10)

    handler = Streaming()
    handler.sent = 100
    asyncio.run(leave())
    assert handler.closed == 1


def test_a_stream_that_fails_is_cut_off_and_does_not_look_whole() -> None:
    handler = Streaming()
    with pytest.raises(ArithmeticError):
        asyncio.run(streamed(handler))
    assert handler.closed == 1
