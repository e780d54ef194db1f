"""A local HTTP server that misbehaves as it is told, one fault for each request, in order.

The last fault of the plan is repeated. Every request is recorded.
"""

from __future__ import annotations

import contextlib
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET, socket

Fault = Callable[[socket], None]


def answer(status: int = 200, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> Fault:
    """A well-formed answer."""
    lines = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **(headers or {}),
    }
    head = f"HTTP/1.1 {status} Fault\r\n" + "".join(f"{key}: {value}\r\n" for key, value in lines.items())

    def play(connection: socket) -> None:
        connection.sendall(head.encode() + b"\r\n" + body)

    return play


def drop(connection: socket) -> None:
    """Reset the connection without an answer."""
    connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))


def half_answer(connection: socket) -> None:
    """Promise a hundred bytes, send five, hang up."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")


def malformed(connection: socket) -> None:
    """Something that is not HTTP."""
    connection.sendall(b"\x00\x01 this is no protocol\r\n\r\n")


def silence(seconds: float) -> Fault:
    """Read the request and say nothing for a while."""
    return lambda connection: time.sleep(seconds)


def late(seconds: float, then: Fault) -> Fault:
    """Answer after a while."""

    def play(connection: socket) -> None:
        time.sleep(seconds)
        then(connection)

    return play


def drip(data: bytes, every: float) -> Fault:
    """Send one byte at a time: each read succeeds, the whole never ends."""

    def play(connection: socket) -> None:
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(every)

    return play


def endless(connection: socket) -> None:
    """A body that does not end, as far as the reader goes on reading."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(2000):
            connection.sendall(b"x" * 65536)


@dataclass
class Seen:
    """One request as it arrived. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FaultyServer:
    """What the server will do and what it saw."""

    plan: list[Fault] = field(default_factory=lambda: [answer()])
    seen: list[Seen] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self, request: Seen) -> Fault:
        with self.lock:
            self.seen.append(request)
            return self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]


def _read(connection: socket) -> Seen | None:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        data += chunk
    head, body = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {key.lower(): value.strip() for key, value in (line.split(":", 1) for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    method, path, _ = first.split(" ", 2)
    return Seen(method, path, headers, body)


@contextlib.contextmanager
def faulty_server(*plan: Fault) -> Iterator[FaultyServer]:
    """Run the server on a free port of this machine."""
    state = FaultyServer()
    if plan:
        state.plan = list(plan)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                request = _read(self.request)
                if request is not None:
                    state.next_fault(request)(self.request)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

        def shutdown_request(self, request: socket) -> None:  # type: ignore[override]
            # The stock version sends an orderly end before closing, which would turn a reset into an ending.
            request.close()

    server = Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
