"""What detectors share: what an event touched, days of a store, money by currency, and the words of figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, F, FloatField, Func, Q

from apps.actions.rules import Hit, Source, Subjects, Tier
from apps.core.numbers import plural
from apps.orders.models import Order, Refund, Store

IDENTITIES = {"customer": "customer_id", "payment": "payment_key", "address": "address_key", "ip": "ip_key"}
"""How one buyer is recognised, surest first: kind of subject to column of :class:`Order`."""

DIGESTS = frozenset({"payment", "address", "ip"})
"""Kinds whose key is a digest. Two stores may know the same one, so their subjects are ``kind:store:digest``."""

SHOWN_IDS = 50
"""So many ids stand in evidence; the counts are of all."""

PLATFORM_SOURCES: dict[str, Source] = {"shopify": "shopify", "file": "import"}


class Epoch(Func):
    """A time as seconds since 1970, to be made a time again by :func:`moment`.

    For rules with tens of thousands of rows: reading a number costs a tenth of reading a time.
    """

    template = "extract(epoch from %(expressions)s)::float8"
    output_field = FloatField()

    def __init__(self, column: str) -> None:
        super().__init__(F(column))


def moment(seconds: float) -> datetime:
    """The time of an :class:`Epoch`, exact to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC)


@dataclass(slots=True)
class Touched:
    """What an event touched, with the stores and identities of the touched orders.

    ``everything`` is true in a sweep; the sets are empty then. Digests stand as pairs with their store.
    """

    everything: bool = False
    ids: dict[str, set[Any]] = field(default_factory=lambda: defaultdict(set))

    def where(self, kind: str, column: str) -> Q:
        """Condition that a row's column is one of the touched of a kind; no condition in a sweep."""
        return Q() if self.everything else Q(**{f"{column}__in": sorted(self.ids[kind])})


def touched(subjects: Subjects | None) -> Touched:
    """Resolve subjects to orders, stores, customers and other identities, in one query; none for a sweep."""
    if subjects is None:
        return Touched(everything=True)
    result = Touched()
    for key in subjects.keys:
        kind, _, value = key.partition(":")
        result.ids[kind].add(_pair(value) if kind in DIGESTS else int(value))
    which = Q(pk__in=result.ids["order"])
    for kind, path in (("fulfillment", "fulfillments__in"), ("refund", "refunds__in")):
        if result.ids[kind]:
            which |= Q(**{path: result.ids[kind]})
    rows = Order.objects.filter(which).values_list("pk", "store_id", *IDENTITIES.values())
    for pk, store, *identities in rows.distinct():
        result.ids["order"].add(pk)
        result.ids["store"].add(store)
        for kind, value in zip(IDENTITIES, identities, strict=True):
            if value:
                result.ids[kind].add((store, value) if kind in DIGESTS else value)
    return result


def _pair(value: str) -> tuple[int, str]:
    store, _, digest = value.partition(":")
    return int(store), digest


def source_of(platform: str) -> Source:
    """The evidence's source for a store's platform."""
    return PLATFORM_SOURCES.get(platform, "import")


def local_day(moment: datetime, store: Store) -> date:
    """The day of a moment in the store's time zone."""
    return moment.astimezone(ZoneInfo(store.time_zone)).date()


def start_of(day: date, store: Store) -> datetime:
    """The moment a day begins in the store's time zone."""
    return datetime.combine(day, time(), ZoneInfo(store.time_zone))


def days_between(stores: Iterable[Store], now: datetime, days: int) -> Q:
    """Condition on ``store`` and ``created_at``: the last days of each store in its own time zone, today included."""
    condition = Q(pk__in=[])
    for store in stores:
        first = local_day(now, store) - timedelta(days=days - 1)
        condition |= Q(store=store.pk, created_at__gte=start_of(first, store), created_at__lte=now)
    return condition


class Money:
    """Sums of money by currency; currencies are never added to each other."""

    def __init__(self, amounts: Iterable[tuple[str, Decimal]] = ()) -> None:
        self.sums: dict[str, Decimal] = {}
        for currency, amount in amounts:
            self.add(currency, amount)

    def add(self, currency: str, amount: Decimal) -> None:
        self.sums[currency] = self.sums.get(currency, Decimal(0)) + amount

    def raise_to(self, currency: str, amount: Decimal) -> None:
        """Keep the largest of several amounts instead of their sum."""
        self.sums[currency] = max(self.sums.get(currency, amount), amount)

    def main(self, preferred: str) -> tuple[Decimal, str]:
        """The sum that a card shows: that of the store's currency, else the first by name."""
        if preferred in self.sums or not self.sums:
            return self.sums.get(preferred, Decimal(0)), preferred
        currency = min(self.sums)
        return self.sums[currency], currency

    def as_json(self) -> dict[str, str]:
        return {currency: str(self.sums[currency]) for currency in sorted(self.sums)}

    def __str__(self) -> str:
        return " and ".join(money(self.sums[currency], currency) for currency in sorted(self.sums)) or "nothing"


def money(amount: Decimal, currency: str) -> str:
    """Such as ``USD 1,234.50``."""
    return f"{currency} {amount:,.2f}"


def percent(share: float) -> str:
    """Such as ``2.9 %``."""
    return f"{share * 100:.1f} %"


def count_of(refunds: int, orders: int) -> str:
    """Such as ``3 of 41``."""
    return f"{refunds:,} of {orders:,}"


def refund_hit(
    *,
    store: Store,
    subject: str,
    pattern: str,
    draft: str,
    rationale: str,
    data: Mapping[str, Any],
    observed_at: datetime,
    impact: tuple[Decimal, str],
    confidence: str = "0.90",
    tier: Tier = "policy",
    expected_loss: Decimal | None = None,
) -> Hit:
    """A hit with what all refund anomalies have in common: hard to resolve, a person's own work, policy tier."""
    return Hit(
        subject=subject,
        scope_id=store.scope_id,
        target=f"Refund Pattern: {pattern}"[:200],
        draft=draft,
        rationale=rationale,
        data={"pattern": pattern, "storeId": store.pk, **data},
        source=source_of(store.platform),
        operation="refund-query",
        query="refunds.list",
        observed_at=observed_at,
        expected_impact=impact[0],
        currency=impact[1],
        confidence=Decimal(confidence),
        ease=2,
        tier=tier,
        can_execute=False,
        expected_loss=expected_loss,
    )


@dataclass(slots=True)
class Rate:
    """Refunds and orders of one store in a window of its days."""

    store: Store
    orders: int = 0
    refunds: int = 0
    paid_back: Money = field(default_factory=Money)
    order_ids: list[int] = field(default_factory=list)
    observed_at: datetime | None = None

    @property
    def share(self) -> float:
        return self.refunds / self.orders


def refund_rates(now: datetime, days: int, subjects: Subjects | None) -> list[Rate]:
    """Refunds and orders of each touched store in its last days, today included; three or four queries."""
    stores = Store.objects.filter(touched(subjects).where("store", "pk"))
    rates = {store.pk: Rate(store) for store in stores}
    within = days_between((rate.store for rate in rates.values()), now, days)
    orders = Order.objects.existing().filter(within).order_by().values("store_id").annotate(count=Count("pk"))
    for row in orders:
        rates[row["store_id"]].orders = row["count"]
    refunds = Refund.objects.money_moved().filter(within).order_by("pk")
    for store, order, amount, currency, synced in refunds.values_list(
        "store_id", "order_id", "amount", "currency", "synced_at"
    ).iterator(chunk_size=5000):
        rate = rates[store]
        rate.refunds += 1
        rate.paid_back.add(currency, amount)
        rate.observed_at = max(synced, rate.observed_at or synced)
        if len(rate.order_ids) < SHOWN_IDS:
            rate.order_ids.append(order)
    return list(rates.values())


def fraud_hit(
    *,
    store: Store,
    subject: str,
    target: str,
    draft: str,
    rationale: str,
    data: Mapping[str, Any],
    observed_at: datetime,
    impact: tuple[Decimal, str],
    confidence: str,
    tier: Tier,
    operation: str = "order-query",
    query: str = "orders.list",
    can_execute: bool = False,
) -> Hit:
    """A hit with what all fraud patterns have in common. Only what is about one order can be acted on by approving."""
    return Hit(
        subject=subject,
        scope_id=store.scope_id,
        target=target[:200],
        draft=draft,
        rationale=rationale,
        data={"storeId": store.pk, **data},
        source=source_of(store.platform),
        operation=operation,
        query=query,
        observed_at=observed_at,
        expected_impact=impact[0],
        currency=impact[1],
        confidence=Decimal(confidence),
        ease=3 if can_execute else 2,
        tier=tier,
        can_execute=can_execute,
    )


def order_name(number: str) -> str:
    """Such as ``Order #1234``; a platform's numbers carry their own sign, written once either way."""
    return f"Order #{number.lstrip('#')}"


def fixed_rate_hit(rate: Rate, *, now: datetime, pattern: str, when: str, timeframe: str, limit: float) -> Hit:
    """The hit of a store whose refund rate is over a fixed limit."""
    counts = count_of(rate.refunds, rate.orders)
    return refund_hit(
        store=rate.store,
        subject=f"store:{rate.store.pk}",
        pattern=f"{pattern} ({rate.store.name})",
        draft=f"Refund anomaly detected: {percent(rate.share)} of orders at {rate.store.name}. "
        f"{plural(rate.refunds, 'refund')} in {timeframe}. Pattern: {pattern}",
        rationale=f"{percent(rate.share)} of {when} orders have been refunded ({counts}), above the {percent(limit)} "
        f"threshold; {rate.paid_back} paid back. This may indicate product quality issues, fraud, or policy abuse.",
        data={
            "refundCount": rate.refunds,
            "orderCount": rate.orders,
            "threshold": limit,
            "day": local_day(now, rate.store).isoformat(),
            "paidBack": rate.paid_back.as_json(),
            "affectedOrders": rate.order_ids,
        },
        observed_at=rate.observed_at or now,
        impact=rate.paid_back.main(rate.store.currency),
    )


@dataclass(slots=True)
class Group:
    """Refunds, orders or payments that belong to one customer, product or other identity of a store."""

    store_id: int
    key: Any
    count: int = 0
    sums: Money = field(default_factory=Money)
    largest: Money = field(default_factory=Money)
    order_ids: list[int] = field(default_factory=list)
    first_at: datetime | None = None
    last_at: datetime | None = None
    observed_at: datetime | None = None

    def add(self, *, order: int, amount: Decimal, currency: str, at: datetime, synced: datetime) -> None:
        """Count one more; times keep their extremes, whatever the order of adding."""
        self.count += 1
        self.sums.add(currency, amount)
        self.largest.raise_to(currency, amount)
        self.first_at = min(at, self.first_at or at)
        self.last_at = max(at, self.last_at or at)
        self.observed_at = max(synced, self.observed_at or synced)
        if len(self.order_ids) < SHOWN_IDS and order not in self.order_ids:
            self.order_ids.append(order)

    def as_json(self) -> dict[str, Any]:
        return {
            "firstAt": self.first_at.isoformat() if self.first_at else None,
            "lastAt": self.last_at.isoformat() if self.last_at else None,
            "affectedOrders": self.order_ids,
            "amounts": self.sums.as_json(),
        }


GroupRow = tuple[int, Any, int, Decimal, str, datetime, datetime]
"""Store, key, order, amount, currency, time and time of learning of it."""


def group(rows: Iterable[GroupRow]) -> dict[tuple[int, Any], Group]:
    """Collect rows by store and key."""
    groups: dict[tuple[int, Any], Group] = {}
    for store, key, order, amount, currency, at, synced in rows:
        found = groups.get((store, key)) or groups.setdefault((store, key), Group(store, key))
        found.add(order=order, amount=amount, currency=currency, at=at, synced=synced)
    return groups


def stores_by_id(ids: Iterable[int]) -> dict[int, Store]:
    """The stores of hits, in one query."""
    return Store.objects.in_bulk(set(ids))


def order_fraud_hit(
    order: Order,
    *,
    pattern: str,
    rationale: str,
    data: Mapping[str, Any],
    confidence: str,
    tier: Tier,
    observed_at: datetime | None = None,
) -> Hit:
    """The hit of one suspicious order, which approving can hold, tag or annotate. Needs its store at hand.

    Args:
        pattern: what is wrong with it, as half a sentence.
        observed_at: when the youngest fact was known; that of the order if None.
    """
    name, total = order_name(order.number), money(order.total, order.currency)
    return fraud_hit(
        store=order.store,
        subject=f"order:{order.pk}",
        target=name,
        draft=f"{name}: {pattern}. Total: {total}",
        rationale=rationale,
        data={
            "orderId": order.pk,
            "total": str(order.total),
            "currency": order.currency,
            "createdAt": order.created_at.isoformat(),
            "status": order.fulfillment_status,
            "financialStatus": order.financial_status,
            **data,
        },
        observed_at=observed_at or order.synced_at,
        impact=(order.total, order.currency),
        confidence=confidence,
        tier=tier,
        can_execute=True,
    )
