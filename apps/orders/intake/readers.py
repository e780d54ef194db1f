"""Reads files line by line, however large: CSV, JSON lines, and one JSON list.

A reader yields the header first, then each line's number and cells. What cannot be read at all is yielded as a
:class:`~apps.orders.intake.fields.BadLine` in place of the cells, and reading goes on.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from apps.orders.intake.fields import BadLine

Line = tuple[int, list[str] | BadLine]
Progress = Callable[[int], object]
"""Told how many more bytes were read."""

_CHUNK = 1 << 20
LONGEST_LINE = 4 * _CHUNK
"""Letters of a line; what is longer is passed over piece by piece, as memory has a bound."""


def lines_of(path: Path, wanted: Sequence[str], progress: Progress) -> tuple[list[str], Iterator[Line]]:
    """The header and the lines of a file.

    Args:
        wanted: the columns that are asked for; JSON has no header, and a column may be a path such as ``customer.id``.
    """
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return list(wanted), _cells(_json_lines(path, progress), wanted)
    if suffix == ".json":
        return list(wanted), _cells(_json_list(path, progress), wanted)
    rows = _csv(path, progress)
    first = next(rows, (1, []))[1]
    if isinstance(first, BadLine):
        raise first
    return [name.strip() for name in first], rows


class _Counted(io.TextIOWrapper):
    """A text file that tells how far it was read. Bytes that are not UTF-8 are kept, to be found in their cells."""

    def __init__(self, path: Path, progress: Progress) -> None:
        raw = io.FileIO(path)
        super().__init__(_Telling(raw, progress), encoding="utf-8-sig", errors="surrogateescape", newline="")


class _Telling(io.BufferedReader):
    def __init__(self, raw: io.FileIO, progress: Progress) -> None:
        super().__init__(raw, buffer_size=_CHUNK)
        self._progress = progress

    def read1(self, size: int = -1, /) -> bytes:
        data = super().read1(size)
        self._progress(len(data))
        return data


class _Lines:
    """The lines of a file, counted.

    Raises:
        BadLine: in place of a line that is too long; reading goes on behind it.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        if not self._goes_on(line):
            return line
        while self._goes_on(self._file.readline(LONGEST_LINE)):
            pass
        raise BadLine(f"longer than {LONGEST_LINE} letters")

    @staticmethod
    def _goes_on(piece: str) -> bool:
        return len(piece) == LONGEST_LINE and not piece.endswith(("\n", "\r"))


def _csv(path: Path, progress: Progress) -> Iterator[Line]:
    with _Counted(path, progress) as file:
        lines = _Lines(file)
        reader = csv.reader(lines, dialect=_dialect(path), strict=True)
        while True:
            begun = lines.number + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except (csv.Error, BadLine) as error:
                # A quote that is never closed takes many lines with it.
                since = f", since line {begun}" if begun < lines.number else ""
                yield lines.number, BadLine(f"{error}{since}")
            else:
                if row:
                    yield lines.number, row


def _dialect(path: Path) -> type[csv.Dialect]:
    """Comma, semicolon or tab, whichever the header has most of."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline(100_000)
    best = max(",;\t", key=header.count)
    return type("Dialect", (csv.excel,), {"delimiter": best})


def _json_lines(path: Path, progress: Progress) -> Iterator[tuple[int, Any]]:
    with _Counted(path, progress) as file:
        lines = _Lines(file)
        while True:
            try:
                line = next(lines)
            except StopIteration:
                return
            except BadLine as error:
                yield lines.number, error
            else:
                if line.strip():
                    yield lines.number, _parsed(line)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_float=str)
    except (ValueError, RecursionError):
        return BadLine("not JSON")


def _json_list(path: Path, progress: Progress) -> Iterator[tuple[int, Any]]:
    """The objects of a list, numbered from 1, one at a time."""
    with _Counted(path, progress) as file:
        buffer = _skip(file, file.read(_CHUNK))
        if not buffer.startswith("["):
            yield 1, BadLine("not a JSON list")
            return
        buffer, number = buffer[1:], 0
        while True:
            buffer = _skip(file, buffer.lstrip(" \t\r\n,"))
            if not buffer or buffer.startswith("]"):
                return
            number += 1
            found, buffer = _next(file, buffer)
            yield number, found
            if isinstance(found, BadLine):
                return  # where the next object begins cannot be known


def _skip(file: TextIO, buffer: str) -> str:
    while not buffer.strip(" \t\r\n,"):
        more = file.read(_CHUNK)
        if not more:
            return ""
        buffer = more
    return buffer.lstrip(" \t\r\n,")


def _next(file: TextIO, buffer: str) -> tuple[Any, str]:
    decoder = json.JSONDecoder(parse_float=str)
    while True:
        try:
            found, end = decoder.raw_decode(buffer)
            if end < len(buffer):  # a number at the very end may go on
                return found, buffer[end:]
        except json.JSONDecodeError:
            pass
        except (
            ValueError,
            RecursionError,
        ):  # a number of thousands of digits, or nested too deeply; more does not help
            return BadLine("not JSON; the rest of the file is not read"), ""
        more = file.read(_CHUNK)
        if not more or len(buffer) > 64 * _CHUNK:
            return BadLine("not JSON; the rest of the file is not read"), ""
        buffer += more


def _cells(found: Iterator[tuple[int, Any]], wanted: Sequence[str]) -> Iterator[Line]:
    paths = [name.split(".") for name in wanted]
    for number, value in found:
        if isinstance(value, BadLine):
            yield number, value
        elif not isinstance(value, dict):
            yield number, BadLine("not a JSON object")
        else:
            yield number, [_at(value, path) for path in paths]


def _at(value: Any, path: Sequence[str]) -> str:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if value is None or isinstance(value, dict | list):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
