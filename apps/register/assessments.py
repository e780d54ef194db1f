"""Writes about assessments: what they say, their phase and rhythm of reviews, and their gates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.db import transaction

from apps.core.audit import said_by
from apps.core.decisions import Entry, record
from apps.core.models import User
from apps.core.scope import may_work_in
from apps.register.binding import apply_changes
from apps.register.differences import differences_since
from apps.register.models import ReviewGate, RiskAssessment
from apps.register.refusals import AssessmentChanged, MissingInformation, NotAllowed, NotFound
from apps.register.reviews import plan_assessment
from apps.register.rights import LOG, Actor, demand, kept, said, sees

CHANGE = "register.change_riskassessment"
EDITABLE = (
    "title", "project", "status", "phase", "references", "overview", "matrix", "scope", "owner", "cadence",
    "review_every_days",
)  # fmt: skip


@transaction.atomic
def edit_assessment(
    *,
    assessment_id: int,
    seen_version: int,
    changes: Mapping[str, Any],
    actor: Actor,
    now: datetime,
    reason: str = "",
) -> RiskAssessment:
    """Change an assessment. Nothing different, nothing done. Another phase is a decision and needs a reason.

    Args:
        changes: new values by name, of :data:`EDITABLE`; another version of the matrix rewrites no score.

    Raises:
        AssessmentChanged, NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    row = locked(assessment_id, actor, CHANGE, seen_version)
    if not str(changes.get("title", "x")).strip():
        raise MissingInformation(fields={"title": ["What it is."]})
    _check_rhythm(changes.get("review_every_days", {}))
    before = row.phase
    changed = apply_changes(row, changes, EDITABLE)
    if not changed:
        return row
    if isinstance(actor, User) and not may_work_in(actor, row.scope):
        raise NotAllowed
    if "phase" in changed:
        reason = said(reason, "reason", "Why it enters another phase.")
    row.version += 1
    with said_by(actor, kept(reason)):
        row.save(update_fields=[*changed, "version"])
    if {"phase", "review_every_days", "status"} & set(changed):
        plan_assessment(row)
    if "phase" in changed:
        record(entry(row, actor, "assessment_phase_changed", reason, before=before, phase=row.phase))
    return row


def _check_rhythm(days: object) -> None:
    phases = set(RiskAssessment.Phase.values)
    good = isinstance(days, dict) and all(
        name in phases and isinstance(count, int) and 0 < count <= 3660 for name, count in days.items()
    )
    if not good:
        raise MissingInformation(fields={"review_every_days": ["Days from 1 to 3660 by build, pilot and live."]})


@transaction.atomic
def plan_gate(
    *, assessment_id: int, name: str, due_on: date | None, actor: Actor, now: datetime, reason: str = ""
) -> ReviewGate:
    """Add a gate, or say when one is planned.

    Raises:
        NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    row = locked(assessment_id, actor, CHANGE)
    name = said(name, "name", "What it comes before.", 120)
    gate, created = ReviewGate.objects.get_or_create(assessment=row, name=name, defaults={"due_on": due_on})
    if not created and gate.due_on != due_on:
        gate.due_on = due_on
        with said_by(actor, kept(reason)):
            gate.save(update_fields=["due_on"])
    plan_assessment(row)
    return gate


def locked(assessment_id: int, actor: Actor, permission: str, seen_version: int | None = None) -> RiskAssessment:
    """An assessment to be changed, locked until the transaction ends.

    Raises:
        AssessmentChanged: it is not the version that was seen, if one is named.
        NotFound: it is not in this person's sight.
        NotAllowed: the role does not include this.
    """
    demand(actor, "register.view_riskassessment")
    ids = sees(actor, RiskAssessment.objects.filter(pk=assessment_id)).values("pk")
    rows = RiskAssessment.objects.select_for_update(of=("self",), no_key=True)
    row: RiskAssessment | None = rows.filter(pk__in=ids).first()
    if row is None:
        raise NotFound
    demand(actor, permission)
    if seen_version is not None and row.version != seen_version:
        raise AssessmentChanged(row.version, differences_since(row, seen_version))
    return row


def entry(row: RiskAssessment, actor: Actor, action: str, rationale: str, **payload: Any) -> Entry:
    """What stands in the decision log about an assessment."""
    return Entry(
        scope=LOG,
        actor=actor,
        action=action,
        subject=f"risk_assessment:{row.pk}",
        rationale=rationale,
        evidence_url=f"/admin/register/riskassessment/{row.pk}/change/",
        payload={"version": row.version, **payload},
    )
