"""Bad files get a clear error, and nothing is written."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from apps.core.decisions import system
from apps.register.models import Risk, RiskAssessment, RiskImport
from apps.register.papers.guards import MAX_BYTES, check
from apps.register.papers.importing import preview
from apps.register.papers.reading import read
from apps.register.papers.refusals import BadPaper

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
GOOD = Path("apps/register/data/assessments")


def workbook() -> bytes:
    book, out = Workbook(), io.BytesIO()
    book.active.append(["name", "impact"])
    book.active.append(["Fire", "High"])
    book.save(out)
    return out.getvalue()


def repacked(parts: dict[str, bytes], leave: str = "") -> bytes:
    """The workbook with parts replaced or added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook())) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name not in parts and name != leave:
                new.writestr(name, old.read(name))
        for name, data in parts.items():
            new.writestr(name, data)
    return out.getvalue()


WORKBOOK = workbook()
LAUGHS = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
ENTITIES = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">' + LAUGHS + b"]><x>&l9;</x>"
YAML = "```yaml\nrisks:\n{}\n```\n"
ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{name}: &{name} [*{before},*{before},*{before}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True))  # fmt: skip
FENCED = (GOOD / "payment_api.md").read_text()

BAD = {
    "empty": ("x.md", b" \n", "is empty"),
    "a hundred megabytes": ("x.md", b"x" * 100 * 2**20, "100 MB; at most 32 MB"),
    "latin 1": ("x.md", "# Café\n\n1. Caf\xe9\n".encode("latin-1"), r"Line 1: byte 0xe9 is not UTF-8"),
    "utf-16": ("x.csv", "name\n".encode("utf-16"), "UTF-16"),
    "cut within a character": ("x.md", "1. Café".encode()[:-1], "ends within a character"),
    "binary": ("x.md", b"1. a\n2. \x00b\n", "Line 2: a NUL"),
    "fence never closed": ("x.md", FENCED[: FENCED.index("Role-based")].encode(), "Line 21: the block .* cut off"),
    "front matter never closed": ("x.md", FENCED[: FENCED.index("references")].encode(), "Line 1: the front matter"),
    "no yaml": ("x.md", YAML.format("  - {a: b").encode(), "Line 4: this is not YAML"),
    "yaml bomb": ("x.md", f"```yaml\n{ALIASES}```\n".encode(), "Line 2: anchors and aliases"),
    "yaml tags": ("x.md", YAML.format("  - !!python/object/apply:os.system [x]").encode(), "Line 3: tags"),
    "yaml depth": ("x.md", YAML.format("  - " + "[" * 1000 + "]" * 1000).encode(), "Line 3: .* nested too deep"),
    "two yaml documents": ("x.md", b"```yaml\na: b\n---\nc: d\n```\n", "second YAML document"),
    "quote never closed": ("x.csv", b'name,impact\n"Fire,High\n', "Line 2: a quoted cell never ends"),
    "no risks in a table": ("x.csv", b"record\n", "no record of its assessment"),
    "pdf": ("x.md", b"%PDF-1.7", "a PDF"),
    "old office": ("x.xls", b"\xd0\xcf\x11\xe0\xa1\xb1", "old or encrypted"),
    "unknown ending": ("x.docm", b"words", "Files named"),
    "cut workbook": ("x.xlsx", workbook()[:-300], "damaged or cut off"),
    "no workbook": ("x.xlsx", b"words", "damaged or cut off"),
    "archive": ("x.xlsx", repacked({}, leave="[Content_Types].xml"), "not a workbook"),
    "macros": ("x.xlsx", repacked({"xl/vbaProject.bin": b"x"}), "macros"),
    "macros by type": ("x.xlsx", repacked({"[Content_Types].xml": b"application/vnd.ms-excel.sheet.macroEnabled.main+xml"}), "macros"),
    "macros by name": ("x.xlsm", workbook(), "only .xlsx"),
    "zip bomb": ("x.xlsx", repacked({"xl/worksheets/sheet1.xml": b"0" * 50 * 2**20}), "unfolds to far more"),
    "many parts": ("x.xlsx", repacked({f"xl/{n}.xml": b"" for n in range(2_001)}), "too large"),
    "entities": ("x.xlsx", repacked({"xl/workbook.xml": ENTITIES}), "declares entities"),
    "broken part": ("x.xlsx", repacked({"xl/workbook.xml": b"<workbook"}), "damaged"),
    "missing part": ("x.xlsx", repacked({}, leave="xl/workbook.xml"), "damaged"),
}  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused(case: str) -> None:
    name, data, words = BAD[case]
    with pytest.raises(BadPaper, match=words):
        preview(name=name, data=data, actor=system("test"), now=NOW)
    assert not RiskImport.objects.exists()
    assert not RiskAssessment.objects.exists()


@pytest.mark.parametrize("case", ["yaml bomb", "zip bomb", "entities", "yaml depth"])
def test_bombs_stay_small(case: str) -> None:
    name, data, _ = BAD[case]
    tracemalloc.start()
    with pytest.raises(BadPaper):
        read(name, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(WORKBOOK) - 1), st.integers(1, 255))
def test_a_damaged_workbook_is_refused_or_read_never_a_crash(place: int, bits: int) -> None:
    data = bytearray(WORKBOOK)
    data[place] ^= bits
    try:
        read("x.xlsx", bytes(data), {"columns": {"name": "title"}})
    except BadPaper:
        return


def test_good_files_pass() -> None:
    assert check("x.xlsx", workbook()).kind == "xlsx"
    assert check("x.csv", b"\xef\xbb\xbfname\nFire\n").text == "name\nFire\n"


@pytest.mark.django_db
def test_the_command_does_not_even_read_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.md"
    with path.open("wb") as out:
        out.truncate(MAX_BYTES + 1)
    with pytest.raises(CommandError, match="1 of 1"):
        call_command("import_risks", str(path))
    assert not Risk.objects.exists()
