"""Facts that happen outside of this system and are reported to it: backups, restore tests, audits of dependencies.

Each is an entry of the decision log, so it cannot be made up later, changed or removed without notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.db import transaction
from django.utils.dateparse import parse_datetime

from apps.core.decisions import Entry, record, system
from apps.core.models import Decision, User

Kind = Literal["backup", "restore_test", "dependency_audit"]
SCOPE = "operations"


@dataclass(frozen=True, slots=True)
class Reported:
    """A fact that was reported.

    Attributes:
        happened_at: when it happened; not later than it was reported.
        facts: as they were reported.
        seq: number of the entry of the decision log.
    """

    happened_at: datetime
    facts: Mapping[str, Any]
    seq: int


@transaction.atomic
def report(
    kind: Kind, *, happened_at: datetime, facts: Mapping[str, Any], now: datetime, actor: User | None = None
) -> Reported:
    """Record that something happened.

    Args:
        actor: who says so; None for the command that saw it.

    Raises:
        ValueError: if it is said to have happened in the future.
    """
    if happened_at > now:
        raise ValueError("What is reported has happened already.")
    payload = {**facts, "happened_at": happened_at.isoformat()}
    entry = record(
        Entry(
            scope=SCOPE,
            actor=actor or system(f"record-{kind.replace('_', '-')}"),
            action=f"{kind}_recorded",
            subject=f"{kind}:{happened_at:%Y-%m-%dT%H:%M:%SZ}",
            payload=payload,
        )
    )
    return Reported(happened_at, payload, entry.seq)


def last(kind: Kind, *, now: datetime) -> Reported | None:
    """The latest fact of a kind by when it happened, among the last hundred that were reported; None if there is none."""
    entries = Decision.objects.filter(scope=SCOPE, action=f"{kind}_recorded", at__lte=now).order_by("-seq")[:100]
    found = [Reported(_moment(entry), entry.payload, entry.seq) for entry in entries]
    return max(found, key=lambda one: one.happened_at, default=None)


def _moment(entry: Decision) -> datetime:
    told = parse_datetime(str(entry.payload.get("happened_at", "")))
    return told if told is not None and told.tzinfo is not None else entry.at
