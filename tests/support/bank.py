"""A payment provider on this machine that keeps books, and whose answers can get lost on the way."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.faulty_server import Fault, FaultyServer, Seen, answer, faulty_server

Body = dict[str, str]


@dataclass
class Bank:
    """Charges each key once. ``before`` faults happen instead of charging, ``after`` faults instead of the answer."""

    server: FaultyServer
    declines: str = ""
    before: list[Fault] = field(default_factory=list)
    after: list[Fault] = field(default_factory=list)
    charged: dict[str, Body] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def money(self) -> list[str]:
        """The amounts that were really taken."""
        return [body["amount"] for body in self.charged.values() if body["status"] == "paid"]

    def handle(self, request: Seen) -> Fault:
        with self.server.lock:
            self.server.seen.append(request)
            if self.before:
                return self.before.pop(0)
            if request.method == "GET":
                found = self.charged.get(request.path.rsplit("/", 1)[-1])
                return _says(200, found) if found else _says(404, {"status": "unknown"})
            key, asked = request.headers["idempotency-key"], json.loads(request.body)
            if key not in self.charged:
                status = {"status": "declined", "decline_code": self.declines} if self.declines else {"status": "paid"}
                self.charged[key] = {
                    "id": f"ch_{len(self.charged) + 1}", "amount": asked["amount"], "currency": asked["currency"], **status
                }  # fmt: skip
            return self.after.pop(0) if self.after else _says(200, self.charged[key])


def _says(status: int, body: Body) -> Fault:
    return answer(status, json.dumps(body).encode())


@contextlib.contextmanager
def bank() -> Iterator[Bank]:
    """Run a bank on a free port."""
    with faulty_server() as server:
        made = Bank(server)
        server.next_fault = made.handle  # type: ignore[method-assign]
        yield made
