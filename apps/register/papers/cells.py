"""How texts are kept in cells, so that no spreadsheet takes them for formulas and none of them is lost."""

from __future__ import annotations

import re

# A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection"); the apostrophe is what we put before.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
# Characters that XML cannot hold, or changes (a lone carriage return), and texts that look like their escape
# (ECMA-376 part 1, 22.4.2.4, ST_Xstring).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
# What one cell of a workbook holds.
MAX_CELL = 32_767


def harmless(text: str) -> str:
    """A text for a cell of CSV; :func:`meant` gives it back."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def meant(text: str) -> str:
    """The text that :func:`harmless` wrote."""
    return text[1:] if text.startswith("'") else text


def escaped(text: str) -> str:
    """A text for a cell of a workbook; :func:`unescaped` gives it back."""
    return _UNSAFE.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def unescaped(text: str) -> str:
    """The text that :func:`escaped` wrote."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
