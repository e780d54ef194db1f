"""How often cards about ageing orders and late parcels come true, on past orders with a known end.

    python benchmarks/thresholds.py FOLDER [--as-of 2017-08-01 2017-11-15 2018-02-01]

FOLDER holds Olist's files. For each moment the files are imported as they would have looked then (everything later is left
out), the detectors run with several thresholds, and the cards are compared with what the files say happened afterwards:

- an ageing card came true if the order was then handed over later than nine of ten orders are, or never;
- a delay card came true if the parcel then arrived after the date promised to the customer, or never.

Works in a scratch database ``bench_thresholds``, which is dropped at the end.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import ZoneInfo

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)  # instead of this folder, whose names must not hide modules
NAME = "bench_thresholds"
ZONE = ZoneInfo("America/Sao_Paulo")
DAY = timedelta(days=1)
MOMENTS = ["2017-05-02", "2017-08-01", "2017-10-03", "2017-12-05", "2018-01-02", "2018-02-01"]


@dataclass(frozen=True, slots=True)
class End:
    """What the files say of an order, whole."""

    placed: datetime
    handed: datetime | None
    arrived: datetime | None
    promised: datetime
    status: str


def ends(folder: Path) -> dict[str, End]:
    def moment(text: str) -> datetime | None:
        return datetime.fromisoformat(text).replace(tzinfo=ZONE) if text else None

    found = {}
    with (folder / "olist_orders_dataset.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            placed, promised = moment(row["order_purchase_timestamp"]), moment(row["order_estimated_delivery_date"])
            if placed and promised:
                handed, arrived = row["order_delivered_carrier_date"], row["order_delivered_customer_date"]
                found[row["order_id"]] = End(placed, moment(handed), moment(arrived), promised, row["order_status"])
    return found


def slow_wait(found: dict[str, End]) -> timedelta:
    """The wait for the carrier that nine of ten orders stay below."""
    waits = sorted(end.handed - end.placed for end in found.values() if end.handed)
    return waits[len(waits) * 9 // 10]


def waiting(found: dict[str, End], now: datetime) -> dict[str, End]:
    """Orders that had not been handed over at a moment."""
    return {
        key: end for key, end in found.items()
        if end.placed <= now and (end.handed is None or end.handed > now) and (end.arrived is None or end.arrived > now)
        and end.status not in ("canceled", "unavailable")
    }  # fmt: skip


def moving(found: dict[str, End], now: datetime) -> dict[str, End]:
    """Orders that were on their way at a moment."""
    return {
        key: end for key, end in found.items()
        if end.handed and end.handed <= now and (end.arrived is None or end.arrived > now)
    }  # fmt: skip


def store_of(now: datetime) -> str:
    """Each moment has a store of its own."""
    return f"As of {now:%Y-%m-%d}"


def cards(slug: str, now: datetime, **settings: int) -> set[str]:
    """External ids of the orders that a detector finds in the store of a moment."""
    from apps.actions.rules import rules
    from apps.orders.models import Order

    rule = rules[slug]
    ids = [hit.data["orderId"] for hit in rule.detect(now=now, settings=rule.settings(**settings), subjects=None)]
    return set(Order.objects.filter(pk__in=ids, store__name=store_of(now)).values_list("external_id", flat=True))


Counts = tuple[int, int, int]
TOTAL: dict[str, Counts] = {}
"""Cards, cards that came true and what came true, over all moments."""


def line(title: str, cards: set[str], true: set[str], universe: set[str]) -> None:
    """Precision: cards that came true. Recall: of what came true, what had a card at this moment."""
    cards = cards & universe
    counts = len(cards), len(cards & true), len(true)
    former = TOTAL.get(title, (0, 0, 0))
    TOTAL[title] = former[0] + counts[0], former[1] + counts[1], former[2] + counts[2]
    show(title, counts)


def show(title: str, counts: Counts) -> None:
    cards, hits, true = counts
    precision = f"{hits / cards:6.1%}" if cards else "     -"
    recall = f"{hits / true:6.1%}" if true else "     -"
    print(f"    {title:<26} {cards:>6,} cards  precision {precision}  recall {recall}", flush=True)


def ageing(found: dict[str, End], now: datetime) -> None:
    slow, open_ = slow_wait(found), waiting(found, now)
    true = {key for key, end in open_.items() if end.handed is None or end.handed - end.placed > slow}
    print(f"  ageing: {len(open_):,} waiting, {len(true):,} of them then waited over {slow / DAY:.1f} days or for ever")
    for days in (1, 2, 3, 4, 5, 6, 7, 10):
        settings = {"warning_days": days, "critical_days": days + 1, "urgent_days": days + 2}
        line(f"ageing over {days} days", cards("order-ageing", now, **settings), true, set(open_))


def delay(found: dict[str, End], now: datetime) -> None:
    under_way = moving(found, now)
    true = {key for key, end in under_way.items() if end.arrived is None or end.arrived > end.promised + DAY}
    print(f"  delay: {len(under_way):,} in transit, {len(true):,} of them then arrived after the promised day or never")
    for days in (3, 5, 7, 10, 14, 21, 28):
        line(f"delay over {days} days", cards("carrier-delay", now, standard_days=days), true, set(under_way))


def judge(folder: Path, found: dict[str, End], moments: list[datetime]) -> Iterator[datetime]:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for now in moments:
        call_command(
            "import_orders", folder, mapping="olist", as_of=now, store=store_of(now), stdout=io.StringIO(), stderr=io.StringIO(),
        )  # fmt: skip
        yield now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--as-of", nargs="+", default=MOMENTS)
    parser.add_argument("--url", default=os.environ.get("DATABASE_URL", ""), help="of the server (DATABASE_URL)")
    options = parser.parse_args()
    import psycopg

    parts = urlsplit(options.url)
    server = urlunsplit(parts._replace(path="/postgres"))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {NAME}")
    os.environ.update(
        DATABASE_URL=urlunsplit(parts._replace(path=f"/{NAME}")), DJANGO_SETTINGS_MODULE="config.settings"
    )
    import django

    django.setup()
    try:
        found = ends(options.folder)
        moments = [datetime.fromisoformat(text).replace(tzinfo=ZONE) for text in options.as_of]
        for now in judge(options.folder, found, moments):
            print(f"as of {now:%Y-%m-%d}")
            ageing(found, now)
            delay(found, now)
        print("all moments together")
        for title in sorted(TOTAL, key=lambda title: (title.split()[0], int(title.split()[2]))):
            show(title, TOTAL[title])
    finally:
        from django.db import connections

        connections.close_all()
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


if __name__ == "__main__":
    main()
