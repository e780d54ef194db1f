"""Words of risk documents, and the values that they stand for. Comparing ignores case, accents and punctuation.

English and French, for both are met in registers; what is not here is not guessed but shown to a person.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime

Convert = Callable[[str], str]


def plain(text: str) -> str:
    """Words in one form: ``Très_vraisemblable:`` is ``tres vraisemblable``."""
    flat = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(mark if mark.isalnum() else " " for mark in flat if not unicodedata.combining(mark))
    return " ".join(kept.split())


def text(value: str) -> str:
    """Any text; PostgreSQL stores no NUL."""
    return value.replace("\x00", "\ufffd")


def short(limit: int) -> Convert:
    """A text of at most ``limit`` characters."""

    def convert(value: str) -> str:
        if len(value) > limit:
            raise ValueError(f"longer than {limit} characters")
        return text(value)

    return convert


def choice(words: Mapping[str, str]) -> Convert:
    """One of some values, by the words for it."""
    known = {plain(value): value for value in words.values()} | {plain(word): value for word, value in words.items()}

    def convert(value: str) -> str:
        if not value.strip():
            return ""
        if plain(value) not in known:
            raise ValueError(f"not one of {', '.join(dict.fromkeys(known.values()))}")
        return known[plain(value)]

    return convert


def day(value: str) -> str:
    """A date as ISO; a moment loses its time."""
    return moment(value)[:10]


def moment(value: str) -> str:
    """A date or a moment as ISO, as it stands."""
    stripped = value.strip()
    try:
        found = datetime.fromisoformat(stripped) if stripped else None
    except ValueError:
        raise ValueError("not a date such as 2026-01-31") from None
    if found is None:
        return ""
    return found.date().isoformat() if len(stripped) <= 10 else found.isoformat()


def whole(low: int, high: int) -> Convert:
    """A whole number within bounds; a percent sign may follow."""

    def convert(value: str) -> str:
        stripped = value.strip().removesuffix("%").strip()
        if not stripped:
            return ""
        if not (stripped.isascii() and stripped.isdecimal() and low <= int(stripped[:9]) <= high):
            raise ValueError(f"not a whole number from {low} to {high}")
        return str(int(stripped))

    return convert


ASSESSMENT_STATUS = {
    "draft": "draft", "brouillon": "draft", "in progress": "in_progress", "ongoing": "in_progress",
    "en cours": "in_progress", "approved": "approved", "final": "approved", "approuvé": "approved",
    "closed": "closed", "clos": "closed", "archived": "closed",
}  # fmt: skip
PHASE = {
    "build": "build", "development": "build", "mvp build": "build", "pilot": "pilot", "pilote": "pilot",
    "live": "live", "production": "live", "general availability": "live", "ga": "live",
}  # fmt: skip
STATUS = {
    "open": "open", "ouvert": "open", "active": "open", "treated": "treated", "being treated": "treated",
    "in treatment": "treated", "mitigated": "treated", "en traitement": "treated", "accepted": "accepted",
    "accepté": "accepted", "closed": "closed", "clos": "closed", "fermé": "closed",
}  # fmt: skip
TREATMENT = {
    "mitigate": "mitigate", "reduce": "mitigate", "réduire": "mitigate", "mitigation": "mitigate",
    "accept": "accept", "accepter": "accept", "avoid": "avoid", "éviter": "avoid",
    "transfer": "transfer", "share": "transfer", "transférer": "transfer", "partager": "transfer",
}  # fmt: skip
PROXIMITY = {
    "now": "now", "immediate": "now", "quarter": "quarter", "within three months": "quarter",
    "year": "year", "within a year": "year", "later": "later",
}  # fmt: skip
TASK_STATUS = {
    "planned": "planned", "open": "planned", "to do": "planned", "prévu": "planned", "in progress": "in_progress",
    "en cours": "in_progress", "done": "done", "implemented": "done", "active": "done", "fait": "done",
    "dropped": "dropped", "deprecated": "dropped", "abandonné": "dropped",
}  # fmt: skip
HORIZON = {"immediate": "immediate", "long term": "long_term", "long-term": "long_term"}

# What each field of the register takes.
RISK: Mapping[str, Convert] = {
    "number": short(40),
    "reference": short(20),
    "title": text,
    "description": text,
    "cause": text,
    "consequence": text,
    "status": choice(STATUS),
    "treatment": choice(TREATMENT),
    "proximity": choice(PROXIMITY),
    "owner_role": short(60),
    "owner": short(150),
    "next_review_on": day,
}
MITIGATION: Mapping[str, Convert] = {
    "title": short(500),
    "description": text,
    "horizon": choice(HORIZON),
    "priority": short(60),
    "owner_role": short(60),
    "owner": short(150),
    "due_on": day,
    "status": choice(TASK_STATUS),
    "progress": whole(0, 100),
    "effect": short(300),
}
ASSESSMENT: Mapping[str, Convert] = {
    "title": short(200),
    "slug": short(80),
    "project": short(120),
    "status": choice(ASSESSMENT_STATUS),
    "phase": choice(PHASE),
    "created": moment,
    "overview": text,
    "scope": short(80),
    "owner": short(150),
    "matrix": short(80),
    "cadence": text,
    "next_review_on": day,
}
SCORE: Mapping[str, Convert] = {name: short(40) for name in ("probability", "impact", "level")} | {
    "matrix": short(80),
    "reason": text,
}

# Words before a colon in prose, and heads of columns, by the field they name. Scores are kind and part.
_PARTS = {
    "probability": "probability", "likelihood": "probability", "proba": "probability", "probabilité": "probability",
    "vraisemblance": "probability", "impact": "impact", "gravité": "impact", "severity": "level", "level": "level",
    "risk level": "level", "niveau": "level", "rating": "level",
}  # fmt: skip
_KINDS = {
    "inherent": "inherent", "initial": "inherent", "inhérent": "inherent", "brut": "inherent", "current": "current",
    "actuel": "current", "residual": "residual", "target": "residual", "résiduel": "residual",
}  # fmt: skip
_FIELDS = {
    "name": "title", "title": "title", "risk": "title", "nom": "title", "titre": "title", "risque": "title",
    "description": "description", "details": "description", "ref id": "number", "id": "number", "no": "number",
    "number": "number", "ref": "number", "référence": "number", "reference": "reference", "cause": "cause",
    "threat": "cause", "root cause": "cause",
    "consequence": "consequence", "consequences": "consequence", "conséquence": "consequence",
    "status": "status", "statut": "status", "state": "status", "treatment": "treatment", "traitement": "treatment",
    "response": "treatment", "strategy": "treatment", "proximity": "proximity", "owner": "owner_role",
    "risk owner": "owner_role", "owner role": "owner_role", "propriétaire": "owner_role", "responsable": "owner_role",
    "mitigation": "mitigations", "mitigations": "mitigations", "controls": "mitigations",
    "existing controls": "mitigations", "additional controls": "mitigations", "measures": "mitigations",
    "mesures": "mitigations", "actions": "mitigations", "category": "category", "catégorie": "category",
    "domain": "category", "next review": "next_review_on", "review date": "next_review_on",
}  # fmt: skip
LABELS: Mapping[str, str] = (
    {plain(word): f"{kind}.{part}" for word, part in _PARTS.items() for kind in ("current",)}
    | {plain(f"{kind} {word}"): f"{name}.{part}" for word, part in _PARTS.items() for kind, name in _KINDS.items()}
    | {plain(f"{word} {kind}"): f"{name}.{part}" for word, part in _PARTS.items() for kind, name in _KINDS.items()}
    | {plain(word): name for word, name in _FIELDS.items()}
)

# Steps of foreign scales, by how many there are, onto words of the register's scales; the mapping step offers them.
STEPS: Mapping[str, tuple[int, int]] = {
    plain(word): place
    for word, place in {
        "low": (1, 3), "faible": (1, 3), "medium": (2, 3), "moderate": (2, 3), "moyen": (2, 3), "modéré": (2, 3),
        "high": (3, 3), "élevé": (3, 3), "fort": (3, 3),
        "rare": (1, 5), "very unlikely": (1, 5), "invraisemblable": (1, 5), "très improbable": (1, 5),
        "unlikely": (2, 5), "peu vraisemblable": (2, 5), "peu probable": (2, 5), "improbable": (2, 5),
        "possible": (3, 5), "vraisemblable": (3, 5), "probable": (3, 5),
        "likely": (4, 5), "very likely": (4, 5), "très vraisemblable": (4, 5), "très probable": (4, 5),
        "certain": (5, 5), "almost certain": (5, 5), "quasi certain": (5, 5), "presque certain": (5, 5),
        "negligible": (1, 5), "minimal": (1, 5), "négligeable": (1, 5), "very low": (1, 5), "très faible": (1, 5),
        "minor": (2, 5), "mineur": (2, 5), "limité": (2, 5), "significant": (3, 5), "significatif": (3, 5),
        "important": (4, 5), "major": (4, 5), "majeur": (4, 5), "grave": (4, 5),
        "critical": (5, 5), "critique": (5, 5), "catastrophic": (5, 5), "catastrophique": (5, 5),
        "severe": (5, 5), "very high": (5, 5), "très élevé": (5, 5),
    }.items()
}  # fmt: skip
