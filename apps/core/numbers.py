"""Whole numbers in what people and programs send."""

from __future__ import annotations

MOST_DIGITS = 18
"""More fit neither a bigint nor, from 4,300 on, ``int`` itself."""


def whole(text: str) -> int | None:
    """The number that a text of ASCII digits says; None if it is anything else, or more than a database key can be.

    ``str.isdigit`` alone lets ``²`` through, which ``int`` refuses.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def plural(count: int, word: str, words: str = "") -> str:
    """Such as ``1 order`` and ``3 orders``.

    Args:
        words: for several; with an "s" if it is not given.
    """
    return f"{count:,} {word if count == 1 else words or f'{word}s'}"
