"""What is checked of a file before anything reads it: size, encoding, and what hides in archives."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass

from apps.register.papers.refusals import BadPaper

MAX_BYTES = 32 * 2**20
MAX_UNPACKED = 256 * 2**20
MAX_PARTS = 2_000
# Sheets of text shrink to a tenth or so; a bomb to a thousandth.
MAX_RATIO = 200
_SMALL = 2**20
_CHUNK = 2**20
_FOREIGN = {
    b"\xd0\xcf\x11\xe0": "an old or encrypted Office file; save it as .xlsx without a password",
    b"%PDF": "a PDF; export the register as Markdown, CSV or XLSX instead",
    b"{\\rt": "rich text; save it as Markdown",
    b"\x1f\x8b": "a compressed file; unpack it first",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file that passed. ``text`` is empty for workbooks.

    Attributes:
        kind: markdown, csv or xlsx.
    """

    name: str
    kind: str
    data: bytes
    text: str = ""


def check(name: str, data: bytes) -> File:
    """Look at a file's bytes and name.

    Raises:
        BadPaper: if it is empty, too large, not UTF-8, cut off, a bomb, with macros, or of a kind that is not read.
    """
    if not data.strip():
        raise BadPaper("The file is empty.")
    if len(data) > MAX_BYTES:
        raise BadPaper(f"The file has {len(data) / 2**20:,.0f} MB; at most {MAX_BYTES // 2**20} MB are read.")
    for start, what in _FOREIGN.items():
        if data.startswith(start):
            raise BadPaper(f"This is {what}.")
    ending = name.casefold().rpartition(".")[2]
    if data.startswith(b"PK") or ending in ("xlsx", "xlsm", "xltm", "xlsb"):
        _check_workbook(name, data)
        return File(name, "xlsx", data)
    if ending not in ("md", "markdown", "txt", "csv"):
        raise BadPaper("Files named .md, .markdown, .txt, .csv and .xlsx are read.")
    return File(name, "csv" if ending == "csv" else "markdown", data, _text(data))


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadPaper("The text is UTF-16. Save it as UTF-8.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        if error.reason == "unexpected end of data":
            raise BadPaper(f"Line {line}: the text ends within a character. The file may be cut off.") from error
        wrong = data[error.start]
        raise BadPaper(f"Line {line}: byte 0x{wrong:02x} is not UTF-8. Save the file as UTF-8.") from error
    if "\x00" in text:
        raise BadPaper(f"Line {text.count(chr(10), 0, text.index(chr(0))) + 1}: a NUL; this is not a text.")
    return text


def _check_workbook(name: str, data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            _check_parts(parts)
            if "[Content_Types].xml" not in archive.namelist():
                raise BadPaper("This archive is not a workbook.")
            if b"macroEnabled" in archive.read("[Content_Types].xml"):
                raise BadPaper("The workbook has macros. Save it as .xlsx, without macros.")
            for part in parts:
                _check_part(archive, part)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, RuntimeError) as error:
        raise BadPaper("The workbook is damaged or cut off.") from error
    if not name.casefold().endswith(".xlsx"):
        raise BadPaper("Of workbooks, only .xlsx is read.")


def _check_parts(parts: list[zipfile.ZipInfo]) -> None:
    """Judge the archive by its table of contents; reading a part never yields more than is stated there."""
    if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise BadPaper("Unpacked, the workbook is too large.")
    for part in parts:
        if part.flag_bits & 1:
            raise BadPaper("The workbook is encrypted. Save it without a password.")
        if part.file_size > _SMALL and part.file_size > MAX_RATIO * max(part.compress_size, 1):
            raise BadPaper("The workbook unfolds to far more than a workbook of its size holds.")
        if "vbaproject" in part.filename.casefold() or part.filename.casefold().endswith((".bin", ".zip")):
            if "printersettings" in part.filename.casefold():
                continue
            raise BadPaper("The workbook has macros or embedded programs. Save it as .xlsx, without them.")


def _check_part(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    """Read a part through, which finds damage, and refuse declarations of entities."""
    tail = b""
    with archive.open(part) as stream:
        while chunk := stream.read(_CHUNK):
            if b"<!DOCTYPE" in tail + chunk or b"<!ENTITY" in tail + chunk:
                raise BadPaper("The workbook declares entities, which no spreadsheet program writes.")
            tail = chunk[-16:]
