"""Importing files of a shop's past: beside a straightforward import of the same files, by rows."""

from __future__ import annotations

import csv
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.servers import say


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
