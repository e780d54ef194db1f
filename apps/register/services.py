"""What lower layers' news brings into the register: risks confirmed by the escalation ladder."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.core.models import Scope, User
from apps.core.roles import Role
from apps.register import matrices, risks
from apps.register.models import Rating, Risk, RiskLink


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

    Its level on the ladder becomes its inherent and its current score. Whether the actor may confirm risks was decided by
    the ladder, so the register does not ask again.

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
    risk = Risk(
        source=reference_source, title=title[:200], description=description, level=level, evidence=list(evidence),
        owner_role=owner_role.value, scope=scope, recorded_by=actor, recorded_at=now,
    )  # fmt: skip
    stored = risks.store(risk, actor, source=reference_source, level=level)
    RiskLink.objects.get_or_create(risk=stored, target=reference_source, defaults={"added_by": actor, "added_at": now})
    if not stored.ratings.exists():
        matrix = matrices.in_force(matrices.PROTOCOL)
        for kind in (Rating.Kind.INHERENT, Rating.Kind.CURRENT):
            risks.give_score(
                stored, kind=kind, steps=(None, None), level=str(level), matrix=matrix, actor=actor, now=now,
                reason="Its level on the escalation ladder when it was confirmed.",
            )  # fmt: skip
    return stored
