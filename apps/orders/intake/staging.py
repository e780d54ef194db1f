"""The temporary tables of an import: filled by COPY, completed by joins, written by the same statements as all rows.

They live until the transaction ends. Each row knows its file and line, so that what belongs to nothing can be named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from datetime import datetime
from typing import Any

from django.db import connection

from apps.orders.intake.fields import Emitter
from apps.orders.intake.mapping import FileSpec, Mapping
from apps.orders.intake.writer import TARGETS, Target
from apps.orders.models import Customer, Fulfillment, Order, OrderLine, Product, Refund, RefundLine, Store, Transaction

JOINED = frozenset({"customers", "products", "orders", "fulfillments", "refunds"})
"""Kinds that others are joined to."""


class Staging:
    """The temporary tables of one import into one store."""

    def __init__(self, store: Store, mapping: Mapping, now: datetime) -> None:
        self.store, self.mapping, self.now = store, mapping, now
        self._files: list[str] = []
        used = {row.kind for spec in mapping.files for row in spec.rows}
        self._used = [target for target in TARGETS if target.name in used]
        # Orders are joined to even where a mapping makes none.
        tables = {
            target.name: _columns(target) for target in TARGETS if target in self._used or target.name == "orders"
        }
        for name, columns in {**tables, "alias": "alias text, stands_for text", "later": "ref text"}.items():
            # Two imports in one transaction follow each other.
            self._run(f"DROP TABLE IF EXISTS pg_temp.stage_{name}")
            self._run(f"CREATE TEMP TABLE stage_{name} ({columns}) ON COMMIT DROP")

    def _run(self, statement: str, values: Any = None) -> int:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.rowcount

    def kinds(self) -> Sequence[Target]:
        """What the mapping makes, in the order in which it must be written."""
        return self._used

    def alias_columns(self, spec: FileSpec) -> list[str]:
        """The two columns of this file in which ids stand for others; empty for other files."""
        alias = self.mapping.customers
        return [alias.alias, alias.stands_for] if alias and alias.file == spec.name else []

    def copy(self, emitter: Emitter, file: str, texts: Sequence[str]) -> None:
        """Hand rows over; each begins with its line's number."""
        if not texts:
            return
        if file not in self._files:
            self._files.append(file)
        place = self._files.index(file)
        named = ", ".join(["line", *emitter.columns])
        self._run(f"ALTER TABLE stage_{emitter.kind} ALTER file SET DEFAULT {place}")
        self._copy(f"COPY stage_{emitter.kind} ({named}) FROM STDIN", texts)

    def copy_aliases(self, texts: Sequence[str]) -> None:
        if texts:
            self._copy("COPY stage_alias FROM STDIN", texts)

    def _copy(self, statement: str, texts: Sequence[str]) -> None:
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write("\n".join(texts) + "\n")

    def copy_later(self, refs: Sequence[str]) -> None:
        """Remember orders that did not exist yet, so that their lines are not taken for strays."""
        if refs:
            self._copy("COPY stage_later FROM STDIN", refs)

    def complete(self) -> None:
        """Fill what one file alone does not say: people behind aliases, times of lines, sums of orders."""
        names = {target.name for target in self._used}
        for name in sorted({"alias", "later", "orders", *names}):
            self._run(f"ANALYZE stage_{name}")
        if self.mapping.customers:
            self._run(
                "UPDATE stage_orders o SET customer_ref = a.stands_for FROM stage_alias a WHERE a.alias = o.customer_ref"
            )
        source = {"transactions": "amount", "lines": "price * quantity"}.get(self.mapping.total_from)
        if source and self.mapping.total_from in names:
            self._run(
                f"UPDATE stage_orders o SET total = t.total FROM (SELECT order_ref, sum({source}) AS total "  # noqa: S608
                f"FROM stage_{self.mapping.total_from} GROUP BY order_ref) t WHERE t.order_ref = o.external_id"
            )
        for target in self._used:
            if _belongs_to_order(target):
                self._run(f"DELETE FROM stage_{target.name} s USING stage_later l WHERE l.ref = s.order_ref")  # noqa: S608
        for name, column, known in (("lines", "told_at", "updated_at"), ("transactions", "created_at", "created_at")):
            if name in names:
                self._date(name, column, known)

    def _date(self, name: str, column: str, known: str) -> None:
        """Give rows without a time that of their order, as the files tell it or else as it is known."""
        self._run(
            f"UPDATE stage_{name} s SET {column} = o.{known} FROM stage_orders o "  # noqa: S608
            f"WHERE o.external_id = s.order_ref AND s.{column} IS NULL"
        )
        self._run(
            f"UPDATE stage_{name} s SET {column} = o.{known} FROM orders_order o "  # noqa: S608
            f"WHERE o.store_id = %s AND o.external_id = s.order_ref AND s.{column} IS NULL",
            [self.store.pk],
        )

    def write(self, target: Target) -> tuple[int, int]:
        """Write one kind; returns how many different rows there are, and how many of them were new or changed."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM (SELECT DISTINCT {target.key} FROM stage_{target.name}) s")  # noqa: S608
            staged = cursor.fetchone()[0]
            statement = target.statement(f"stage_{target.name}")
            cursor.execute(statement, {"store": self.store.pk, "now": self.now})
            written = cursor.rowcount
        # Later kinds are joined to these columns, and the planner must know how many values there are now.
        columns = {"orders_fulfillment": "order_id, external_id", "orders_refund": "order_id, external_id"}
        if written and target.name in JOINED:
            self._run(f"ANALYZE {target.table} ({columns.get(target.table, 'store_id, external_id')})")
        return staged, written

    def orphans(self, target: Target, most: int) -> Iterator[tuple[str, int, str]]:
        """File, line and reason of rows whose order is not known, the first of them."""
        if not _belongs_to_order(target) or most <= 0:
            return
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT s.file, s.line, s.order_ref {self._stray(target)} ORDER BY s.file, s.line LIMIT %(most)s",
                {"store": self.store.pk, "most": most},
            )
            for file, line, ref in cursor.fetchall():
                yield self._files[file], line, f"order {ref} is not known"

    def strays(self, target: Target) -> int:
        """How many rows belong to no known order."""
        if not _belongs_to_order(target):
            return 0
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) {self._stray(target)}", {"store": self.store.pk})
            return int(cursor.fetchone()[0])

    def _stray(self, target: Target) -> str:
        return (
            f"FROM stage_{target.name} s WHERE NOT EXISTS (SELECT FROM orders_order o WHERE o.store_id = %(store)s "
            "AND o.external_id = s.order_ref)"
        )


def _belongs_to_order(target: Target) -> bool:
    return "order_ref" in dict(target.source_columns())


def _columns(target: Target) -> str:
    """The columns of a staging table, with the defaults that the rows have."""
    defaults = {item.name: item.default for item in fields(target.row)}
    columns = ["file integer", "line integer"]
    for name, kind in target.source_columns():
        default = defaults[name]
        quoted = f" DEFAULT '{default}'" if default is not MISSING and default is not None else ""
        columns.append(f"{name} {kind}{quoted}")
    return ", ".join(columns)


def refresh_statistics() -> None:
    """Tell the planner how many rows there are now.

    The database would find out by itself, about a minute after many rows came; a sweep that comes sooner would join
    tables that it takes for empty, row by row.
    """
    models = (Customer, Product, Order, OrderLine, Fulfillment, Refund, RefundLine, Transaction)
    tables = ", ".join(model._meta.db_table for model in models)
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {tables}")
