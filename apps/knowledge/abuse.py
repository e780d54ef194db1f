"""Recognising texts that give orders to the machine instead of asking it something (prompt injection).

Nothing hangs on it that decides what a question may do: questions and articles are data everywhere, and no text changes
what is found, shown or called. An attempt is marked, counted and logged, so that people see it; the question is answered
as any other, so that a harmless one which looks like an attack loses nothing.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path

import structlog

from apps.knowledge.metrics import attacks_total

logger = structlog.get_logger(__name__)

ATTACK = 0.6
"""Weight from which a text counts as an attempt."""
LONGEST = 4_000
"""Characters that are looked at; patterns are bounded, so the time is too."""
_FILE = Path(__file__).parent / "data" / "attacks.toml"
_DIGITS = str.maketrans("0134578@$", "oieastbas")
_BACKWARDS = re.compile(r"\b(?:snoitcurtsni|tpmorp|selur|erongi)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sign:
    """One way in which such a text shows itself."""

    title: str
    weight: float
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """How sure it is that a text is an attempt, 0 to 1, and the titles of the signs."""

    weight: float
    signs: tuple[str, ...]

    @property
    def is_attack(self) -> bool:
        return self.weight >= ATTACK


@lru_cache(maxsize=1)
def signs() -> tuple[Sign, ...]:
    """The delivered signs.

    Raises:
        re.error, KeyError: the file is damaged; the tests read it.
    """
    data = tomllib.loads(_FILE.read_text())
    return tuple(
        Sign(one["title"], float(one["weight"]), re.compile(_filled(one["pattern"], data["words"]), re.IGNORECASE))
        for one in data["signs"]
    )


def _filled(pattern: str, words: dict[str, str]) -> str:
    """The pattern with its groups of words; braces that repeat stay."""
    for name, group in words.items():
        pattern = pattern.replace(f"{{{name}}}", group)
    return pattern


def suspicion(text: str) -> Suspicion:
    """How much a text looks like orders to the machine."""
    text = text[:LONGEST]
    readings = [text]
    if re.search(r"[a-zA-Z][013457@$][a-zA-Z]", text):
        readings.append(text.lower().translate(_DIGITS))
    if _BACKWARDS.search(text):
        readings.append(text[::-1])
    found = [sign for sign in signs() if any(sign.pattern.search(reading) for reading in readings)]
    weight = 1 - prod(1 - sign.weight for sign in found)
    return Suspicion(round(weight, 3), tuple(sign.title for sign in found))


def noticed(text: str, *, source: str) -> bool:
    """Whether a text is an attempt; it is counted and logged then, without its words.

    Args:
        source: where it came from, such as ``help_centre``.
    """
    found = suspicion(text)
    if found.is_attack:
        attacks_total.labels(source.partition(":")[0]).inc()
        logger.warning("attack_recognised", source=source, weight=found.weight, signs=list(found.signs))
    return found.is_attack
