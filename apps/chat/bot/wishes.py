"""What a message wants, as far as fixed patterns tell: a person, small talk, a lookup, or that the customer is angry.

The patterns are data, a file for each language in ``wording/``; adding a language is a new file. A message is looked at in
every language, for many customers mix them.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

WORDING = Path(__file__).parent / "wording"
LONGEST = 2_000
"""Characters that are looked at; what is longer was pasted."""
_NOT_WORDS = re.compile(r"[^\w'#/-]+")
_SENTENCES = re.compile(r"[.!?;\n…]+")
_ASCII = str.maketrans({"’": "'", "`": "'", "´": "'"})


@dataclass(frozen=True, slots=True)
class Wording:
    """The patterns of one language."""

    language: str
    telling: frozenset[str]
    whole: dict[str, re.Pattern[str]]
    within: dict[str, re.Pattern[str]]


@lru_cache(maxsize=1)
def wordings() -> tuple[Wording, ...]:
    """All languages, in the order of their names.

    Raises:
        re.error, KeyError: a file is damaged; the tests read them.
    """
    found = []
    for path in sorted(WORDING.glob("*.toml")):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        polite = data["courtesy"]
        whole = {kind: re.compile(rf"{polite}(?:{'|'.join(each)}) ?{polite}") for kind, each in data["whole"].items()}
        within = {kind: re.compile("|".join(f"(?:{one})" for one in each)) for kind, each in data["within"].items()}
        found.append(Wording(path.stem, frozenset(data["telling"].split()), whole, within))
    return tuple(found)


def plain(text: str) -> str:
    """A text as patterns are sought in it: lower case, no punctuation, one blank between words."""
    return _NOT_WORDS.sub(" ", text[:LONGEST].translate(_ASCII).lower()).strip()


def sentences(text: str) -> list[str]:
    """The sentences of a text, plain."""
    return [line for part in _SENTENCES.split(text[:LONGEST]) if (line := plain(part))]


def is_whole(kind: str, text: str) -> bool:
    """Whether a message is nothing but one of a kind."""
    line = plain(text)
    return bool(line) and any(each.whole[kind].fullmatch(line) for each in wordings())


def says(kind: str, text: str) -> bool:
    """Whether a sentence of a message holds one of a kind."""
    return any(each.within[kind].search(line) for line in sentences(text) for each in wordings())


def wants_person(text: str) -> bool:
    """An explicit wish for a person; not the question whether one is needed."""
    return says("wish", text) and not says("no_wish", text)


def is_angry(text: str) -> bool:
    """Anger in words, or shouting."""
    return says("anger", text) or _shouts(text)


def _shouts(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    words = [word for word in text.split() if len(word) > 3 and word.isalpha()]
    loud = sum(word.isupper() for word in words)
    return len(letters) > 20 and loud >= 4 and sum(map(str.isupper, letters)) / len(letters) > 0.8


def wants_order(text: str) -> bool:
    """Where an order of theirs is; not how one finds that out."""
    return says("order", text) and not says("general", text)


def wants_subscription(text: str) -> bool:
    """How a subscription of theirs stands."""
    return says("subscription", text) and not says("general", text)


def wants_lookup(text: str) -> bool:
    """Either of the two."""
    return wants_order(text) or wants_subscription(text)
