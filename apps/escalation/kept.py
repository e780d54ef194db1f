"""Texts about flags on their way into rows: what must not be kept is masked first, so the raw text is nowhere.

What stands in the decision log, on the timeline, in notifications and in the register is made from the kept texts.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from apps.core.redaction import Masked, redact

# Says who the customers are and how to reach them, so addresses and numbers stay; secrets, cards and accounts do not.
_POLICIES = {"affected_customers": "contact"}


class Keeper:
    """Keeps the texts of one write, and counts what was masked in all of them together."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def keep(self, text: str, field: str = "") -> str:
        """A text as it may be kept.

        Args:
            field: the name of the field, where it decides what may stay.
        """
        kept = redact(text.replace("\x00", ""), _POLICIES.get(field, "message"))
        self._counts.update({one["kind"]: one["count"] for one in kept.masked})
        return kept.text

    def field(self, name: str, value: Any) -> Any:
        """A field's value as it may be kept; what is no text stays as it is."""
        return self.keep(value, name) if isinstance(value, str) else value

    @property
    def masked(self) -> list[Masked]:
        """Kinds and counts."""
        return [Masked(kind=kind, count=count) for kind, count in self._counts.items()]

    @property
    def facts(self) -> dict[str, Any]:
        """What an event says of it: nothing where nothing was masked."""
        return {"masked": self.masked} if self._counts else {}
