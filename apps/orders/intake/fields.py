"""Turns the lines of a file into the rows that a mapping declares, as text for PostgreSQL's COPY.

A mapping is compiled once into closures over column numbers, because they run millions of times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist

from apps.orders.intake.mapping import (
    KINDS,
    FieldSpec,
    FileSpec,
    First,
    Given,
    Latest,
    Mapping,
    RowSpec,
    Text,
    Translated,
)
from apps.orders.intake.writer import Target

Cells = list[str]
"""A line's values; times are ISO 8601 in UTC, which sort as text, and nothing is empty text."""
Get = Callable[[Cells], str | None]
Put = Callable[[Cells], str]
Convert = Callable[[str, str], str]
NULL = "\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_IDS = 64
_SMALLEST = Decimal("1e-10")


class BadLine(ValueError):
    """A line cannot be taken; the text says why."""


class LaterLine(Exception):
    """A line did not exist yet at the time as of which is imported."""


class Emitter:
    """Makes the rows of one kind out of the lines of one file.

    Attributes:
        columns: of the staging table, in the order of the text.
    """

    def __init__(self, spec: RowSpec, places: dict[str, int]) -> None:
        self.kind = spec.kind
        self.target = KINDS[spec.kind]
        self.columns = list(spec.fields)
        self._when = [places[name] for name in spec.when]
        hints = get_type_hints(self.target.row)
        needed = {item.name for item in fields(self.target.row) if item.default is MISSING} - {"told_at"}
        if spec.kind == "transactions":
            needed -= {"created_at"}  # taken from the order, where a file has no times of payments
        missing = sorted(needed - set(self.columns))
        if missing:
            raise BadLine(f"the mapping gives {spec.kind} no {', '.join(missing)}")
        self._puts = [
            _put(name, hints[name], one, places, name in needed, self.target) for name, one in spec.fields.items()
        ]

    def __call__(self, cells: Cells) -> str | None:
        """The row as text; None if the line makes none.

        Raises:
            BadLine: if a field has a wrong value.
        """
        if self._when and not any(cells[place] for place in self._when):
            return None
        return "\t".join([put(cells) for put in self._puts])


class LineReader:
    """Checks the cells of one file's lines and makes rows of them.

    Args:
        header: names of the columns that the file has.
        as_of: times later than this are blanked; None keeps all.
    """

    def __init__(self, mapping: Mapping, spec: FileSpec, header: Sequence[str], as_of: datetime | None) -> None:
        names = [*header, *(name for name in spec.optional if name not in header)]
        self.width = len(header)
        self._padding: list[str] = [""] * (len(names) - len(header))
        places = {name: place for place, name in enumerate(names)}
        missing = sorted(columns_of(spec) - set(places))
        if missing:
            raise BadLine(f"the columns {', '.join(missing)} are missing")
        self._zone = ZoneInfo(mapping.time_zone)
        self._as_of = as_of
        self._times = [(name, places[name], name not in spec.promises) for name in [*spec.times, *spec.promises]]
        self._born = places[spec.born] if spec.born else None
        self.emitters = [Emitter(one, places) for one in spec.rows]

    def cells(self, values: list[str]) -> Cells:
        """The cells of a line, times read and, if they are too late, blanked.

        Raises:
            BadLine, LaterLine: as their names say.
        """
        if len(values) != self.width:
            raise BadLine(f"{len(values)} cells instead of {self.width}")
        cells: Cells = [*values, *self._padding]
        for name, place, blankable in self._times:
            if not cells[place]:
                continue
            read = self._time(name, cells[place])
            if blankable and self._as_of is not None and read > self._as_of:
                if place == self._born:
                    raise LaterLine
                cells[place] = ""
            else:
                cells[place] = read.isoformat()
        return cells

    def _time(self, name: str, value: str) -> datetime:
        try:
            read = datetime.fromisoformat(value)
        except ValueError:
            raise BadLine(f"{name} {value[:40]!r} is not a time") from None
        if not 1900 < read.year < 9000:
            raise BadLine(f"{name} {value[:40]!r} is out of range")
        return (read if read.tzinfo else read.replace(tzinfo=self._zone)).astimezone(UTC)


def columns_of(spec: FileSpec) -> set[str]:
    """The columns that a file must have, or may."""
    found = {*spec.times, *spec.promises, *([spec.born] if spec.born else [])}
    for row in spec.rows:
        found |= set(row.when)
        for one in row.fields.values():
            found |= _columns(one)
    return found


def _columns(spec: FieldSpec) -> set[str]:
    match spec:
        case str():
            return set() if spec.startswith("=") else {spec}
        case First():
            return set(spec.first)
        case Latest():
            return set(spec.latest)
        case Given():
            return set(spec.given)
        case Translated():
            return {spec.column}
        case Text():
            return {part.split("}")[0] for part in spec.text.split("{")[1:]}


def _getter(spec: FieldSpec, places: dict[str, int]) -> Get:
    """A closure that takes a field's value out of a line's cells."""
    match spec:
        case str() if spec.startswith("="):
            constant = spec[1:]
            return lambda cells: constant
        case str():
            place = places[spec]
            return lambda cells: cells[place]
        case First():
            several = [places[name] for name in spec.first]
            return lambda cells: next((cells[one] for one in several if cells[one]), "")
        case Latest():
            times = [places[name] for name in spec.latest]
            return lambda cells: max([cells[one] for one in times])
        case Given():
            given, then, otherwise = [places[name] for name in spec.given], spec.then, spec.otherwise
            return lambda cells: then if any(cells[one] for one in given) else otherwise
        case Translated():
            return _translation(spec, places)
        case Text():
            template, named = spec.text, {name: places[name] for name in _columns(spec)}
            return lambda cells: template.format(**{name: cells[one] for name, one in named.items()})


def _translation(spec: Translated, places: dict[str, int]) -> Get:
    place, otherwise = places[spec.column], spec.otherwise
    values = {key.casefold(): value for key, value in spec.values.items()}

    def translate(cells: Cells) -> str | None:
        value = cells[place].strip().casefold()
        if value not in values and otherwise is None:
            raise BadLine(f"{spec.column} {value[:40]!r} is unknown")
        return values.get(value, otherwise)

    return translate


def _put(name: str, hint: Any, spec: FieldSpec, places: dict[str, int], needed: bool, target: Target) -> Put:
    """A closure that gives a field's value as text for COPY, or says what is wrong with it."""
    empty = "" if hint is str else NULL
    convert = _converter(name, hint, target)
    if isinstance(spec, str) and spec.startswith("="):
        constant = convert(name, spec[1:]) if spec[1:] else empty
        return lambda cells: constant
    get = _getter(spec, places)

    def put(cells: Cells) -> str:
        value = get(cells)
        if not value:
            if needed:
                raise BadLine(f"{name} is missing")
            return empty
        return convert(name, value)

    return put


def _converter(name: str, hint: Any, target: Target) -> Convert:
    if hint is Decimal:
        return _amount
    if hint is int:
        return _number
    return _texts(name, target) if hint is str else _moment


def _amount(name: str, value: str) -> str:
    try:
        number = Decimal(value)
        if not number.is_finite() or abs(number) >= 10**12:
            raise InvalidOperation
    except InvalidOperation:
        raise BadLine(f"{name} {value[:40]!r} is not an amount") from None
    # Written anew, because Python reads more than PostgreSQL does: digits of other scripts, blanks, any exponent.
    return str(number.quantize(_SMALLEST))


def _number(name: str, value: str) -> str:
    try:
        number = int(value)
    except ValueError:
        raise BadLine(f"{name} {value[:40]!r} is not a number") from None
    if not 0 <= number < 2**31:
        raise BadLine(f"{name} {number} is out of range")
    return str(number)


def _moment(name: str, value: str) -> str:
    """A time, also of a column that the mapping does not call one."""
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        raise BadLine(f"{name} {value[:40]!r} is not a time") from None
    if not 1900 < read.year < 9000:
        raise BadLine(f"{name} {value[:40]!r} is out of range")
    # Written anew, because Python reads more than PostgreSQL does: weeks, any offset, any letter before the hour.
    return (read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)).isoformat()


def _texts(name: str, target: Target) -> Convert:
    """How texts of a column are checked: ids must fit, choices must exist, other texts are cut."""
    limit, choices, is_id = _IDS, frozenset[str](), True
    model = next(one for one in apps.get_app_config("orders").get_models() if one._meta.db_table == target.table)
    try:
        field = model._meta.get_field(name)
        limit = getattr(field, "max_length", None) or 10_000
        choices = frozenset(str(key) for key, _ in getattr(field, "choices", None) or ())
        is_id = name in ("external_id", "number", "currency")
    except FieldDoesNotExist:
        pass  # a reference, such as order_ref

    def convert(name: str, text: str) -> str:
        if choices and text not in choices:
            raise BadLine(f"{name} {text[:40]!r} is none of {', '.join(sorted(choices))}")
        if len(text) > limit:
            if is_id:
                raise BadLine(f"{name} is longer than {limit} letters")
            text = text[:limit]
        return escaped(text, name)

    return convert


def escaped(text: str, name: str = "an id") -> str:
    """A text as COPY wants it.

    Raises:
        BadLine: if PostgreSQL cannot hold it.
    """
    if text.isascii() and text.isprintable():
        return text.replace("\\", "\\\\") if "\\" in text else text
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadLine(f"{name} is not UTF-8") from None
    if "\0" in text:
        raise BadLine(f"{name} holds a NUL character")
    return text.translate(_ESCAPES)


def order_ids(spec: FileSpec) -> list[str]:
    """The column with the ids of orders, in a file that makes orders."""
    found = [row.fields.get("external_id") for row in spec.rows if row.kind == "orders"]
    return [one for one in found if isinstance(one, str) and not one.startswith("=")]
