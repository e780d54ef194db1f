"""Refunds day by day, for statistics: orders placed, orders refunded, and how many were due at equal age.

Days are complete days of each store's own time zone; the last is the store's yesterday. Refunds count on the day they are
made, if money moved, and only up to a longest age of the order, so that they compare with the orders due (see
:mod:`apps.orders.statistics`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, DateField, DateTimeField, F, Func, QuerySet
from django.db.models.functions import Cast

from apps.orders.findings import Group, group, local_day
from apps.orders.models import Order, Refund, RefundLine, Store
from apps.orders.statistics import due_orders, lag_shares

Counted = tuple[int, int, int]
"""Day (place in the history), age of the order in days, and how many orders were refunded."""


@dataclass(slots=True)
class History:
    """One store's days.

    Args:
        first: the first day.
        orders: placed on each day.
        refunds: refunded orders by day and age.
        products: the same for each product that was refunded; only where asked for.
    """

    store: Store
    first: date
    orders: list[int]
    refunds: list[Counted] = field(default_factory=list)
    products: dict[int, list[Counted]] = field(default_factory=lambda: defaultdict(list))

    def day(self, place: int) -> date:
        return self.first + timedelta(days=place)

    def shares(self, days: range, longest: int) -> list[float]:
        """The share of refunds at each age, among those made on some days."""
        return lag_shares([age for day, age, count in self.refunds if day in days for _ in range(count)], longest)

    def due(self, shares: Sequence[float]) -> list[float]:
        """Orders due for a refund on each day; the first ``len(shares) - 1`` days lack their past."""
        return due_orders(self.orders, shares)


def refunded(counted: Iterable[Counted], days: range) -> int:
    """Orders refunded on some days."""
    return sum(count for day, _, count in counted if day in days)


def histories(stores: Iterable[Store], now: datetime, days: int, longest: int, *, products: bool) -> list[History]:
    """The last complete days of some stores; two queries, three with products.

    Args:
        days: how many.
        longest: age in days of an order up to which its refunds count.
    """
    found = {}
    for store in stores:
        found[store.pk] = History(store, local_day(now, store) - timedelta(days=days), [0] * days)
    since = now - timedelta(days=days + 2)  # local days may begin half a day earlier; what is too early is left out
    orders = Order.objects.existing().filter(store__in=found, created_at__gte=since, created_at__lte=now)
    for store_id, day, count in _per_day(orders, "store_id", day=_day("created_at")):
        place = (day - found[store_id].first).days
        if 0 <= place < days:
            found[store_id].orders[place] = count
    refunds = Refund.objects.money_moved().filter(store__in=found, created_at__gte=since, created_at__lte=now)
    for store_id, *rest in _refunds(refunds, "store_id", prefix=""):
        _add(found[store_id], found[store_id].refunds, *rest, longest=longest)
    if products:
        lines = RefundLine.objects.filter(refund__in=refunds, product__isnull=False)
        for product, store_id, *rest in _refunds(lines, "product_id", "refund__store_id", prefix="refund__"):
            _add(found[store_id], found[store_id].products[product], *rest, longest=longest)
    return list(found.values())


def _add(history: History, to: list[Counted], day: date, ordered: date, count: int, *, longest: int) -> None:
    place, age = (day - history.first).days, (day - ordered).days
    if 0 <= place < len(history.orders) and 0 <= age <= longest:
        to.append((place, age, count))


def _day(column: str, store: str = "store") -> Cast:
    """The day of a time in the store's time zone."""
    zone = Func(F(f"{store}__time_zone"), F(column), function="timezone", output_field=DateTimeField())
    return Cast(zone, DateField())


def _per_day(rows: QuerySet[Any], *keys: str, **days: Cast) -> Iterable[tuple[Any, ...]]:
    counted = rows.order_by().annotate(**days).values(*keys, *days).annotate(count=Count("pk"))
    return counted.values_list(*keys, *days, "count").iterator(chunk_size=5000)


def _refunds(rows: QuerySet[Any], *keys: str, prefix: str) -> Iterable[tuple[Any, ...]]:
    """Refunded orders by keys, day of the refund and day of the order; an order counts once a day."""
    days = {
        "day": _day(f"{prefix}created_at", f"{prefix}store"),
        "ordered": _day(f"{prefix}order__created_at", f"{prefix}store"),
    }
    grouped = rows.order_by().annotate(**days).values(*keys, *days)
    counted = grouped.annotate(count=Count(f"{prefix}order_id", distinct=True))
    return counted.values_list(*keys, *days, "count").iterator(chunk_size=5000)


# Stores and days are joined by one number. By two columns the planner merges by the store alone and compares every order of
# a store with every day, for it does not know how few stores there are.
_PRODUCTS_DUE = """
    SELECT sold.store_id, sold.product_id, sum(w.base), sum(w.share)
    FROM (
        SELECT DISTINCT o.store_id, o.id, l.product_id, (o.created_at AT TIME ZONE s.time_zone)::date AS day
        FROM orders_store s JOIN orders_order o ON o.store_id = s.id JOIN orders_orderline l ON l.order_id = o.id
        WHERE s.id = ANY(%(only)s) AND o.created_at >= %(since)s AND o.created_at <= %(now)s AND o.deleted_at IS NULL
            AND l.product_id IS NOT NULL
    ) sold
    JOIN unnest(%(keys)s::bigint[], %(bases)s::float8[], %(shares)s::float8[]) AS w (key, base, share)
        ON w.key = sold.store_id * 1000000 + (sold.day - '0001-01-01'::date)
    GROUP BY sold.store_id, sold.product_id
"""


@dataclass(slots=True)
class Weights:
    """How much an order of each day counts for a judged day and for its baseline.

    An order counts as often as refunds of its age are due; summing that over orders is the same as summing due orders over
    days, and needs no table of products by days.
    """

    stores: list[int] = field(default_factory=list)
    days: list[date] = field(default_factory=list)
    bases: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

    def add(self, history: History, judged: int, baseline: range, shares: Sequence[float]) -> None:
        """Add one store's weights."""
        for place in range(max(0, baseline.start - len(shares) + 1), judged + 1):
            reach = range(max(0, baseline.start - place), min(len(shares), baseline.stop - place))
            self.stores.append(history.store.pk)
            self.days.append(history.day(place))
            self.bases.append(sum(shares[reach.start : reach.stop]) if reach else 0.0)
            self.shares.append(shares[judged - place] if judged - place < len(shares) else 0.0)


def products_due(weights: Weights, now: datetime) -> dict[int, dict[int, tuple[float, float]]]:
    """Orders due of each product, by store: in the baseline and on the judged day. One query; none without stores."""
    found: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
    if not weights.days:
        return found
    values: dict[str, Any] = {
        "only": sorted(set(weights.stores)),
        "since": now - (now.date() - min(weights.days) + timedelta(days=2)),
        "now": now,
        "keys": [
            store * 1_000_000 + day.toordinal() - 1 for store, day in zip(weights.stores, weights.days, strict=True)
        ],
        "bases": weights.bases,
        "shares": weights.shares,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PRODUCTS_DUE, values)
        for store, product, base, day in cursor.fetchall():
            found[store][product] = base, day
    return found


def paid_back(stores: Iterable[int], products: Iterable[int], since: datetime, now: datetime) -> dict[Any, Group]:
    """What refunds paid back, by (store, day) and by (product, day); two queries."""
    within = {"created_at__gte": since, "created_at__lte": now}
    refunds = Refund.objects.money_moved().filter(store__in=list(stores), **within).annotate(day=_day("created_at"))
    rows = refunds.order_by("pk").values_list(
        "store_id", "day", "order_id", "amount", "currency", "created_at", "synced_at"
    )
    found: dict[Any, Group] = {(f"store:{store}", day): one for (store, day), one in group(rows).items()}
    lines = RefundLine.objects.filter(
        refund__in=Refund.objects.money_moved().filter(**within), product__in=list(products)
    ).annotate(day=_day("refund__created_at", "refund__store"))
    parts = lines.order_by("pk").values_list(
        "product_id", "day", "refund__order_id", "amount", "refund__currency", "refund__created_at", "refund__synced_at"
    )
    return found | {(f"product:{product}", day): one for (product, day), one in group(parts).items()}
