"""Writes of the risk register."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from apps.core.decisions import Entry, record
from apps.core.models import Scope, User
from apps.core.roles import Role
from apps.register.models import Risk


@transaction.atomic
def record_risk(
    *,
    reference_source: str,
    title: str,
    description: str,
    level: int,
    evidence: Sequence[dict[str, Any]],
    owner_role: Role,
    actor: User,
    now: datetime,
    scope: Scope | None = None,
) -> Risk:
    """Record a risk, or return the one that was recorded from the same source before; in the caller's transaction.

    Args:
        reference_source: what it was found in, such as ``risk_flag:4``.
        level: 1 (Minimal) to 5 (Critical).
        evidence: entries as action cards keep them.
        owner_role: the role that answers for the risk.
        actor: who confirmed it.
        scope: the store or team it belongs to, or None for the company.

    Raises:
        IntegrityError: if the level is not between 1 and 5.
    """
    facts = {
        "title": title[:200],
        "description": description,
        "level": level,
        "evidence": list(evidence),
        "owner_role": owner_role.value,
        "scope": scope,
        "recorded_by": actor,
        "recorded_at": now,
        "reference": _next_reference,
    }
    risk, created = Risk.objects.get_or_create(source=reference_source, defaults=facts)
    if created:
        record(
            Entry(
                scope="register",
                actor=actor,
                action="risk_recorded",
                subject=f"risk:{risk.pk}",
                rationale=description,
                payload={"reference": risk.reference, "source": reference_source, "level": level},
            )
        )
    return risk


def _next_reference() -> str:
    """The next number of the register; a number that a rolled-back transaction drew is never used."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('register_risk_reference')")
        return f"R-{cursor.fetchone()[0]:04d}"
