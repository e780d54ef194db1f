"""Taking out of texts what must not be kept, before they are stored or logged.

It is a net, not a proof: names, and secrets without a telling form or word, pass. Order numbers, amounts, dates and
tracking numbers survive. What was masked is told by kind and count, so that the writer can be warned; the raw text is
nowhere kept. Masks are never masked again, so a text may pass several times.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypedDict

from apps.core.sensitive.accounts import find_accounts, find_cards
from apps.core.sensitive.contacts import find_computers, find_emails, find_phones
from apps.core.sensitive.identities import find_identities
from apps.core.sensitive.places import find_places
from apps.core.sensitive.secrets import find_secrets
from apps.core.sensitive.spans import Finder, Span

# What the writer is told about each kind; also the mask in the text.
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "password": "password",
        "code": "security code",
        "secret": "secret key",
        "card": "card number",
        "bank_account": "bank account",
        "national_id": "personal id",
        "phone": "phone number",
        "email": "e-mail address",
        "ip_address": "network address",
        "address": "postal address",
    }
)
# In this order where several finders claim the same place.
_NUMBERS: tuple[Finder, ...] = (find_accounts, find_cards, find_identities)
POLICIES: Mapping[str, tuple[Finder, ...]] = MappingProxyType(
    {
        # What people write to each other. How to reach somebody stands in fields of its own.
        "message": (find_secrets, find_emails, *_NUMBERS, find_computers, find_phones, find_places),
        # Fields that are there to hold how to reach somebody.
        "contact": (find_secrets, *_NUMBERS, find_computers),
        # What goes to log files.
        "log": (find_secrets, find_emails, *_NUMBERS, find_computers, find_phones, find_places),
    }
)


PASSES = 3
_TOUCHING = re.compile(r"\][^\w\[\]]{0,3}[+(]?\d|\d[^\w\[\]]{0,3}\[")  # a mask beside a number


class Masked(TypedDict):
    """How often something of a kind was masked."""

    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text that may be kept.

    Attributes:
        text: with masks such as ``[card number]``.
        masked: kinds (see :data:`KINDS`) and counts, in the order of the text.
    """

    text: str
    masked: list[Masked]


def redact(text: str, policy: str = "message") -> Redacted:
    """Mask what must not be kept.

    Args:
        policy: of :data:`POLICIES`.

    Raises:
        KeyError: there is no such policy.
    """
    counts: Counter[str] = Counter()
    # What was masked may have hidden the beginning of what stood beside it: "482913 415-555-0132" after "code is".
    for _ in range(PASSES):
        spans = spans_of(text, policy)
        if not spans:
            break
        text = _masked(text, spans)
        counts.update(span.kind for span in spans)
        if _TOUCHING.search(text) is None:
            break
    return Redacted(text, [Masked(kind=kind, count=count) for kind, count in counts.items()])


def _masked(text: str, spans: Iterable[Span]) -> str:
    parts, place = [], 0
    for span in spans:
        parts += [text[place : span.start], f"[{KINDS[span.kind]}]"]
        place = span.end
    return "".join(parts) + text[place:]


def spans_of(text: str, policy: str = "message") -> list[Span]:
    """What :func:`redact` would mask, in the order of the text.

    Raises:
        KeyError: there is no such policy.
    """
    finders = POLICIES[policy]
    plain = text if text.isascii() else text.translate(_PLAIN)
    return _settled(span for finder in finders for span in finder(plain))


def _settled(found: Iterable[Span]) -> list[Span]:
    """Spans in the order of the text. Where some overlap, the first one found names the whole."""
    spans: list[Span] = []
    for span in found:
        start, end, kind = span
        for other in [each for each in spans if each.start < end and start < each.end]:
            spans.remove(other)
            start, end, kind = min(start, other.start), max(end, other.end), other.kind
        spans.append(Span(start, end, kind))
    return sorted(spans)


def _plain_characters() -> dict[int, str]:
    """Digits, spaces and dashes of all scripts as ASCII, one for one, so that places stay the same."""
    table: dict[int, str] = {}
    for code in range(128, 0x20000):
        char = chr(code)
        category = unicodedata.category(char)
        if category == "Nd":
            table[code] = str(unicodedata.decimal(char))
        elif category in ("Zs", "Cf"):
            table[code] = " "
        elif category == "Pd":
            table[code] = "-"
    return table | {ord("＠"): "@", ord("＋"): "+", ord("．"): ".", ord("："): ":", 0x2212: "-"}


_PLAIN = _plain_characters()
