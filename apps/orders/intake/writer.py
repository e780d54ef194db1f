"""Writes rows of store data, set by set: the one way in for webhooks, reconciliation and files.

Each table is one ``INSERT .. SELECT .. ON CONFLICT DO UPDATE`` whose source is either JSON (a few rows of one webhook)
or a temporary table filled by COPY (a file). The statements themselves keep the rules: older news never overwrites newer
(``updated_at``), what is equal is not written, people who were forgotten stay forgotten, and a final state of a payment
or a parcel is not taken back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, get_type_hints

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction

from apps.orders.intake import rows as kinds
from apps.orders.models import Store

PG_TYPES: Mapping[Any, str] = {
    str: "text",
    int: "integer",
    Decimal: "numeric",
    datetime: "timestamptz",
    datetime | None: "timestamptz",
}


@dataclass(frozen=True, slots=True)
class Target:
    """How the rows of one kind are written.

    Args:
        name: attribute of :class:`~apps.orders.intake.rows.Rows`.
        row: the dataclass; its fields are the columns of the source, ``s``.
        table: where to.
        unique: columns of the unique constraint; the first is found by a join, or is the store.
        key: what makes a source row unique, for sources that repeat rows.
        newest: how to choose among repeated source rows.
        columns: column to its SQL expression over the source and the joins.
        joins: finds database keys.
        guard: condition under which the existing row, ``t``, may be changed.
        keep: columns that news without a value leaves alone.
        told: set whenever something else changes (not a reason to write).
    """

    name: str
    row: type
    table: str
    unique: tuple[str, ...]
    key: str
    columns: Mapping[str, str]
    joins: str = ""
    newest: str = ""
    guard: str = "true"
    keep: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()

    def source_columns(self) -> list[tuple[str, str]]:
        hints = get_type_hints(self.row)
        return [(item.name, PG_TYPES[hints[item.name]]) for item in fields(self.row)]

    def statement(self, source: str) -> str:
        """The statement for a source: a table's name or a function call."""
        order = f"{self.key}{', ' + self.newest if self.newest else ''}"
        insert = ", ".join(self.columns)
        select = ", ".join(self.columns.values())
        changing = [column for column in self.columns if column not in self.unique]
        news = {column: self._news(column) for column in changing}
        compared = [column for column in changing if column not in self.told]
        different = (
            f"({', '.join(f't.{column}' for column in compared)}) IS DISTINCT FROM "
            f"({', '.join(news[column] for column in compared)})"
        )
        return (  # names of tables and columns, from this file alone
            f"INSERT INTO {self.table} AS t ({insert}) SELECT {select} "  # noqa: S608
            f"FROM (SELECT DISTINCT ON ({self.key}) * FROM {source} ORDER BY {order}) s {self.joins} "
            f"ON CONFLICT ({', '.join(self.unique)}) DO UPDATE SET "
            f"{', '.join(f'{column} = {value}' for column, value in news.items())} "
            f"WHERE ({self.guard}) AND {different}"
        )

    def _news(self, column: str) -> str:
        if column not in self.keep:
            return f"EXCLUDED.{column}"
        empty = "''" if "''" in self.columns[column] else "NULL"
        value = f"NULLIF(EXCLUDED.{column}, '')" if empty == "''" else f"EXCLUDED.{column}"
        return f"COALESCE({value}, t.{column})"


_ORDER = "JOIN orders_order o ON o.store_id = %(store)s AND o.external_id = s.order_ref"
_PRODUCT = (
    "LEFT JOIN orders_product p ON p.store_id = %(store)s AND p.external_id = s.product_ref AND s.product_ref <> ''"
)


def _same(*names: str) -> dict[str, str]:
    return {name: f"s.{name}" for name in names}


def _text(*names: str) -> dict[str, str]:
    return {name: f"COALESCE(s.{name}, '')" for name in names}


CUSTOMERS = Target(
    name="customers",
    row=kinds.CustomerRow,
    table="orders_customer",
    unique=("store_id", "external_id"),
    key="external_id",
    newest="updated_at DESC",
    columns={
        "store_id": "%(store)s",
        **_same("external_id", "created_at", "updated_at"),
        **_text("email", "phone", "name"),
    },
    keep=frozenset({"email", "phone", "name", "created_at"}),
    guard="t.redacted_at IS NULL AND t.updated_at <= EXCLUDED.updated_at",
    told=frozenset({"updated_at"}),
)
PRODUCTS = Target(
    name="products",
    row=kinds.ProductRow,
    table="orders_product",
    unique=("store_id", "external_id"),
    key="external_id",
    columns={"store_id": "%(store)s", **_same("external_id", "title")},
)
# Somebody who asked to be forgotten may order again; the order is kept, the person is not.
_PERSONAL = ("email", "billing_name", "shipping_name", "address_key", "ip_key", "payment_key")
ORDERS = Target(
    name="orders",
    row=kinds.OrderRow,
    table="orders_order",
    unique=("store_id", "external_id"),
    key="external_id",
    newest="updated_at DESC",
    joins="LEFT JOIN orders_customer c ON c.store_id = %(store)s AND c.external_id = s.customer_ref AND s.customer_ref <> ''",
    columns={
        "store_id": "%(store)s",
        "customer_id": "c.id",
        **_same(
            "external_id", "number", "currency", "total", "financial_status", "fulfillment_status",
            "fulfillment_scheduled_at", "created_at", "updated_at", "cancelled_at", "cancel_reason", "closed_at",
            "estimated_delivery_at", "shipping_method", "billing_country", "shipping_country",
        ),
        **_text("ip_country"),
        **{column: f"CASE WHEN c.redacted_at IS NULL THEN s.{column} ELSE '' END" for column in _PERSONAL},
        "tags": "s.tags::jsonb",
        "synced_at": "%(now)s",
    },
    guard="t.updated_at <= EXCLUDED.updated_at",
    keep=frozenset(
        {"customer_id", "fulfillment_scheduled_at", "estimated_delivery_at", "ip_country", "address_key", "ip_key", "payment_key"}
    ),
    told=frozenset({"synced_at"}),
)  # fmt: skip
LINES = Target(
    name="lines",
    row=kinds.LineRow,
    table="orders_orderline",
    unique=("order_id", "external_id"),
    key="order_ref, external_id",
    newest="told_at DESC",
    joins=f"{_ORDER} AND o.updated_at <= s.told_at {_PRODUCT}",
    columns={"order_id": "o.id", "product_id": "p.id", **_same("external_id", "title", "quantity", "price")},
    keep=frozenset({"product_id"}),
)
FULFILLMENTS = Target(
    name="fulfillments",
    row=kinds.FulfillmentRow,
    table="orders_fulfillment",
    unique=("order_id", "external_id"),
    key="order_ref, external_id",
    newest="updated_at DESC",
    joins=_ORDER,
    columns={
        "order_id": "o.id",
        "method": "COALESCE(NULLIF(s.method, ''), o.shipping_method)",
        **_same("external_id", "created_at", "updated_at", "status", "estimated_delivery_at", "delivered_at"),
        **_text("carrier", "tracking_number", "tracking_url"),
        "synced_at": "%(now)s",
    },
    # A parcel that arrived has arrived; late news of an earlier state must not send it back on its way.
    guard="t.updated_at <= EXCLUDED.updated_at "
    "AND NOT (t.status = 'delivered' AND EXCLUDED.status IN ('pending', 'in_transit'))",
    keep=frozenset({"carrier", "tracking_number", "tracking_url", "estimated_delivery_at", "delivered_at"}),
    told=frozenset({"synced_at"}),
)
EVENTS = Target(
    name="events",
    row=kinds.EventRow,
    table="orders_fulfillmentevent",
    unique=("fulfillment_id", "external_id"),
    key="order_ref, fulfillment_ref, external_id",
    joins=f"{_ORDER} JOIN orders_fulfillment f ON f.order_id = o.id AND f.external_id = s.fulfillment_ref",
    columns={"fulfillment_id": "f.id", **_same("external_id", "status", "happened_at", "message")},
)
REFUNDS = Target(
    name="refunds",
    row=kinds.RefundRow,
    table="orders_refund",
    unique=("order_id", "external_id"),
    key="order_ref, external_id",
    joins=_ORDER,
    columns={
        "order_id": "o.id",
        "store_id": "o.store_id",
        "customer_id": "o.customer_id",
        "currency": "COALESCE(NULLIF(s.currency, ''), o.currency)",
        **_same("external_id", "amount", "created_at", "note"),
        "synced_at": "%(now)s",
    },
    # Late news from before the money moved must not take the amount back.
    guard="EXCLUDED.amount > 0 OR t.amount = 0",
    newest="amount DESC",
    told=frozenset({"synced_at"}),
)
REFUND_LINES = Target(
    name="refund_lines",
    row=kinds.RefundLineRow,
    table="orders_refundline",
    unique=("refund_id", "external_id"),
    key="order_ref, refund_ref, external_id",
    joins=f"{_ORDER} JOIN orders_refund r ON r.order_id = o.id AND r.external_id = s.refund_ref "
    f"LEFT JOIN orders_orderline l ON l.order_id = o.id AND l.external_id = s.line_ref AND s.line_ref <> '' {_PRODUCT}",
    columns={
        "refund_id": "r.id",
        "order_line_id": "l.id",
        "product_id": "COALESCE(p.id, l.product_id)",
        **_same("external_id", "quantity", "amount"),
    },
    keep=frozenset({"order_line_id", "product_id"}),
)
TRANSACTIONS = Target(
    name="transactions",
    row=kinds.TransactionRow,
    table="orders_transaction",
    unique=("order_id", "external_id"),
    key="order_ref, external_id",
    newest="(status = 'pending')",
    joins=f"{_ORDER} LEFT JOIN orders_refund r ON r.order_id = o.id AND r.external_id = s.refund_ref "
    "AND s.refund_ref <> ''",
    columns={
        "order_id": "o.id",
        "refund_id": "r.id",
        "currency": "COALESCE(NULLIF(s.currency, ''), o.currency)",
        **_same("external_id", "kind", "status", "amount", "created_at"),
        **_text("gateway", "error_code"),
    },
    keep=frozenset({"refund_id", "gateway", "error_code"}),
    guard="NOT (t.status <> 'pending' AND EXCLUDED.status = 'pending')",
)
# In the order in which they refer to each other.
TARGETS = (CUSTOMERS, PRODUCTS, ORDERS, LINES, FULFILLMENTS, EVENTS, REFUNDS, REFUND_LINES, TRANSACTIONS)

# What carriers report, oldest first, decides over what the parcel itself says; an arrival is final.
_SETTLE = """
    UPDATE orders_fulfillment f SET status = e.status, synced_at = %(now)s,
        delivered_at = CASE WHEN e.status = 'delivered' THEN e.happened_at ELSE f.delivered_at END
    FROM (
        SELECT DISTINCT ON (v.fulfillment_id) v.fulfillment_id, v.happened_at,
            CASE WHEN v.status = 'delivered' THEN 'delivered' WHEN v.status = 'failure' THEN 'failed' ELSE 'in_transit' END status
        FROM orders_fulfillmentevent v
        JOIN orders_fulfillment f ON f.id = v.fulfillment_id
        JOIN orders_order o ON o.id = f.order_id
        WHERE o.store_id = %(store)s AND o.external_id = ANY(%(orders)s)
          AND v.status NOT IN ('label_printed', 'label_purchased', 'confirmed')
        ORDER BY v.fulfillment_id, v.status = 'delivered' DESC, v.happened_at DESC
    ) e
    WHERE f.id = e.fulfillment_id AND f.status <> 'cancelled' AND f.status <> e.status
      AND (e.status = 'delivered' OR (f.status <> 'delivered' AND e.happened_at >= f.created_at))
"""


@transaction.atomic
def write(store: Store, rows: kinds.Rows, *, now: datetime) -> int:
    """Write the rows of a few orders.

    Args:
        now: when we learnt it.

    Returns:
        How many rows were new or changed.
    """
    changed = 0
    with connection.cursor() as cursor:
        for target in TARGETS:
            found = getattr(rows, target.name)
            if not found:
                continue
            columns = ", ".join(f"{name} {kind}" for name, kind in target.source_columns())
            source = f"jsonb_to_recordset(%(rows)s::jsonb) AS x({columns})"
            values = json.dumps([asdict(row) for row in found], cls=DjangoJSONEncoder)
            cursor.execute(target.statement(source), {"store": store.pk, "now": now, "rows": values})
            changed += cursor.rowcount
    if rows.payment_keys:
        changed += _recognise_cards(store, rows.payment_keys)
    if rows.events:
        changed += settle(store, {row.order_ref for row in rows.events}, now=now)
    return changed


def _recognise_cards(store: Store, keys: Mapping[str, str]) -> int:
    """Give orders the card that a payment of theirs told of, where the order itself did not and nobody was forgotten."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_order o SET payment_key = k.value FROM jsonb_each_text(%(keys)s::jsonb) k "
            "WHERE o.store_id = %(store)s AND o.external_id = k.key AND o.payment_key = '' AND NOT EXISTS "
            "(SELECT FROM orders_customer c WHERE c.id = o.customer_id AND c.redacted_at IS NOT NULL)",
            {"store": store.pk, "keys": json.dumps(keys)},
        )
        return cursor.rowcount


def settle(store: Store, orders: Iterable[str], *, now: datetime) -> int:
    """Let parcels of some orders (external ids) follow their carriers' events."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, {"store": store.pk, "orders": sorted(orders), "now": now})
        return cursor.rowcount
