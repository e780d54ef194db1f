"""Values of platform documents, checked one by one: what is wrong is named by its field."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.orders.intake.identity import digest

Doc = Mapping[str, Any]
_MONEY_LIMIT = Decimal(10) ** 12


class Malformed(ValueError):
    """A document is not what its kind promises; the text names the field, not its value."""


def document(value: Any, name: str) -> Doc:
    """An object of a document."""
    if not isinstance(value, Mapping):
        raise Malformed(f"{name} is not an object")
    return value


def documents(doc: Doc, name: str) -> list[Doc]:
    """A list of objects; empty if it is missing."""
    found = doc.get(name) or []
    if not isinstance(found, list):
        raise Malformed(f"{name} is not a list")
    return [document(item, name) for item in found]


def part(doc: Doc, name: str) -> Doc:
    """An object inside a document; empty if it is missing."""
    found = doc.get(name)
    return document(found, name) if found else {}


def text(doc: Doc, name: str, limit: int) -> str:
    """A text, cut at a length; empty if it is missing."""
    found = doc.get(name)
    return "" if found is None else str(found)[:limit]


def identifier(doc: Doc, name: str = "id") -> str:
    """The platform's own id.

    Raises:
        Malformed: if it is missing.
    """
    found = doc.get(name)
    if found is None or isinstance(found, bool | float | dict | list) or not str(found):
        raise Malformed(f"{name} is missing")
    return str(found).rsplit("/", 1)[-1][:64]  # of "gid://shopify/Order/1" the last part


def reference(doc: Doc, name: str) -> str:
    """The id of something else; empty if it is missing."""
    return identifier(doc, name) if doc.get(name) else ""


def moment(doc: Doc, name: str) -> datetime | None:
    """A time; one without an offset is taken as UTC."""
    found = doc.get(name)
    if not found:
        return None
    try:
        read = datetime.fromisoformat(str(found))
        # Years at the ends cannot be moved to another offset, and mean nothing here.
        if not 1900 < read.year < 9000:
            raise ValueError
    except ValueError:
        raise Malformed(f"{name} is not a time") from None
    # PostgreSQL refuses offsets that Python accepts.
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)


def required_moment(doc: Doc, *names: str) -> datetime:
    """The first of several times that is there.

    Raises:
        Malformed: if none is.
    """
    for name in names:
        found = moment(doc, name)
        if found is not None:
            return found
    raise Malformed(f"{names[0]} is missing")


def money(doc: Doc, name: str, default: str | None = None) -> Decimal:
    """An amount with two decimals.

    Raises:
        Malformed: if it is missing and has no default, or is no number that can be kept.
    """
    found = doc.get(name)
    if found is None or found == "":
        if default is None:
            raise Malformed(f"{name} is missing")
        found = default
    try:
        amount = Decimal(str(found))
        if not amount.is_finite() or abs(amount) >= _MONEY_LIMIT:
            raise InvalidOperation
        return amount.quantize(Decimal("0.01"))
    except InvalidOperation:
        raise Malformed(f"{name} is not an amount") from None


def count(doc: Doc, name: str) -> int:
    """A number of things, 0 if it is missing."""
    found = doc.get(name) or 0
    try:
        number = int(found)
    except (TypeError, ValueError):
        raise Malformed(f"{name} is not a number") from None
    if not 0 <= number < 2**31:
        raise Malformed(f"{name} is out of range")
    return number


def currency(doc: Doc, name: str, default: str = "") -> str:
    """A currency's code of three letters."""
    found = str(doc.get(name) or default).upper()
    if len(found) != 3 or not found.isalpha():
        raise Malformed(f"{name} is not a currency")
    return found


def country(doc: Doc, *names: str) -> str:
    """A country's code of two letters; empty if it is missing or spelt out."""
    for name in names:
        found = str(doc.get(name) or "").upper()
        if len(found) == 2 and found.isalpha():
            return found
    return ""


def person(doc: Doc) -> str:
    """A person's full name."""
    whole = text(doc, "name", 200)
    return whole or f"{text(doc, 'first_name', 100)} {text(doc, 'last_name', 100)}".strip()[:200]


def ip_key(value: str) -> str:
    """The digest of an IP address; of an IPv6 address its network (/64), which one household shares."""
    try:
        address = ipaddress.ip_address(value.strip())
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return digest("ip", *address.exploded.split(":")[:4])
        address = address.ipv4_mapped
    return digest("ip", *str(address).split("."))


def payment_key(details: Doc) -> str:
    """The digest of a card: its issuer's number, its last digits, its brand. Empty where that cannot tell cards apart."""
    issuer, number = text(details, "credit_card_bin", 8), text(details, "credit_card_number", 40)
    digits = "".join(letter for letter in number if letter.isdigit())[-4:]
    if len(issuer) < 6 or len(digits) < 4:
        return ""
    return digest("payment", issuer, digits, text(details, "credit_card_company", 40))


def address_key(address: Doc) -> str:
    """The digest of a postal address; empty without a street."""
    street = text(address, "address1", 200)
    if not street:
        return ""
    place = [text(address, name, 200) for name in ("address2", "zip", "city")]
    return digest("address", street, *place, country(address, "country_code", "country_code_v2"))
