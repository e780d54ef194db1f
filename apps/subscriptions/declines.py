"""Whether a decline may pass: hard and soft decline codes, kept as data in ``data/decline_codes.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from apps.subscriptions.models import RenewalAttempt

CODES = Path(__file__).with_name("data") / "decline_codes.toml"
Kind = RenewalAttempt.DeclineKind


@lru_cache(maxsize=1)
def decline_codes() -> dict[str, dict[str, str]]:
    """The words for each code, under ``hard`` and ``soft``; codes are in lower case."""
    read = tomllib.loads(CODES.read_text(encoding="utf-8"))
    return {kind: {code.lower(): words for code, words in read[kind].items()} for kind in ("hard", "soft")}


def classify(code: str, *, hard: Collection[str] = (), soft: Collection[str] = ()) -> Kind:
    """Whether the decline with this code may pass.

    A code that nobody knows, and a failure without a code, count as soft: the networks put unnamed declines into the
    category that may be tried again within their limits.

    Args:
        code: as the provider names it; case and surrounding space do not count.
        hard, soft: codes of an organisation's own, which come before the common ones.
    """
    wanted = code.strip().lower()
    if wanted in {known.strip().lower() for known in hard}:
        return Kind.HARD
    if wanted in {known.strip().lower() for known in soft}:
        return Kind.SOFT
    return Kind.HARD if wanted in decline_codes()["hard"] else Kind.SOFT


def words_for(code: str) -> str:
    """A decline code in words; the code itself if nobody knows it."""
    known = decline_codes()
    return known["hard"].get(code.strip().lower()) or known["soft"].get(code.strip().lower()) or code
