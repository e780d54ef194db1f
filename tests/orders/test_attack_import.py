"""Damaged and hostile files: each bad line is named, the others are taken, and nothing breaks off with an accident."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from django.core.management import CommandError

from apps.orders.intake.fields import BadLine, _moment
from apps.orders.models import ImportRun, Order
from tests.orders.test_import import run, table

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("wrong", "kept"),
    [
        ({"total": "１２"}, True),  # digits of another script
        ({"total": "12\u00a0"}, True),
        ({"total": "12\n"}, True),
        ({"total": "1e-99999"}, True),
        ({"total": "0." + "1" * 30_000}, True),
        ({"total": "9" * 5_000}, False),
        ({"created_at": "2026-W10-1"}, True),
        ({"created_at": "2026-03-01\t10:00:00+23:00"}, True),
        ({"expected_delivery": "2026-W10-1T10:00:00+23:59:59"}, True),
        ({"delivered_at": "0001-01-01T00:00:00+23:00"}, False),
        ({"order_id": "\udced"}, False),
        ({"email": "\\N"}, True),
        ({"customer_name": "\u202e<script>\x1b[31m"}, True),
    ],
)
def test_values_that_only_one_side_understands_break_nothing_off(tmp_path, wrong, kept):
    plain = {"created_at": "2026-03-01T10:00:00Z", "total": "10.00"}
    lines = [{**plain, "order_id": "1"}, {**plain, "order_id": "2", **wrong}, {**plain, "order_id": "3"}]
    columns = list(dict.fromkeys([*lines[0], *wrong]))
    rows = [",".join(f'"{line.get(name, "")}"' for name in columns) for line in lines]
    path = tmp_path / "orders.csv"
    path.write_bytes("\n".join([",".join(columns), *rows]).encode(errors="surrogateescape"))
    run(path, "orders")
    assert {"1", "3"} <= set(Order.objects.values_list("external_id", flat=True))
    assert Order.objects.count() == (3 if kept else 2)


def test_a_time_in_a_column_that_is_no_time_to_the_mapping_is_written_anew(tmp_path):
    assert _moment("told_at", "2026-03-01\t10:00:00+23:00") == "2026-02-28T11:00:00+00:00"
    assert _moment("told_at", "2026-W10-1") == "2026-03-02T00:00:00+00:00"
    with pytest.raises(BadLine, match="out of range"):
        _moment("told_at", "0001-01-01T00:00:00+23:00")


@pytest.mark.parametrize("value", ["9" * 5_000, "[" * 5_000 + "]" * 5_000])
@pytest.mark.parametrize("name", ["orders.json", "orders.jsonl"])
def test_json_that_cannot_be_read_is_a_bad_line(tmp_path, name, value):
    path = table(tmp_path, {}, {"order_id": "2"}, name=name)
    path.write_text(path.read_text().replace('"order_id": "2"', f'"order_id": {value}'))
    assert "line 2: not JSON" in run(path, "orders")
    assert Order.objects.get().external_id == "1"


@pytest.mark.parametrize("name", ["orders.csv", "orders.jsonl"])
def test_a_line_without_end_does_not_fill_the_memory(tmp_path, name):
    path = table(tmp_path, {}, name=name)
    text = path.read_text().strip()
    after = text.splitlines()[-1].replace("1", "2", 1)
    with path.open("w") as file:
        file.write(f"{text}\n")
        for _ in range(60):
            file.write("x" * 1_000_000)
        file.write(f"\n{after}\n")
    tracemalloc.start()
    said = run(path, "orders")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    number = 3 if name.endswith(".csv") else 2
    assert f"line {number}: longer than" in said
    assert peak < 40_000_000
    assert Order.objects.count() == 2


def test_a_quote_that_is_never_closed_says_where_it_began(tmp_path):
    path = tmp_path / "orders.csv"
    good = "".join(f"{number},2026-03-01,1\n" for number in range(3, 50))
    path.write_text(f'order_id,created_at,total\n1,2026-03-01,1\n2,"2026-03-01,1\n{good}')
    assert "orders.csv, line 50: unexpected end of data, since line 3" in run(path, "orders")
    assert Order.objects.get().external_id == "1"


def test_mixed_ends_of_lines_and_repeated_ids(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_bytes(
        b"order_id,created_at,total\r\n1,2026-03-01,1\r2,2026-03-01,1\n3,2026-03-01,1\r\n\r\n3,2026-03-01,1"
    )
    assert "4 lines read, 0 refused" in run(path, "orders")
    assert Order.objects.count() == 3


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04" + bytes(range(256)), "order_id,created_at,total\n".encode("utf-16"), b"\0" * 5_000, b",,,\n"],
)
def test_what_is_no_table_is_refused(tmp_path, content):
    path = tmp_path / "orders.csv"
    path.write_bytes(content)
    with pytest.raises(CommandError, match="columns created_at, order_id, total are missing"):
        run(path, "orders")


def test_the_name_of_a_file_need_not_be_utf_8(tmp_path):
    folder = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(folder)
    path = Path(os.fsdecode(folder + b"/\xff.csv"))
    path.write_text("order_id,created_at,total\n1,2026-03-01,1\n2,2026-03-01,x\n")
    assert "line 3: total" in run(path, "orders")
    assert "?.csv" in ImportRun.objects.get().source
