"""The scored phrases: which wordings point to a risk, how strongly, and why.

A phrase is words in order. ``*`` alone stands for up to three words in between, ``*`` at the end of a word for any ending.
A phrase counts once, and neither across sentences nor where it is denied shortly before ("nobody hacked my account").
Phrases with a negative weight take doubts away, such as questions about how something works. The score is the sum.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import transaction

from apps.core.decisions import Entry, record
from apps.core.errors import DomainError
from apps.core.models import User
from apps.escalation.binding import SCOPE, NotAllowed, said
from apps.escalation.models import Phrase

logger = structlog.get_logger(__name__)

WORDING = Path(__file__).resolve().parent / "wording"
LONGEST = 20_000
"""Characters of a message that are judged; what is longer was pasted."""
SHOWN = 5
"""So many wordings are shown as reasons."""

_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[.!?;\n]+")
_DENIAL = frozenset(
    ["not", "no", "never", "nobody", "nothing", "without", "wasn't", "isn't", "haven't", "hasn't", "didn't", "don't"]
)
_DENIED_WITHIN = 2  # words before a phrase


@dataclass(frozen=True, slots=True)
class Match:
    """A phrase that a text holds."""

    text: str
    weight: float
    reason: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the phrases of one indicator say about a text. ``reasons`` begins with the strongest."""

    score: float
    matches: tuple[Match, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        for_it = [one for one in self.matches if one.weight > 0][:SHOWN]
        return tuple(f"{one.reason}: “{one.text}” ({one.weight:+g})" for one in for_it)


@dataclass(frozen=True, slots=True)
class _Compiled:
    words: frozenset[str]
    pattern: re.Pattern[str]
    weight: float
    reason: str


def normalise(text: str) -> str:
    """A text as phrases are sought in it: lower case, one blank between words, a full stop between sentences."""
    words = _TOKEN.findall(text[:LONGEST].replace("’", "'").lower())
    return " " + " ".join(word if word[0].isalnum() else "." for word in words) + " "


def judge(text: str, indicator: str, *, language: str = "en") -> Judgement:
    """What the active phrases of an indicator say about a text."""
    rows = Phrase.objects.filter(indicator=indicator, language=language, active=True).order_by("pk")
    return score(text, tuple(rows.values_list("text", "weight", "reason")))


def score(text: str, phrases: tuple[tuple[str, float, str], ...]) -> Judgement:
    """The same for given phrases: text, weight, reason."""
    line = normalise(text)
    words = frozenset(line.split())
    found = [match for one in _compiled(phrases) if one.words <= words and (match := _match(one, line))]
    found.sort(key=lambda one: -one.weight)
    return Judgement(round(sum(one.weight for one in found), 6), tuple(found))


def _match(phrase: _Compiled, line: str) -> Match | None:
    for found in phrase.pattern.finditer(line):
        before = line[: found.start()].rsplit(" ", _DENIED_WITHIN)[1:] if phrase.weight > 0 else []
        if not _DENIAL.intersection(before):
            return Match(found.group().strip(), phrase.weight, phrase.reason)
    return None


@lru_cache(maxsize=64)
def _compiled(phrases: tuple[tuple[str, float, str], ...]) -> tuple[_Compiled, ...]:
    """Kept by what the phrases are, so that an edited row counts from the next message on."""
    compiled = []
    for text, weight, reason in phrases:
        try:
            compiled.append(_Compiled(frozenset(_whole(text)), re.compile(pattern(text)), weight, reason))
        except ValueError:  # written past the form; the other phrases still count
            logger.warning("phrase_invalid", phrase=text)
    return tuple(compiled)


def _whole(text: str) -> Iterator[str]:
    """The words of a phrase that a text must have as they are."""
    return (word for word in _words(text) if not word.endswith("*"))


def _words(text: str) -> list[str]:
    return text.replace("’", "'").lower().split()


def pattern(text: str) -> str:
    """The regular expression of a phrase, for a normalised text.

    Raises:
        ValueError: it has no word, or begins or ends with a gap.
    """
    words = _words(text)
    if not words or words[0] == "*" or words[-1] == "*":
        raise ValueError("A phrase begins and ends with a word.")
    parts: list[str] = []
    for word in words:
        if word == "*":
            parts.append(r"(?: [^ .]+){0,3}?")
        elif word.endswith("*"):
            parts.append(f" {re.escape(word[:-1])}[^ .]*")
        else:
            parts.append(f" {re.escape(word)}")
    return "".join(parts) + "(?= )"


class PhraseChanged(DomainError):
    """The phrase is not what the person looked at. ``version`` is the phrase's now."""

    code = "phrase_changed"
    message = "The phrase changed since you looked at it."
    status = 409

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__()


class PhraseNotFound(DomainError):
    """There is no such phrase."""

    code = "not_found"
    message = "There is no such phrase."
    status = 404


class InvalidPhrase(DomainError):
    """The phrase cannot be sought, or stands there already; ``fields`` says why."""

    code = "invalid_phrase"
    message = "This is no phrase that can be sought."
    status = 422


@transaction.atomic
def add(*, fields: Mapping[str, Any], why: str, actor: User) -> Phrase:
    """A new phrase, which counts from the next message on.

    Args:
        fields: ``indicator``, ``language``, ``text``, ``weight``, ``reason`` and ``active``.
        why: why it is added, for the decision log.

    Raises:
        NotAllowed, MissingInformation, InvalidPhrase: nothing was done.
    """
    if not actor.is_active or not actor.has_perm("escalation.add_phrase"):
        raise NotAllowed
    why = said(why, "why", "Why it is added.", 300)
    phrase = Phrase(**_known(fields))
    _store(phrase)
    record(_entry(phrase, actor, "phrase_added", why, after=_facts(phrase)))
    return phrase


@transaction.atomic
def change(*, phrase_id: int, seen_version: int, fields: Mapping[str, Any], why: str, actor: User) -> Phrase:
    """Change a phrase, or switch it off; it counts so from the next message on. Nothing changed is no new version.

    Args:
        seen_version: the phrase's version that the person looked at.
        fields: those that change.
        why: why, for the decision log.

    Raises:
        NotAllowed, PhraseNotFound, PhraseChanged, MissingInformation, InvalidPhrase: nothing was done.
    """
    if not actor.is_active or not actor.has_perm("escalation.change_phrase"):
        raise NotAllowed
    phrase = Phrase.objects.select_for_update(no_key=True).filter(pk=phrase_id).first()
    if phrase is None:
        raise PhraseNotFound
    if phrase.version != seen_version:
        raise PhraseChanged(phrase.version)
    why = said(why, "why", "Why it is changed.", 300)
    before = _facts(phrase)
    for name, value in _known(fields).items():
        setattr(phrase, name, value)
    phrase.text = " ".join(phrase.text.split())
    if _facts(phrase) == before:
        return phrase
    phrase.version += 1
    _store(phrase)
    record(_entry(phrase, actor, "phrase_changed", why, before=before, after=_facts(phrase)))
    return phrase


EDITABLE = ("indicator", "language", "text", "weight", "reason", "active")


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := set(fields) - set(EDITABLE):
        raise InvalidPhrase(fields={name: ["A phrase has no such field."] for name in sorted(unknown)})
    return dict(fields)


def _store(phrase: Phrase) -> None:
    phrase.text = " ".join(phrase.text.split())
    try:
        phrase.full_clean()
    except ValidationError as error:
        raise InvalidPhrase(fields=dict(error.message_dict)) from None
    phrase.save()


def _facts(phrase: Phrase) -> dict[str, Any]:
    return {name: getattr(phrase, name) for name in EDITABLE}


def _entry(phrase: Phrase, actor: User, action: str, why: str, **payload: Any) -> Entry:
    return Entry(
        scope=SCOPE,
        actor=actor,
        action=action,
        subject=f"phrase:{phrase.pk}",
        rationale=why,
        evidence_url=f"/admin/escalation/phrase/{phrase.pk}/change/",
        payload={"version": phrase.version, **payload},
    )


def delivered(language: str = "en") -> list[dict[str, Any]]:
    """The phrases that come with the product."""
    with (WORDING / f"{language}.csv").open(newline="", encoding="utf-8") as file:
        return [{**row, "language": language, "weight": float(row["weight"])} for row in csv.DictReader(file)]


def load(rows: Iterable[dict[str, Any]], model: Any = Phrase) -> int:
    """Add the phrases that are not there yet; rows that people edited or switched off stay as they are.

    Returns:
        How many were added.
    """
    before = model.objects.count()
    model.objects.bulk_create([model(**row) for row in rows], ignore_conflicts=True)
    return int(model.objects.count() - before)
