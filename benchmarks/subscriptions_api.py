"""How long the API of risk scores takes with a million scores stored, beside a straightforward view.

    python -m benchmarks.subscriptions_api [--scores 1000000] [--clients 20] [--seconds 10] [--rate 100] [--processes 2]

Makes a scratch database on the server of ``DATABASE_URL``, fills it by SQL, and starts a Valkey and the real ASGI server
of its own. The clients send over keep-alive connections with API tokens, first at a steady rate together (latency counts
from the moment a request was due), then each as fast as it is answered. Each figure is printed as one line of JSON.
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


async def load(
    port: int, requests: dict[str, list[bytes]], *, clients: int, seconds: float, rate: float
) -> tuple[dict[str, list[float]], int, int]:
    """Milliseconds by name of the request, how many were answered, and how many of them not with 200.

    Args:
        rate: requests a second of all clients together; 0 sends each client's next as soon as it was answered.
    """
    took: dict[str, list[float]] = defaultdict(list)
    wrong, begun, end = 0, time.perf_counter(), time.perf_counter() + seconds
    mixed = [(name, itertools.cycle(messages)) for name, messages in requests.items()]

    async def client(number: int) -> None:
        nonlocal wrong
        connection = await asyncio.open_connection("127.0.0.1", port)
        for turn in itertools.count():
            due = begun + (turn * clients + number) / rate if rate else time.perf_counter()
            if due >= end or (not rate and time.perf_counter() >= end):
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            name, messages = mixed[(turn + number) % len(mixed)]
            wrong += await ask(connection, next(messages)) != 200
            took[name].append((time.perf_counter() - due) * 1000)
        connection[1].close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return took, sum(map(len, took.values())), wrong


def measure(port: int, made: dict[str, list[bytes]], options: argparse.Namespace) -> None:
    real = {name: messages for name, messages in made.items() if not name.startswith("straight")}
    plain = {name: messages for name, messages in made.items() if name not in real}
    asyncio.run(load(port, made, clients=4, seconds=6, rate=0))  # the first requests load modules
    for name, group in (("ours", real), ("straightforward", plain)):
        for rate in (options.rate, 0):
            seconds = options.seconds
            took, count, wrong = asyncio.run(
                load(
                    port, group, clients=options.clients, seconds=seconds, rate=rate if name == "ours" else min(rate, 2)
                )
            )
            every = list(itertools.chain(*took.values()))
            pace = f"{rate} a second" if rate and name == "ours" else "2 a second" if rate else "as fast as answered"
            figures = {"requests": count, "not_200": wrong, "all_ms": quantiles(every)}
            servers.say(f"{name}, {pace}", per_second=round(count / seconds), **figures)
            for kind, values in took.items():
                servers.say(f"{name}, {pace}: {kind}", **quantiles(values))


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as place, socket.socket() as free:
        folder = Path(place)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        with servers.valkey_server(folder):
            servers.prepare(f"unix://{folder}/valkey.sock")
            made = fill(options.scores)
            servers.say("filled", scores=options.scores, processes=options.processes, load=os.getloadavg()[0])
            command = [
                "uvicorn", "benchmarks.plain_scores:application", "--port", str(port), "--lifespan", "off",
                "--no-access-log", "--timeout-keep-alive", "60", "--workers", str(options.processes),
            ]  # fmt: skip
            web = servers.start(command, folder, "web", DATABASE_POOL="true")
            try:
                servers.wait_for(port)
                measure(port, made, options)
            except (OSError, asyncio.IncompleteReadError) as error:
                ended = web.poll()
                state = "runs" if ended is None else f"ended with {ended}"
                words = (folder / "web.log").read_text()[-3000:] or "nothing"
                raise SystemExit(f"The server did not answer ({error!r}). It {state} and said:\n{words}") from error
            finally:
                servers.stop(web)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    server = os.environ["DATABASE_URL"]
    try:
        run(options)
    finally:
        servers.drop(server)


if __name__ == "__main__":
    main()
