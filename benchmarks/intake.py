"""How fast store data comes in: webhooks acknowledged, events become cards, nothing is lost, files imported.

    python -m benchmarks.intake [--seconds 30] [--rate 100] [--orders 50000] [--only webhooks|import] [--folder OLIST]

Makes a scratch database ``bench_intake`` on the server of ``DATABASE_URL`` and starts a Valkey, one web process and one
worker of its own, which it may therefore kill. Each figure is printed as one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.imports import imports
from benchmarks.servers import drop, prepare, say, start, start_worker, stop, valkey_server, wait_for

WARM_UP = 3  # seconds
SECRET, DOMAIN = "benchmark", "bench.example.com"


def documents(count: int) -> list[tuple[str, bytes, dict[str, str]]]:
    """Signed webhooks: new orders, and every tenth is one that must become a card."""
    from random import Random

    from apps.orders.demo.lively import signed
    from apps.orders.demo.shop import LAMPS, Shop

    shop, now, made = Shop(Random(1), "USD", "US", LAMPS, base=10**9), datetime.now(UTC), []
    cheap = [place for place, (_, price) in enumerate(LAMPS) if float(price) < 300]
    for number in range(count):
        at = now - timedelta(days=6) if number % 10 == 0 else now
        order = shop.order(
            shop.buyer(at, known=0.2), at, chosen=[cheap[number % len(cheap)]], updated_at=now.isoformat()
        )
        body, headers = signed(
            "orders/create", order, domain=DOMAIN, secret=SECRET, webhook_id=f"bench-{number}", at=now
        )
        made.append((str(order["id"]) if number % 10 == 0 else "", body, headers))
    return made


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def post(connection: Connection, body: bytes, headers: dict[str, str]) -> int:
    """One request, by hand: a client library costs more than what is measured, on the same two cores."""
    reader, writer = connection
    lines = [
        f"{name}: {value}" for name, value in {**headers, "Host": "127.0.0.1", "Content-Length": len(body)}.items()
    ]
    writer.write("\r\n".join(["POST /webhooks/shopify HTTP/1.1", *lines, "", ""]).encode() + body)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))
    return int(head.split()[1])


async def send(
    url: str, webhooks: list[tuple[str, bytes, dict[str, str]]], rate: float, sent: dict[str, float]
) -> list[tuple[float, int]]:
    """Send them at a steady rate, whether or not earlier ones were answered; latency counts from when each was due."""
    loop, begun, idle = asyncio.get_running_loop(), time.perf_counter(), list[Connection]()
    address = urlsplit(url)

    async def one(place: int, ref: str, body: bytes, headers: dict[str, str]) -> tuple[float, int]:
        due = begun + place / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if ref:
            sent[ref] = time.time()
        status = 0
        for _ in range(20):  # as the platform does, only sooner
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                connection = idle.pop() if idle else await asyncio.open_connection(address.hostname, address.port)
                async with asyncio.timeout(30):
                    status = await post(connection, body, headers)
                idle.append(connection)
                if status == 200:
                    break
            await asyncio.sleep(0.5)
        return (time.perf_counter() - due) * 1000, status

    tasks = [loop.create_task(one(place, *webhook)) for place, webhook in enumerate(webhooks)]
    answers = list(await asyncio.gather(*tasks))
    for _, writer in idle:
        writer.close()
    return answers


class CardWatch:
    """Notes when each expected card is there for others to see; run :meth:`look` often."""

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}

    def look(self) -> None:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT o.external_id FROM actions_actioncard c JOIN orders_order o ON c.subject = 'order:' || o.id "
                "WHERE c.rule = 'order-ageing'"
            )
            now = time.time()
            for (ref,) in cursor.fetchall():
                self.seen.setdefault(ref, now)

    async def run(self, until: asyncio.Event) -> None:
        while not until.is_set():
            await asyncio.to_thread(self.look)
            await asyncio.sleep(0.2)


async def measure(url: str, webhooks: list, rate: float) -> tuple[list[tuple[float, int]], list[float], int]:
    """Latencies of the acknowledgements, seconds from event to card, and cards that never came."""
    sent: dict[str, float] = {}
    watch, over = CardWatch(), asyncio.Event()
    watching = asyncio.create_task(watch.run(over))
    answers = await send(url, webhooks, rate, sent)
    for _ in range(450):
        if sent.keys() <= watch.seen.keys():
            break
        await asyncio.sleep(0.2)
    over.set()
    await watching
    delays = [watch.seen[ref] - at for ref, at in sent.items() if ref in watch.seen]
    return answers, delays, len(sent) - len(delays)


def quantiles(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {}
    cut = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cut[49], 2), "p95": round(cut[94], 2), "p99": round(cut[98], 2), "max": round(max(values), 2)}


def webhooks(seconds: int, rate: float) -> None:
    from apps.core.models import Scope
    from apps.orders.models import Store, WebhookDelivery

    scope = Scope.objects.create(slug="bench", name="Bench")
    Store.objects.create(scope=scope, platform="shopify", domain=DOMAIN, name="Bench", webhook_secret=SECRET)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        os.environ["REDIS_URL"] = f"unix://{folder}/valkey.sock"
        web_command = [
            "uvicorn",
            "config.asgi:application",
            "--port",
            str(port),
            "--lifespan",
            "off",
            "--no-access-log",
        ]
        with valkey_server(folder) as valkey:
            web = start(web_command, folder, "web", DATABASE_POOL="true")
            worker = start_worker(folder)
            try:
                wait_for(port)
                url, made = f"http://127.0.0.1:{port}", documents(int((seconds + WARM_UP + 20) * rate))
                asyncio.run(measure(url, made[: int(WARM_UP * rate)], rate))  # the first requests load modules
                warm = int(WARM_UP * rate)
                steady = made[warm : warm + int(seconds * rate)]
                answers, delays, missing = asyncio.run(measure(url, steady, rate))
                say("webhooks", rate=rate, sent=len(answers), refused=sum(code != 200 for _, code in answers),
                    ack_ms=quantiles([ms for ms, _ in answers]), card_s=quantiles(delays), cards_missing=missing)  # fmt: skip
                worker = _through_kills(url, made[warm + len(steady) :], rate, folder, valkey, worker)
                left = WebhookDelivery.objects.exclude(status="done").count()
                say("kept", deliveries=WebhookDelivery.objects.count(), of=len(made), unprocessed=left)
            finally:
                stop(worker)
                stop(web)
                if os.environ.get("BENCH_LOGS"):
                    print((folder / "web.log").read_text()[-3000:], (folder / "worker.log").read_text()[-3000:])


def _through_kills(
    url: str, made: list, rate: float, folder: Path, valkey: list[subprocess.Popen], worker: subprocess.Popen
) -> subprocess.Popen:
    """Send on while the worker and then Valkey are killed and come back; the sweep that beat would ask for is ours."""
    from apps.orders.tasks import process_pending_webhooks

    async def kill() -> subprocess.Popen:
        await asyncio.sleep(4)
        stop(worker)
        await asyncio.sleep(4)
        fresh = start_worker(folder)
        await asyncio.sleep(3)
        valkey[0].kill()
        valkey[0].wait()
        await asyncio.sleep(3)
        valkey[0] = subprocess.Popen(valkey[0].args, stdout=subprocess.DEVNULL)
        await asyncio.sleep(2)
        return fresh

    async def both() -> tuple[Any, subprocess.Popen]:
        sending = asyncio.create_task(send(url, made, rate, {}))
        fresh = await kill()
        return await sending, fresh

    answers, fresh = asyncio.run(both())
    from apps.orders.models import WebhookDelivery

    begun = time.perf_counter()
    for _ in range(150):
        pending = WebhookDelivery.objects.filter(status="pending")
        if not pending.exists():
            break
        # A delivery that the killed worker had taken is due again when its lease is over; the clock is set forward.
        pending.filter(attempts__gt=0).update(next_attempt_at=datetime.now(UTC))
        with suppress(Exception):
            process_pending_webhooks.apply_async(retry=False)
        time.sleep(2)
    say("through kills of worker and Valkey", sent=len(answers), refused=sum(code != 200 for _, code in answers),
        ack_ms=quantiles([ms for ms, _ in answers]), caught_up_s=round(time.perf_counter() - begun, 1))  # fmt: skip
    return fresh


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--orders", type=int, default=50_000)
    parser.add_argument("--only", choices=["webhooks", "import"], default="")
    parser.add_argument("--folder", type=Path, help="a folder of Olist's own files instead of made ones")
    given = parser.parse_args()
    server = os.environ["DATABASE_URL"]
    prepare(os.environ["REDIS_URL"])
    # Asked to end, it ends its processes too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        if given.only != "import":
            webhooks(given.seconds, given.rate)
        if given.only != "webhooks":
            imports(given.orders, given.folder)
    finally:
        drop(server)


if __name__ == "__main__":
    main()
