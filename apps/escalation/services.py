"""Writes of the escalation ladder."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.core.decisions import Entry, record
from apps.core.errors import DomainError
from apps.core.models import Scope, User
from apps.core.notifications import notify
from apps.core.roles import Role, people_with
from apps.core.scope import may_work_in
from apps.escalation.models import RiskFlag

URGENT_LEVEL = 4


class InvalidLevel(DomainError):
    """The level is not one of the ladder's five."""

    code = "invalid_level"
    message = "The level must be a whole number from 1 (Minimal) to 5 (Critical)."


@transaction.atomic
def raise_flag(
    *,
    title: str,
    description: str,
    level: int,
    source: str,
    evidence: Sequence[dict[str, Any]],
    scope: Scope | None,
    raised_by: User | None,
    now: datetime,
) -> RiskFlag:
    """Raise a risk flag, or return the open one that the same source raised before.

    Args:
        title: one line, at most 200 characters; longer ones are cut.
        level: 1 (Minimal) to 5 (Critical).
        source: what it was raised from, such as ``action_card:17``; one open flag per source.
        evidence: entries as action cards keep them.
        scope: the store or team it belongs to, or None for the company.
        raised_by: who raised it; None for the system.
        now: the moment of raising.

    Raises:
        InvalidLevel: if the level is not on the ladder.
    """
    if level not in RiskFlag.Level.values:
        raise InvalidLevel
    defaults = {
        "title": title[:200],
        "description": description,
        "level": level,
        "evidence": list(evidence),
        "scope": scope,
        "step": first_step(level),
        "step_since": now,
        "raised_by": raised_by,
        "raised_at": now,
    }
    # The partial unique constraint makes a double escalation harmless; get_or_create settles the race.
    flag, created = RiskFlag.objects.get_or_create(source=source, status=RiskFlag.Status.OPEN, defaults=defaults)
    if created:
        record(
            Entry(
                scope="escalation",
                actor=raised_by or "system:escalation",
                action="risk_flag_raised",
                subject=f"risk_flag:{flag.pk}",
                rationale=description,
                payload={"level": level, "source": source},
            )
        )
        _announce(flag)
    return flag


def first_step(level: int) -> RiskFlag.Step:
    """Where the ladder begins for a level: in the ticket, with the team lead, or escalated at once."""
    if level >= URGENT_LEVEL:
        return RiskFlag.Step.ESCALATED
    return RiskFlag.Step.LEAD_REVIEW if level == RiskFlag.Level.MEDIUM else RiskFlag.Step.DOCUMENTED


def _announce(flag: RiskFlag) -> None:
    """Tell team leads about level 3, and risk management about levels 4 and 5, in their own scopes."""
    if flag.level < RiskFlag.Level.MEDIUM:
        return
    roles = (Role.RISK_MANAGER, Role.TEAM_LEAD) if flag.level >= URGENT_LEVEL else (Role.TEAM_LEAD,)
    notify(
        kind="risk_flag",
        recipients=[person for person in people_with(*roles) if may_work_in(person, flag.scope)],
        title=f"Risk flag, {flag.get_level_display()}: {flag.title}",
        body=flag.description,
        url=f"/admin/escalation/riskflag/{flag.pk}/change/",
        dedupe_key=f"risk_flag:{flag.pk}",
        urgent=flag.level >= URGENT_LEVEL,
    )
