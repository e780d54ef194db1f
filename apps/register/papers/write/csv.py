"""CSV: one record a row, told apart by the first column."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import IO

from apps.register.papers.cells import harmless
from apps.register.papers.records import ALL, records
from apps.register.papers.shapes import Paper, PaperRisk


def write_csv(head: Paper, risks: Iterable[PaperRisk], out: IO[str]) -> None:
    """Write an assessment with its risks, which may come one by one; ``out`` does not change ends of lines."""
    out.write("\ufeff")  # without it spreadsheet programs take UTF-8 for the encoding of their country
    writer = csv.writer(out)
    writer.writerow(ALL)
    for record, values in records(head, risks):
        writer.writerow([record, *(harmless(values.get(name, "")) for name in ALL[1:])])
