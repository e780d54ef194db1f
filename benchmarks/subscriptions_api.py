"""How long the API of risk scores takes with a million scores stored, beside a straightforward view.

    python -m benchmarks.subscriptions_api [--scores 1000000] [--clients 20] [--seconds 10] [--rates 100 200 300] [--processes 2]

Makes a scratch database on the server of ``DATABASE_URL``, fills it by SQL, and starts a Valkey and the real ASGI servers
of its own. The clients are spread over the processes as a proxy would do it, and send over keep-alive connections with API
tokens: all kinds of requests mixed at steady rates together (latency counts from the moment a request was due), then each
client as fast as it is answered, kind by kind and mixed. Each figure is printed as one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import socket
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import servers
from benchmarks.intake import Connection, quantiles

SCOPES, PER_OWNER = 20, 10
servers.NAME = "bench_subscriptions_api"

_FILL = """
INSERT INTO core_scope (slug, name) SELECT 'bench-' || n, 'Bench ' || n FROM generate_series(1, {scopes}) n;
INSERT INTO core_user (username, email, password, first_name, last_name, is_superuser, is_staff, is_active, date_joined)
  SELECT 'owner' || n, 'owner' || n || '@example.com', '!', '', '', false, false, true, now()
  FROM generate_series(1, {owners}) n;
CREATE TEMP TABLE numbered AS SELECT id, row_number() OVER (ORDER BY id) AS n FROM core_user WHERE username ~ '^owner';
CREATE TEMP TABLE places AS SELECT id, row_number() OVER (ORDER BY id) AS n FROM core_scope;
INSERT INTO subscriptions_subscription (
    id, scope_id, owner_id, name, price, currency, "interval", renews_on, status, balance_source, payment_method,
    next_attempt_reason, created_at, updated_at)
  SELECT gen_random_uuid(), p.id, o.id, 'Plan ' || k, 20, 'USD', 'monthly', '2026-03-10', 'active', 'api', '', '',
         now(), now()
  FROM generate_series(0, {scores} - 1) k
  JOIN numbered o ON o.n = k / {per_owner} + 1 JOIN places p ON p.n = (k / {per_owner}) % {scopes} + 1;
INSERT INTO subscription_risk_scores (
    id, subscription_id, user_id, scope_id, risk_level, risk_factors, total_weight, last_calculated_at, last_notified_risk_level,
    rule_version, degraded, degraded_reason)
  SELECT gen_random_uuid(), s.id, s.owner_id, s.scope_id, level, jsonb_build_array(
           jsonb_build_object('factor_type', 'consecutive_failures', 'weight', level, 'weight_value', weight,
             'details', jsonb_build_object('consecutive_failures', weight / 3, 'total_attempts', 6)),
           jsonb_build_object('factor_type', 'balance_projection', 'weight', 'NONE', 'weight_value', 0,
             'details', jsonb_build_object('balance', '100.00', 'currency', 'USD')),
           jsonb_build_object('factor_type', 'approval_expiration', 'weight', 'NONE', 'weight_value', 0,
             'details', jsonb_build_object('approval', 'valid'))),
         weight, now(), '', 'Everybody v1', random() < 0.001, ''
  FROM (SELECT id, owner_id, scope_id, CASE WHEN r < 0.05 THEN 'HIGH' WHEN r < 0.2 THEN 'MEDIUM' ELSE 'LOW' END AS level,
               CASE WHEN r < 0.05 THEN 10 + floor(r * 400)::int WHEN r < 0.2 THEN 5 + floor(r * 20)::int ELSE 0 END
                 AS weight
        FROM (SELECT id, owner_id, scope_id, random() AS r FROM subscriptions_subscription) q) s;
"""


def fill(scores: int) -> dict[str, list[bytes]]:
    """The rows, and the requests to send, by name."""
    from django.db import connection
    from django.utils import timezone

    from apps.core import tokens
    from apps.core.models import Scope, User
    from apps.core.roles import Role
    from apps.subscriptions.models import Subscription
    from tests.core.factories import person

    owners = scores // PER_OWNER
    with connection.cursor() as cursor:
        cursor.execute(_FILL.format(scopes=SCOPES, owners=owners, scores=scores, per_owner=PER_OWNER))
        cursor.execute("VACUUM ANALYZE")

    def request(path: str, user: User) -> bytes:
        token = secrets.setdefault(user.pk, tokens.issue(user=user, name="b", days=1, now=timezone.now())[1])
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", "", ""]
        return "\r\n".join(lines).encode()

    secrets: dict[int, str] = {}
    manager, operator = person(Role.RISK_MANAGER), person(Role.OPERATOR, *Scope.objects.order_by("id")[:2])
    people = list(User.objects.filter(username__startswith="owner").order_by("?")[:50])
    theirs = [(user, Subscription.objects.filter(owner=user)[0].pk) for user in people]
    deep = f"/api/risk-score?cursor=LOW~0.00~{'7' * 8}-7777-4777-8777-{'7' * 12}"
    made = {
        "an owner's score": [request(f"/api/risk-score/{pk}", user) for user, pk in theirs],
        "an owner's list": [request("/api/risk-score", user) for user, _ in theirs],
        "list of all": [request("/api/risk-score", manager)],
        "list of all, far behind": [request(deep, manager)],
        "list of all, MEDIUM": [request("/api/risk-score?level=MEDIUM", manager)],
        "list of all, degraded": [request("/api/risk-score?degraded=true", manager)],
        "list of 2 of 20 organisations": [request("/api/risk-score", operator)],
        "straightforward: an owner's list": [request("/plain/risk-score", user) for user, _ in theirs],
        "straightforward: list of all": [request("/plain/risk-score", manager)],
        "straightforward: list of 2 of 20 organisations": [request("/plain/risk-score", operator)],
        "straightforward: an owner's score": [request(f"/plain/risk-score/{pk}", user) for user, pk in theirs],
    }
    connection.close()
    return made


async def ask(connection: Connection, message: bytes) -> int:
    """One request by hand: a client library costs more than what is measured, on the same two cores."""
    reader, writer = connection
    writer.write(message)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))
    return int(head.split()[1])


@dataclass
class Took:
    """What clients saw: milliseconds by kind of request, and how many answers were not 200."""

    by_kind: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: int = 0

    def say(self, what: str, seconds: float, *, kinds: bool) -> None:
        every = list(itertools.chain(*self.by_kind.values()))
        servers.say(what, per_second=round(len(every) / seconds), not_200=self.wrong, **quantiles(every))
        for kind, values in self.by_kind.items() if kinds else ():
            servers.say(f"{what}: {kind}", **quantiles(values))


async def load(
    ports: Sequence[int], requests: dict[str, list[bytes]], *, clients: int, seconds: float, rate: float = 0
) -> Took:
    """Let clients ask.

    Args:
        rate: requests a second of all clients together; 0 sends each client's next as soon as it was answered.
    """
    took, begun = Took(), time.perf_counter()
    mixed = [(kind, itertools.cycle(messages)) for kind, messages in requests.items()]

    async def client(number: int) -> None:
        connection = await asyncio.open_connection("127.0.0.1", ports[number % len(ports)])
        for turn in itertools.count():
            due = begun + (turn * clients + number) / rate if rate else time.perf_counter()
            if due >= begun + seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            kind, messages = mixed[(turn + number) % len(mixed)]
            took.wrong += await ask(connection, next(messages)) != 200
            took.by_kind[kind].append((time.perf_counter() - due) * 1000)
        connection[1].close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return took


def measure(ports: Sequence[int], made: dict[str, list[bytes]], options: argparse.Namespace) -> None:
    ours = {kind: messages for kind, messages in made.items() if not kind.startswith("straight")}
    plain = {kind: messages for kind, messages in made.items() if kind not in ours}
    clients, seconds = options.clients, options.seconds

    def run(what: str, group: dict[str, list[bytes]], *, rate: float = 0, kinds: bool = False) -> None:
        took = asyncio.run(load(ports, group, clients=clients, seconds=seconds, rate=rate))
        took.say(what, seconds, kinds=kinds)

    asyncio.run(load(ports, made, clients=4, seconds=6))  # the first requests load modules
    for rate in options.rates:
        run(f"ours, {rate:g} a second", ours, rate=rate, kinds=True)
    for kind, messages in ours.items():
        run(f"ours, without pause, only {kind}", {kind: messages})
    run("ours, without pause, mixed", ours, kinds=True)
    run("straightforward, 2 a second", plain, rate=2, kinds=True)
    run("straightforward, without pause, mixed", plain, kinds=True)


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as place, ExitStack() as sockets:
        folder = Path(place)
        free = [sockets.enter_context(socket.socket()) for _ in range(options.processes)]
        for one in free:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in free]
        sockets.close()
        with servers.valkey_server(folder):
            servers.prepare(f"unix://{folder}/valkey.sock")
            made = fill(options.scores)
            servers.say("filled", scores=options.scores, processes=options.processes, load=os.getloadavg()[0])
            webs = [servers.start(_server(port), folder, "web", DATABASE_POOL="true") for port in ports]
            try:
                for port in ports:
                    servers.wait_for(port)
                measure(ports, made, options)
            except (OSError, asyncio.IncompleteReadError) as error:
                states = [web.poll() for web in webs]
                words = (folder / "web.log").read_text()[-3000:] or "nothing"
                raise SystemExit(
                    f"A server did not answer ({error!r}); ended with {states}. They said:\n{words}"
                ) from error
            finally:
                for web in webs:
                    servers.stop(web)


def _server(port: int) -> list[str]:
    """As in the Dockerfile, with the straightforward view beside the site."""
    return [
        "uvicorn", "benchmarks.plain_scores:application", "--port", str(port), "--lifespan", "off", "--no-access-log",
        "--no-server-header", "--no-proxy-headers", "--timeout-keep-alive", "60",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rates", type=float, nargs="*", default=[100, 200, 300])
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    server = os.environ["DATABASE_URL"]
    try:
        run(options)
    finally:
        servers.drop(server)


if __name__ == "__main__":
    main()
