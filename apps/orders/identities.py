"""Orders that belong together because one buyer is recognised in them: by account, card, address or browser.

A detector says which orders count and how many are too many; what is found of several identities but is the same set of
orders is told once, by the surest identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from apps.actions.rules import Subjects
from apps.orders.findings import DIGESTS, IDENTITIES, Group, GroupRow, Touched, group, order_name, touched
from apps.orders.models import Customer, Order, Store

WORDS = {"customer": "customer", "payment": "payment card", "address": "shipping address", "ip": "IP address"}


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """Orders of one store in which one identity is recognised.

    Args:
        kind: of :data:`~apps.orders.findings.IDENTITIES`.
        found: their figures.
        orders: all of their ids.
    """

    kind: str
    found: Group
    orders: frozenset[int]

    @property
    def subject(self) -> str:
        if self.kind in DIGESTS:
            return f"{self.kind}:{self.found.store_id}:{self.found.key}"
        return f"{self.kind}:{self.found.key}"

    @property
    def words(self) -> str:
        """Such as ``one payment card``."""
        return f"one {WORDS[self.kind]}"


def suspicious(
    subjects: Subjects | None, sql: str, values: Mapping[str, Any], limit: Callable[[str], int]
) -> Iterator[tuple[Cluster, Store, str]]:
    """Clusters at or above the limit of their kind, each told once, with their store and name.

    Args:
        sql: selects rows of the form :data:`~apps.orders.findings.GroupRow` by ``%(limit)s`` and ``values``. ``{key}``
            stands for the column of the identity, ``{known}`` for the condition on orders ``o`` that it has a value,
            ``{chosen}`` for the condition that it is to be judged.
        limit: how many are too many for a kind of identity.
    """
    which = touched(subjects)
    found = list(_clusters(which, sql, values, limit))
    told = told_once(found)
    if told and not which.everything:
        # What is touched may be covered by what is not, but shares its orders: the same as a sweep would see.
        orders = frozenset().union(*(cluster.orders for cluster in told))
        around = touched(Subjects(frozenset(f"order:{order}" for order in orders)))
        judged = {cluster.subject for cluster in told}
        told = [one for one in told_once(_clusters(around, sql, values, limit)) if one.subject in judged]
    yield from named(told)


def _clusters(which: Touched, sql: str, values: Mapping[str, Any], limit: Callable[[str], int]) -> Iterator[Cluster]:
    """Clusters of every kind, surest first; a query for each, and one for the stores in a sweep."""
    stores = list(Store.objects.order_by().values_list("pk", flat=True)) if which.everything else []
    for kind, column in IDENTITIES.items():
        if not which.everything and not which.ids[kind]:
            continue
        chosen, keys = _chosen(kind, which, stores)
        statement = sql.format(key=f"o.{column}", known=_known(kind), chosen=chosen)
        with connection.cursor() as cursor:
            cursor.execute(statement, {**values, **keys, "limit": limit(kind)})
            yield from collected(kind, cursor.fetchall())


def _known(kind: str) -> str:
    """The condition by which partial indexes on an identity serve."""
    column = f"o.{IDENTITIES[kind]}"
    return f"{column} <> ''" if kind in DIGESTS else f"{column} IS NOT NULL"


def _chosen(kind: str, which: Touched, stores: list[int]) -> tuple[str, dict[str, Any]]:
    """Condition on orders ``o``: the identity is known and, after an event, one of those touched.

    A sweep names every store, because the index over time begins with it.
    """
    known, column = _known(kind), f"o.{IDENTITIES[kind]}"
    if which.everything:
        return f"{known} AND o.store_id = ANY(%(stores)s)", {"stores": stores}
    keys = sorted(which.ids[kind])
    if kind in DIGESTS:
        pairs = "SELECT * FROM unnest(%(stores)s::bigint[], %(keys)s::text[])"
        values = {"stores": [store for store, _ in keys], "keys": [key for _, key in keys]}
        return f"{known} AND (o.store_id, {column}) IN ({pairs})", values
    return f"{known} AND {column} = ANY(%(keys)s)", {"keys": keys}


def collected(kind: str, rows: Sequence[GroupRow]) -> list[Cluster]:
    """Rows of one kind of identity, by store and key."""
    orders: dict[tuple[int, Any], set[int]] = {}
    for store, key, order, *_ in rows:
        orders.setdefault((store, key), set()).add(order)
    return [Cluster(kind, found, frozenset(orders[key])) for key, found in group(rows).items()]


def told_once(found: Iterable[Cluster]) -> list[Cluster]:
    """Leave out what a surer identity says already: clusters whose orders are all in another one's of their store.

    Args:
        found: surest kind first.
    """
    kept: list[Cluster] = []
    by_order: dict[int, list[Cluster]] = {}
    for cluster in found:
        rivals = by_order.get(next(iter(cluster.orders)), [])
        if any(cluster.orders <= rival.orders for rival in rivals if rival.kind != cluster.kind):
            continue
        kept.append(cluster)
        for order in cluster.orders:
            by_order.setdefault(order, []).append(cluster)
    return kept


def named(found: Sequence[Cluster]) -> Iterator[tuple[Cluster, Store, str]]:
    """Each cluster with its store and its name for the operator; three queries.

    A card, an address and a browser are kept as digests only, so they are named by their newest order.
    """
    stores = Store.objects.in_bulk({cluster.found.store_id for cluster in found})
    customers = Customer.objects.in_bulk([cluster.found.key for cluster in found if cluster.kind == "customer"])
    newest = {cluster: max(cluster.orders) for cluster in found if cluster.kind in DIGESTS}
    numbers = dict(Order.objects.filter(pk__in=set(newest.values())).order_by().values_list("pk", "number"))
    for cluster in found:
        if cluster.kind == "customer":
            name = f"Customer {customers[cluster.found.key]}"
        else:
            word = WORDS[cluster.kind]
            order = order_name(numbers[newest[cluster]])
            name = f"{word[0].upper()}{word[1:]} of {order[0].lower()}{order[1:]}"
        yield cluster, stores[cluster.found.store_id], name


def span(found: Group) -> str:
    """How long a cluster took, such as ``2 hours`` or ``5 days``."""
    if found.first_at is None or found.last_at is None:
        return "no time"
    return duration(found.first_at, found.last_at)


def duration(first: datetime, last: datetime) -> str:
    """The time between two moments in one unit, rounded up."""
    minutes = -(-int((last - first).total_seconds()) // 60)
    for size, word in ((1440, "day"), (60, "hour")):
        if minutes >= 2 * size:
            count = -(-minutes // size)
            return f"{count} {word}s"
    return f"{max(minutes, 1)} minute{'s' if minutes > 1 else ''}"
