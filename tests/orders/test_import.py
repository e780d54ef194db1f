"""Orders come in from files: streamed, joined, repeated without change, and bad lines are named."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.orders.models import (
    Customer,
    Fulfillment,
    ImportRun,
    Order,
    OrderLine,
    Refund,
    Store,
    Transaction,
)

pytestmark = pytest.mark.django_db
OLIST = Path(__file__).parent / "fixtures" / "olist"


def run(path, mapping="olist", **options) -> str:
    said = StringIO()
    call_command("import_orders", str(path), mapping=mapping, stdout=said, stderr=StringIO(), **options)
    return said.getvalue()


def table(folder: Path, *lines: dict, name: str = "orders.csv") -> Path:
    path = folder / name
    first = {"order_id": "1", "created_at": "2026-03-01T10:00:00Z", "total": "10.00"}
    rows = [{**first, **line} for line in lines]
    if name.endswith(".csv"):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(key for row in rows for key in row)))
            writer.writeheader()
            writer.writerows(rows)
    else:
        lines_of = [json.dumps(row) for row in rows]
        path.write_text("\n".join(lines_of) if name.endswith("l") else f"[{', '.join(lines_of)}]")
    return path


def test_a_folder_of_files_that_refer_to_each_other():
    said = run(OLIST)
    assert "20 lines read, 0 refused" in said

    order = Order.objects.get(external_id="o1")
    assert (order.total, order.currency, order.financial_status) == (Decimal(60), "BRL", "paid")
    assert order.created_at.isoformat() == "2018-01-01T12:00:00+00:00"  # ten o'clock in Sao Paulo, in summer time
    assert order.store.name == "Olist"
    assert order.lines.count() == 2
    assert order.lines.get(external_id="1").product.title == "lamps"
    assert Transaction.objects.filter(order=order).count() == 2
    parcel = Fulfillment.objects.get(order=order)
    assert (parcel.status, parcel.delivered_at.date().isoformat()) == ("delivered", "2018-01-08")


def test_customers_are_the_people_behind_the_ids():
    run(OLIST)
    assert set(Customer.objects.values_list("external_id", flat=True)) == {"ada", "bo", "cy"}
    assert Order.objects.filter(customer__external_id="ada").count() == 2


def test_repeating_changes_nothing():
    run(OLIST)
    before = list(Order.objects.order_by("pk").values())
    said = run(OLIST)
    assert "Rows new or changed: 0," in said
    assert list(Order.objects.order_by("pk").values()) == before
    assert ImportRun.objects.first().written == 0
    assert ImportRun.objects.first().unchanged > 0


def test_as_of_a_date_everything_later_has_not_happened():
    said = run(OLIST, as_of=datetime(2018, 2, 1, tzinfo=UTC))
    assert "0 refused, 1 later than asked; 3 orders" in said
    assert not Order.objects.filter(external_id="o4").exists()
    waiting = Order.objects.get(external_id="o2")
    assert waiting.fulfillment_status == "unfulfilled"
    assert waiting.estimated_delivery_at is not None  # it was promised when the order was made
    assert not waiting.fulfillments.exists()
    moving = Fulfillment.objects.get(order__external_id="o3")
    assert (moving.status, moving.delivered_at) == ("in_transit", None)


def test_a_later_import_tells_what_happened_since_and_an_earlier_one_takes_nothing_back():
    run(OLIST, as_of=datetime(2018, 2, 1, tzinfo=UTC))
    run(OLIST)
    assert Fulfillment.objects.get(order__external_id="o3").status == "delivered"
    run(OLIST, as_of=datetime(2018, 2, 1, tzinfo=UTC))
    assert Fulfillment.objects.get(order__external_id="o3").status == "delivered"
    assert Order.objects.get(external_id="o2").fulfillment_status == "fulfilled"


def test_lines_of_unknown_orders_are_named(tmp_path):
    shutil.copytree(OLIST, tmp_path, dirs_exist_ok=True)
    with (tmp_path / "olist_order_items_dataset.csv").open("a") as file:
        file.write("stray,1,p1,s1,2018-01-05 00:00:00,40.00,5.00\n")
    said = run(tmp_path)
    assert "olist_order_items_dataset.csv, line 7: order stray is not known" in said
    assert OrderLine.objects.count() == 5


def test_a_missing_file_is_named(tmp_path):
    shutil.copytree(OLIST, tmp_path, dirs_exist_ok=True)
    (tmp_path / "olist_orders_dataset.csv").unlink()
    with pytest.raises(CommandError, match=r"has no olist_orders_dataset\.csv"):
        run(tmp_path)


@pytest.mark.parametrize("name", ["orders.csv", "orders.jsonl", "orders.json"])
def test_one_table(tmp_path, name):
    path = table(
        tmp_path,
        {"order_id": "1", "email": "a@example.com", "shipped_at": "", "refunded_at": "", "currency": "EUR"},
        {"order_id": "2", "email": "", "shipped_at": "2026-03-02T10:00:00Z", "refunded_at": "", "currency": ""},
        {"order_id": "3", "email": "", "shipped_at": "", "refunded_at": "2026-03-05", "currency": ""},
        name=name,
    )
    assert "3 lines read, 0 refused" in run(path, "orders", store="Corner shop")
    assert Store.objects.get().name == "Corner shop"
    assert Order.objects.get(external_id="1").currency == "EUR"
    assert Order.objects.get(external_id="1").customer.email == "a@example.com"
    assert Order.objects.get(external_id="2").fulfillment_status == "fulfilled"
    assert Refund.objects.get().amount == Decimal(10)
    assert "Rows new or changed: 0," in run(path, "orders", store="Corner shop")


BAD = [
    ({"order_id": ""}, "external_id is missing"),
    ({"total": "ten"}, "total 'ten' is not an amount"),
    ({"total": "NaN"}, "total 'NaN' is not an amount"),
    ({"total": "1e15"}, "total '1e15' is not an amount"),
    ({"created_at": "yesterday"}, "created_at 'yesterday' is not a time"),
    ({"created_at": "0001-01-01"}, "created_at '0001-01-01' is out of range"),
    ({"created_at": ""}, "created_at is missing"),
    ({"currency": "Taler"}, "currency 'taler' is unknown"),
    ({"order_id": "x" * 65}, "external_id is longer than 64 letters"),
    ({"order_id": "a\0b"}, "external_id holds a NUL character"),
]


@pytest.mark.parametrize(("wrong", "reason"), BAD)
def test_bad_lines_are_named_and_skipped(tmp_path, wrong, reason):
    path = table(tmp_path, {"currency": "usd"}, {"order_id": "2", **wrong}, {"order_id": "3"})
    said = run(path, "orders")
    assert f"orders.csv, line 3: {reason}" in said
    assert Order.objects.count() == 2
    assert ImportRun.objects.get().problems == [{"file": "orders.csv", "line": 3, "reason": reason}]


def test_or_the_whole_is_refused(tmp_path):
    path = table(tmp_path, {}, {"order_id": "2", "total": "ten"})
    with pytest.raises(CommandError, match="1 bad lines; nothing was imported"):
        run(path, "orders", on_error="refuse")
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"order_id,created_at,total\n1,2026-03-01,10,extra\n2,2026-03-01,10\n", "line 2: 4 cells instead of 3"),
        (b"order_id,created_at,total\n\xff,2026-03-01,10\n2,2026-03-01,10\n", "line 2: external_id is not UTF-8"),
        (b'order_id,created_at,total\n"a"b,2026-03-01,10\n2,2026-03-01,10\n', "line 2: "),
    ],
)
def test_damaged_lines(tmp_path, content, reason):
    path = tmp_path / "orders.csv"
    path.write_bytes(content)
    assert reason in run(path, "orders")
    assert Order.objects.get().external_id == "2"


def test_semicolons_a_mark_of_byte_order_and_cells_of_several_lines(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_bytes(
        '\ufefforder_id;created_at;total;customer_name;email\n1;2026-03-01;10;"Ada\nE\\x\tample";a@example.com\n'.encode()
    )
    run(path, "orders")
    assert Customer.objects.get().name == "Ada\nE\\x\tample"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{}", "line 1: not a JSON list"),
        ("[1, ", "line 1: not a JSON object"),
        ('[{"a": ', "line 1: not JSON; the rest"),
    ],
)
def test_damaged_json(tmp_path, content, reason):
    path = tmp_path / "orders.json"
    path.write_text(content)
    assert reason in run(path, "orders")


def test_missing_columns_are_named(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("order_id\n1\n")
    with pytest.raises(CommandError, match="the columns created_at, total are missing"):
        run(path, "orders")


def test_an_empty_file(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("")
    with pytest.raises(CommandError, match="are missing"):
        run(path, "orders")


@pytest.mark.parametrize("mapping", ["nothing", "../../../etc/passwd", "missing.toml"])
def test_an_unknown_mapping(tmp_path, mapping):
    with pytest.raises(CommandError, match="There is no mapping"):
        run(tmp_path, mapping)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("title = ", "not well-formed"),
        (
            'title = "x"\nstore = "x"\n[[files]]\nname = "*"\n[[files.rows]]\nkind = "goats"\nfields.a = "b"',
            "no kind 'goats'",
        ),
        (
            'title = "x"\nstore = "x"\n[[files]]\nname = "*"\n[[files.rows]]\nkind = "orders"\nfields.a = "b"',
            "no fields a",
        ),
        (
            'title = "x"\nstore = "x"\n[[files]]\nname = "*"\n[[files.rows]]\nkind = "products"\nfields.title = "order_id"',
            "gives products no external_id",
        ),
    ],
)
def test_a_mapping_that_is_wrong(tmp_path, content, reason):
    mapping = tmp_path / "own.toml"
    mapping.write_text(content)
    with pytest.raises(CommandError, match=reason):
        run(table(tmp_path, {}), str(mapping))


def test_files_are_not_imported_into_a_store_that_sends_webhooks(tmp_path):
    from tests.orders.factories import StoreFactory

    live = StoreFactory(name="Live", domain="live.files.invalid")
    with pytest.raises(CommandError, match="Another store"):
        run(table(tmp_path, {}), "orders", store="Live")
    assert not live.orders.exists()


def test_large_files_are_read_in_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("apps.orders.intake.files.CHUNK", 7)
    path = table(tmp_path, *({"order_id": str(number), "email": f"{number}@example.com"} for number in range(50)))
    assert "50 orders" in run(path, "orders")
    assert Order.objects.count() == Customer.objects.count() == 50


def test_payments_alone_take_the_time_of_their_known_order(tmp_path):
    run(table(tmp_path, {}), "orders", store="Corner shop")
    mapping = tmp_path / "payments.toml"
    mapping.write_text(
        'title = "x"\nstore = "Corner shop"\n[[files]]\nname = "*"\n[[files.rows]]\nkind = "transactions"\n'
        '[files.rows.fields]\norder_ref = "order"\nexternal_id = "id"\nkind = "=sale"\nstatus = "=success"\namount = "paid"\n'
    )
    payments = tmp_path / "payments.csv"
    payments.write_text("order,id,paid\n1,a,10\nnobody,b,10\n")
    assert "payments.csv, line 3: order nobody is not known" in run(payments, str(mapping))
    assert Transaction.objects.get().created_at == Order.objects.get().created_at


def test_times_that_a_mapping_does_not_call_so_are_checked_all_the_same(tmp_path):
    mapping = tmp_path / "own.toml"
    mapping.write_text(
        'title = "x"\nstore = "x"\n[[files]]\nname = "*"\n[[files.rows]]\nkind = "orders"\n[files.rows.fields]\n'
        'external_id = "order_id"\nnumber = "order_id"\ncurrency = "=USD"\ncreated_at = "created_at"\n'
        'updated_at = "created_at"\ntotal = "total"\n'
    )
    path = table(tmp_path, {"created_at": "2026-03-01"}, {"order_id": "2", "created_at": "junk+00:00"})
    assert "line 3: created_at 'junk+00:00' is not a time" in run(path, str(mapping))
    assert Order.objects.get().created_at == datetime(2026, 3, 1, tzinfo=UTC)
