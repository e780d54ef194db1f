"""Evidence for people: JSON data as labelled facts with units and times."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.core.home import address

MOST_ITEMS = 20
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_NUMBER = re.compile(r"-?\d+\.\d+")
_UNITS = ("days", "hours", "minutes", "seconds")
_SHARES = ("share", "rate", "probability", "baseline")
# Kinds of rows whose numbers in evidence lead to a page.
_PAGES = frozenset({"order", "customer", "product", "fulfillment", "refund", "store"})
_AMOUNTS = ("total", "amount", "impact", "price", "value", "refunded", "loss")


@dataclass(frozen=True, slots=True)
class Fact:
    """One labelled fact.

    Attributes:
        moment: set where it is a time.
        parts: set where it consists of further facts.
        columns, rows: set where it is a list of like things, shown as a table.
        links: set where it names rows that have pages: their numbers and addresses.
    """

    label: str
    text: str = ""
    moment: datetime | None = None
    parts: tuple[Fact, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Fact, ...], ...] = ()
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """One entry of a card's or a flag's evidence, as a page shows it."""

    source: str
    request_id: str
    query: str
    at: datetime | None
    facts: tuple[Fact, ...]
    raw: Any


def label(key: str) -> str:
    """``trackingNumber`` and ``tracking_number`` as ``Tracking number``."""
    words = [word if word.isupper() and len(word) > 1 else word.lower() for word in _WORDS.findall(key)]
    text = " ".join("ID" if word == "id" else "IDs" if word == "ids" else word for word in words) or key
    return text[:1].upper() + text[1:]


def facts(data: Any) -> tuple[Fact, ...]:
    """The facts of a JSON object; whatever is not an object becomes one fact.

    The database keeps no order of keys, so facts are ordered by what they are: words, numbers, times, names of rows,
    and what consists of further facts.
    """
    if not isinstance(data, Mapping):
        return (_fact("data", data, ""),)
    currency = data.get("currency", "")
    shown = [(key, value) for key, value in data.items() if key != "currency" or not _has_amount(data)]
    return tuple(sorted((_fact(str(key), value, str(currency)) for key, value in shown), key=_place))


def _place(fact: Fact) -> int:
    """Where a fact stands among its like."""
    if fact.parts or fact.rows:
        return 4
    if fact.links or fact.label.endswith((" ID", " IDs")):
        return 3
    if fact.moment:
        return 2
    return 1 if fact.text[:1].isdigit() and not fact.text.startswith("20") else 0


def evidence(entries: Any) -> list[Evidence]:
    """The entries of an ``evidence`` field, newest first, whatever their age and spelling of the request id."""
    found = [_evidence(entry) for entry in entries] if isinstance(entries, Sequence) else []
    return found[::-1]


def _evidence(entry: Any) -> Evidence:
    if not isinstance(entry, Mapping):
        return Evidence("", "", "", None, facts(entry), entry)
    identity = next((str(entry[key]) for key in ("requestId", "mcpRequestId", "request_id") if entry.get(key)), "")
    return Evidence(
        source=str(entry.get("source", "")),
        request_id=identity,
        query=str(entry.get("query", "")),
        at=_moment(entry.get("timestamp")),
        facts=facts(entry.get("data", {})),
        raw=entry,
    )


def _has_amount(data: Mapping[str, Any]) -> bool:
    return any(_last_word(str(key)) in _AMOUNTS for key in data)


def _last_word(key: str) -> str:
    words = _WORDS.findall(key)
    return words[-1].lower() if words else ""


def _links(key: str, value: Any) -> tuple[tuple[str, str], ...]:
    """Addresses of the rows that ``orderId``, ``productIds`` or ``affectedOrders`` name; empty for anything else."""
    words = [word.lower() for word in _WORDS.findall(key)]
    if words[-1:] in (["id"], ["ids"]):
        kind = " ".join(words[:-1])
    else:
        kind = words[1].removesuffix("s") if words[:1] == ["affected"] and len(words) == 2 else ""
    numbers = value if isinstance(value, list) else [value]
    if kind not in _PAGES or not numbers or not all(type(number) is int for number in numbers):
        return ()
    pages = [(str(number), address(f"admin:orders_{kind}_change", number)) for number in numbers[:MOST_ITEMS]]
    return tuple(pages) if all(url for _, url in pages) else ()


def _fact(key: str, value: Any, currency: str) -> Fact:
    name = label(key)
    if links := _links(key, value):
        more = len(value) - MOST_ITEMS if isinstance(value, list) else 0
        return Fact(name, f"and {more:,} more" if more > 0 else "", links=links)
    if isinstance(value, Mapping):
        if value and all(re.fullmatch("[A-Z]{3}", str(code)) for code in value):
            return Fact(name, " and ".join(_text("amount", amount, str(code)) for code, amount in value.items()))
        return Fact(name, parts=facts(value)) if value else Fact(name, "none")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _list(name, key, value, currency)
    moment = _moment(value)
    return Fact(name, moment=moment) if moment else Fact(name, _text(key, value, currency))


def _list(name: str, key: str, values: Sequence[Any], currency: str) -> Fact:
    if values and all(_is_flat(value) for value in values):
        return _table(name, values, currency)
    if any(isinstance(value, Mapping) for value in values):
        parts = tuple(Fact(f"{name} {n}", parts=facts(value)) for n, value in enumerate(values[:MOST_ITEMS], 1))
        return Fact(name, parts=parts)
    text = ", ".join(_text(key, value, currency) for value in values[:MOST_ITEMS])
    more = len(values) - MOST_ITEMS
    return Fact(name, (text + (f" and {more:,} more" if more > 0 else "")) or "none")


def _is_flat(value: Any) -> bool:
    """Whether it is an object of plain values only."""
    return isinstance(value, Mapping) and not any(isinstance(part, (Mapping, list)) for part in value.values())


def _table(name: str, values: Sequence[Mapping[str, Any]], currency: str) -> Fact:
    """Like things as rows; what one of them lacks stays empty."""
    keys = list(dict.fromkeys(key for value in values for key in value if key != "currency" or not _has_amount(value)))
    rows = []
    for value in values[:MOST_ITEMS]:
        money = str(value.get("currency", currency))
        rows.append(tuple(_fact(str(key), value[key], money) if key in value else Fact(label(key)) for key in keys))
    more = len(values) - MOST_ITEMS
    text = f"and {more:,} more" if more > 0 else ""
    return Fact(name, text, columns=tuple(label(str(key)) for key in keys), rows=tuple(rows))


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str) or not _MOMENT.match(value):
        return None
    try:
        found = parse_datetime(value)
    except ValueError:
        return None
    return timezone.make_aware(found) if found and timezone.is_naive(found) else found


def _text(key: str, value: Any, currency: str) -> str:
    """A plain value in words, with the unit that its name tells."""
    if value is None or value == "":
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    word = _last_word(key)
    if word in _AMOUNTS and (amount := _decimal(value)) is not None:
        return f"{amount:,.2f} {currency}".strip()
    if isinstance(value, (int, float)):
        return _number(key, value)
    text = str(value)
    if re.fullmatch(r"[a-z]+(_[a-z]+)+", text):
        text = text.replace("_", " ")
    return text


def _number(key: str, value: float) -> str:
    words = [word.lower() for word in _WORDS.findall(key)]
    unit = next((unit for unit in _UNITS if unit in words), "")
    if unit:
        return f"{value:,g} {unit if value != 1 else unit[:-1]}"
    if isinstance(value, float) and 0 <= value <= 1 and any(word in words for word in (*_SHARES, "threshold")):
        return f"{value * 100:.3g} %" if value == 0 or value >= 0.0001 else "below 0.01 %"
    # Numbers of rows are names, not quantities, so they are written without separators.
    return str(value) if words and words[-1] in ("id", "ids", "orders", "number") else f"{value:,.10g}"


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, (int, float)) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        try:
            return Decimal(str(value))
        except InvalidOperation:
            return None
    return None
