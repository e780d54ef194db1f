"""How often refund alarms are false and how soon true ones come: statistics against fixed limits.

    python benchmarks/refunds.py FOLDER [--starts 30]

FOLDER holds ``orders.csv`` (order_id, created_at), ``order_items.csv`` (order_item_id, order_id, product_id) and
``order_item_refunds.csv`` (created_at, order_item_id, order_id). Every complete day with enough history is judged as the
detectors judge it; then extra refunds are added for some days and the alarms are counted. Needs no database.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)  # instead of this folder, whose names must not hide modules
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django  # noqa: E402

django.setup()

from apps.orders.detectors import refund_drift, refund_spike  # noqa: E402
from apps.orders.models import Store  # noqa: E402
from apps.orders.refund_days import Counted, History, refunded  # noqa: E402

SPIKE, DRIFT = refund_spike.Settings(), refund_drift.Settings()
Extra = list[tuple[int, int, int]]  # product, day, age


def rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    with (folder / name).open(newline="") as lines:
        yield from csv.DictReader(lines)


def day_of(text: str) -> date:
    return date.fromisoformat(text[:10])


@dataclass
class Shop:
    """Orders and refunds by product and day, counted from the first order's day."""

    first: date
    days: int
    orders: list[int]
    products: dict[int, list[int]]
    refunds: Extra

    @classmethod
    def read(cls, folder: Path) -> Shop:
        placed = {row["order_id"]: day_of(row["created_at"]) for row in rows(folder, "orders.csv")}
        first, last = min(placed.values()), max(placed.values())
        days = (last - first).days + 1
        orders = [0] * days
        for day in placed.values():
            orders[(day - first).days] += 1
        products: dict[int, list[int]] = defaultdict(lambda: [0] * days)
        product_of, seen = {}, set()
        for row in rows(folder, "order_items.csv"):
            product = product_of[row["order_item_id"]] = int(row["product_id"])
            if (row["order_id"], product) not in seen:
                seen.add((row["order_id"], product))
                products[product][(placed[row["order_id"]] - first).days] += 1
        refunds = []
        for row in rows(folder, "order_item_refunds.csv"):
            day, ordered = day_of(row["created_at"]), placed[row["order_id"]]
            if (day - first).days < days:
                refunds.append((product_of[row["order_item_id"]], (day - first).days, (day - ordered).days))
        return cls(first, days, orders, dict(products), refunds)

    def history(self, until: int, length: int, longest: int, extra: Extra) -> History:
        """The days before ``until``, as a detector reads them."""
        start = until - length
        found = History(
            Store(pk=1, name="Shop"),
            self.first + timedelta(days=start),
            [0] * max(0, -start) + self.orders[max(0, start) : until],
        )
        counts: dict[int | None, Counter[tuple[int, int]]] = defaultdict(Counter)
        for product, day, age in [*self.refunds, *extra]:
            if start <= day < until and age <= longest:
                counts[None][day - start, age] += 1
                counts[product][day - start, age] += 1
        listed: dict[int | None, list[Counted]] = {
            key: [(day, age, count) for (day, age), count in found.items()] for key, found in counts.items()
        }
        found.refunds = listed.pop(None, [])
        found.products.update({product: one for product, one in listed.items() if product is not None})
        return found


def spike(shop: Shop, day: int, extra: Extra, settings: refund_spike.Settings = SPIKE) -> bool:
    """Whether the spike detector alarms about a day, for the shop or a product of it."""
    length = SPIKE.baseline_days + SPIKE.longest_lag + 1
    history, judged = shop.history(day + 1, length, SPIKE.longest_lag, extra), length - 1
    baseline = range(judged - SPIKE.baseline_days, judged)
    shares = history.shares(baseline, SPIKE.longest_lag)
    trials = [refund_spike._store_test(history, judged, baseline, history.due(shares))]
    for product in history.products:
        part = History(history.store, history.first, shop.products[product][max(0, day + 1 - length) : day + 1])
        due = part.due(shares)
        pair = sum(due[baseline.start : baseline.stop]), due[judged]
        one = refund_spike._product_test(history, product, judged, baseline, {product: pair})
        if one.baseline_orders >= SPIKE.minimum_orders:
            trials.append(one)
    return any(refund_spike._family(trials, 0, settings))


def drift(shop: Shop, day: int, extra: Extra) -> bool:
    """Whether the drift detector alarms at the end of a day."""
    length = DRIFT.watch_days + DRIFT.baseline_days + DRIFT.longest_lag
    found = refund_drift._drift(shop.history(day + 1, length, DRIFT.longest_lag, extra), length, DRIFT)
    return found is not None and found.level is not None


def fixed(shop: Shop, day: int, extra: Extra, days: int, limit: float) -> bool:
    """Whether refunds of some days are more than a fixed share of the same days' orders."""
    within = range(day - days + 1, day + 1)
    refunds = sum(one in within for _, one, _ in [*shop.refunds, *extra])
    orders = sum(shop.orders[one] for one in within)
    return orders > 0 and refunds / orders > limit


RULES = {
    "spike": spike,
    "spike, q = 5 %": lambda shop, day, extra: spike(
        shop, day, extra, SPIKE.model_copy(update={"false_discoveries": 0.05})
    ),
    "drift": drift,
    "fixed 5 % a day": lambda shop, day, extra: fixed(shop, day, extra, 1, 0.05),
    "fixed 3 % a week": lambda shop, day, extra: fixed(shop, day, extra, 7, 0.03),
}


def injected(shop: Shop, chance: random.Random, start: int, days: int, factor: float) -> Extra:
    """Extra refunds that raise the normal rate by a factor: of orders placed before, with ages as they are."""
    length = SPIKE.baseline_days + SPIKE.longest_lag
    history = shop.history(start, length, SPIKE.longest_lag, [])
    baseline = range(length - SPIKE.baseline_days, length)
    shares = history.shares(baseline, SPIKE.longest_lag)
    rate = refunded(history.refunds, baseline) / sum(history.due(shares)[baseline.start :])
    known = [(product, age) for product, day, age in shop.refunds if start - SPIKE.baseline_days <= day < start]
    extra = []
    for day in range(start, min(start + days, shop.days)):
        due = sum(shop.orders[day - age] * share for age, share in enumerate(shares))
        count = sum(chance.random() < rate * (factor - 1) for _ in range(round(due)))
        extra += [(product, day, age) for product, age in chance.choices(known, k=count)]
    return extra


def false_alarms(shop: Shop, normal: list[int], broken: range) -> None:
    years = len(normal) / 365
    print(f"\nwithout anything added, {len(normal)} days judged (outside the known bad weeks)")
    print(f"  {'rule':<18} {'days with alarm':>16} {'share':>8} {'alarms begun a year':>20} {'in the bad weeks':>18}")
    for name, rule in RULES.items():
        alarms = {day: rule(shop, day, []) for day in [*normal, *broken]}
        count = sum(alarms[day] for day in normal)
        begun = sum(alarms[day] and not alarms.get(day - 1, False) for day in normal)
        bad = next((number for number, day in enumerate(broken, 1) if alarms[day]), None)
        seen = f"first on day {bad}" if bad else "never" if broken else "not in the data"
        print(f"  {name:<18} {count:>16} {count / len(normal):>8.1%} {begun / years:>20.1f} {seen:>18}")


def power(shop: Shop, starts: list[int], chance: random.Random) -> None:
    print(f"\nspikes of so many days, {len(starts)} places: share that alarmed on one of these days")
    print(f"  {'factor':>6} {'days':>5}", *[f"{name:>18}" for name in RULES])
    for factor in (1.5, 2.0, 3.0, 5.0):
        for days in (1, 3, 7):
            extras = [(start, injected(shop, chance, start, days, factor)) for start in starts]
            shares = [
                sum(any(rule(shop, day, extra) for day in range(start, start + days)) for start, extra in extras)
                / len(starts)
                for rule in RULES.values()
            ]
            print(f"  {factor:>6} {days:>5}", *[f"{share:>18.0%}" for share in shares], flush=True)


def delay(shop: Shop, starts: list[int], chance: random.Random) -> None:
    print(f"\nlasting rises, {len(starts)} places: median days to the first alarm within 60 days (found)")
    for factor in (1.5, 2.0):
        found: dict[str, list[int]] = {name: [] for name in RULES}
        for start in starts:
            extra = injected(shop, chance, start, 60, factor)
            for name, rule in RULES.items():
                first = next((day - start + 1 for day in range(start, start + 60) if rule(shop, day, extra)), None)
                found[name] += [first] if first else []
        cells = []
        for name, days in found.items():
            middle = sorted(days)[len(days) // 2] if days else "-"
            cells.append(f"{name}: {middle} ({len(days)} of {len(starts)})")
        print(f"  x {factor}: " + ", ".join(cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--starts", type=int, default=30, help="places at which refunds are added")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bad-from", type=date.fromisoformat, default=date(2014, 8, 1), help="weeks known to be bad")
    parser.add_argument("--bad-to", type=date.fromisoformat, default=date(2014, 10, 15))
    options: Any = parser.parse_args()
    shop = Shop.read(options.folder)
    print(f"{sum(shop.orders):,} orders, {len(shop.refunds):,} refunds, {shop.days} days from {shop.first}")
    warm = DRIFT.watch_days + DRIFT.baseline_days + DRIFT.longest_lag
    ends = ((day - shop.first).days for day in (options.bad_from, options.bad_to))
    bad = range(*(min(max(day, 0), shop.days - 1) for day in ends))
    normal = [day for day in range(warm, shop.days - 1) if day not in bad]
    chance = random.Random(options.seed)
    false_alarms(shop, normal, bad)
    # Injected refunds need calm weeks before and after them.
    calm = [day for day in normal if day + 60 < shop.days and not set(range(day, day + 60)) & set(bad)]
    power(shop, sorted(chance.sample(calm, options.starts)), chance)
    delay(shop, sorted(chance.sample(calm, max(4, options.starts // 3))), chance)


if __name__ == "__main__":
    main()
