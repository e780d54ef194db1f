"""Whether two texts about the same thing say different things.

No model of language is asked: what is compared are figures with their units (times, money, shares), and statements of
nearly the same words of which one denies. That misses much, and what it finds can be shown: both places are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from apps.knowledge.search.passages import pieces

_WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "fourteen": 14, "fifteen": 15, "twenty": 20, "thirty": 30, "sixty": 60, "ninety": 90,
}  # fmt: skip
_NUMBER = rf"(?:\d+(?:[.,]\d+)*|{'|'.join(_WORDS)})"
# Hours of each, so that two weeks are fourteen days; a working day, a month and a year are none of a fixed length.
_HOURS = {"minute": Decimal(1) / 60, "hour": Decimal(1), "day": Decimal(24), "week": Decimal(168)}
_TIME = re.compile(
    rf"\b({_NUMBER})(?:\s*(?:to|-|–|or)\s*({_NUMBER}))?[\s-]+"
    r"(working[\s-]days?|business[\s-]days?|minutes?|hours?|days?|weeks?|months?|years?)\b",
    re.IGNORECASE,
)
_CURRENCY = {
    "€": "EUR",
    "$": "USD",
    "£": "GBP",
    "eur": "EUR",
    "euro": "EUR",
    "euros": "EUR",
    "usd": "USD",
    "gbp": "GBP",
}
_MONEY = re.compile(
    r"(€|\$|£|\b(?:EUR|USD|GBP))\s?(\d+(?:[.,]\d+)*)|(\d+(?:[.,]\d+)*)\s?(€|£|(?:euros?|EUR|USD|GBP)\b)", re.I
)
_SHARE = re.compile(r"(\d+(?:[.,]\d+)?)\s?(?:%|per ?cent\b)", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"[^\W\d_]+(?:['’]t)?")
_DENYING = frozenset(
    "not no never cannot without none nobody neither nor nicht kein keine keinen nie ne pas jamais non nunca sin niet geen".split()  # noqa: SIM905
)
_PLAIN = frozenset(
    "a an and are as at be been by can could did do does for from had has have i if in is it its may might must my of on or our shall should so that the then there these this those to us was we will with would you your".split()  # noqa: SIM905
)
_UNITS = (
    _WORDS.keys()
    | _CURRENCY.keys()
    | {
        f"{unit}{end}"
        for unit in ("minute", "hour", "day", "week", "month", "year", "working", "business")
        for end in ("", "s")
    }
)
ALIKE = 0.6
"""Share of common words (Jaccard) from which two statements say the same, or its opposite."""
NEAR = 0.3
"""Share of common words from which the figures of two statements are about the same."""
FEWEST = 3
"""Words that say something, below which a statement is not compared."""
MOST = 400
"""Statements of a text that are compared."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two places that cannot both be true."""

    why: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class _Said:
    text: str
    words: frozenset[str]
    denies: bool
    figures: dict[str, set[Decimal]]


def contradiction(first: str, second: str) -> Contradiction | None:
    """The first difference between two texts about the same thing, or None.

    Args:
        first, second: Markdown.
    """
    ours, theirs = _sentences(first), _sentences(second)
    return _by_figures(ours, theirs) or _by_denial(ours, theirs)


def figures(text: str) -> dict[str, set[Decimal]]:
    """Figures of a text by unit: hours, working days, months, years, percent, and currencies."""
    found: dict[str, set[Decimal]] = {}
    for low, high, unit in _TIME.findall(text):
        name = " ".join(unit.lower().replace("-", " ").split()).rstrip("s").replace("business", "working")
        for number in filter(None, (low, high)):
            value = _number(number)
            if value is not None:
                kind, factor = ("hour", _HOURS[name]) if name in _HOURS else (name, Decimal(1))
                found.setdefault(kind, set()).add(value * factor)
    for before, after_sign, alone, sign in _MONEY.findall(text):
        value = _number(after_sign or alone)
        if value is not None:
            found.setdefault(_CURRENCY[(before or sign).lower()], set()).add(value)
    for share in _SHARE.findall(text):
        value = _number(share)
        if value is not None:
            found.setdefault("percent", set()).add(value)
    return found


def _number(text: str) -> Decimal | None:
    if text.lower() in _WORDS:
        return Decimal(_WORDS[text.lower()])
    # A comma or point before exactly three digits at the end separates thousands, another one decimals.
    plain = re.sub(r"[.,](?=\d{3}(?:\D|$))", "", text).replace(",", ".")
    try:
        return Decimal(plain).normalize()
    except InvalidOperation:  # such as 1.2.3, which is no amount
        return None


def _by_figures(ours: list[_Said], theirs: list[_Said]) -> Contradiction | None:
    """Two statements about the same with different figures of one kind, neither of which the other text has anywhere."""
    mine_all, other_all = _all(ours), _all(theirs)
    for mine in ours:
        for other in theirs if mine.figures else ():
            if _common(mine, other) >= NEAR:
                for unit in sorted(mine.figures.keys() & other.figures.keys()):
                    if mine.figures[unit] - other_all[unit] and other.figures[unit] - mine_all[unit]:
                        return Contradiction(f"different figures ({unit})", mine.text, other.text)
    return None


def _all(said: list[_Said]) -> dict[str, set[Decimal]]:
    found: dict[str, set[Decimal]] = {}
    for one in said:
        for unit, values in one.figures.items():
            found.setdefault(unit, set()).update(values)
    return found


def _common(mine: _Said, other: _Said) -> float:
    """Share of common words among those of both."""
    either = len(mine.words | other.words)
    return len(mine.words & other.words) / either if either else 0.0


def _by_denial(ours: list[_Said], theirs: list[_Said]) -> Contradiction | None:
    """Two statements of nearly the same words of which one denies."""
    for mine in ours:
        for other in theirs:
            enough = min(len(mine.words), len(other.words)) >= FEWEST
            if mine.denies != other.denies and enough and _common(mine, other) >= ALIKE:
                return Contradiction("one says yes, the other no", mine.text, other.text)
    return None


def _sentences(body: str) -> list[_Said]:
    return [_said(text) for _, text in zip(range(MOST), _texts(body), strict=False)]


def _texts(body: str) -> Iterator[str]:
    for piece in pieces(body):
        for text in _SENTENCE.split(piece.text):
            if text.strip():
                yield text.strip()


def _said(text: str) -> _Said:
    words = [word.lower().replace("’", "'") for word in _WORD.findall(text)]
    denies = sum(word in _DENYING or word.endswith("n't") for word in words) % 2 == 1
    telling = frozenset(
        word.rstrip("s") for word in words if word not in _PLAIN | _DENYING | _UNITS and not word.endswith("n't")
    )
    return _Said(text, telling, denies, figures(text))
