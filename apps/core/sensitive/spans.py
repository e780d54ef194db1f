"""What finders have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """A part of a text that must not be kept: from ``start`` up to ``end``, and what it is."""

    start: int
    end: int
    kind: str


Finder = Callable[[str], Iterator[Span]]
# What stands before a number says what it is. An order, an invoice, a parcel: the number is none of ours to hide.
ORDERLY_WORDS = (
    "order|orders|invoice|tracking|shipment|parcel|package|ticket|case|ref|reference|rma|return|refund|sku|"
    "item|product|article|transaction|booking|confirmation|quote|version|ver|build|release|serial|model|"
    "bestellung|bestellnummer|auftrag|rechnung|sendung|pedido|commande|facture|ordine"
)
_ORDERLY = re.compile(
    rf"(?:\b(?:{ORDERLY_WORDS})s?"
    r"(?:[ -]?(?:id|ids|no|nr|num|number|numbers|nummer|code|n°|número|numero))?\.?"
    r"(?:\s+(?:is|are|was|ist|es|est|with|of|and))?\s*[:#=.(\"']*\s*#?|#\s?|№\s?|\b[vV])$",
    re.IGNORECASE,
)
_BEFORE = 48
_FIVE_DIGITS = re.compile(r"(?:\d\D*){5}")


def orderly(text: str, start: int) -> bool:
    """Whether the words right before a place name an order, an invoice, a parcel, a version or the like."""
    return _ORDERLY.search(text[max(0, start - _BEFORE) : start]) is not None


def digits_of(text: str) -> str:
    """The digits of a text, without what stands between them."""
    return "".join(char for char in text if char.isdigit())


def many_digits(text: str) -> bool:
    """Whether a text has enough digits for a number of a person; most messages have not, which is cheap to see."""
    return _FIVE_DIGITS.search(text) is not None
