"""Writes about mitigations: tasks that lower a risk, and actions of an assessment's strategy.

Their owners work on them; who owns the risk or the assessment, and who keeps the register, may change them too. Each write
is bound to the version that was seen. Finishing and dropping are decisions, and recorded as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max, Q

from apps.core.audit import said_by
from apps.core.decisions import Entry, record
from apps.core.models import User
from apps.core.notifications import News, notify, notify_many
from apps.register.binding import apply_changes, check_fields
from apps.register.differences import differences_since
from apps.register.models import Mitigation, Risk, RiskAssessment
from apps.register.refusals import MissingInformation, MitigationChanged, NotAllowed, NotFound, WrongState
from apps.register.rights import (
    LOG,
    Actor,
    demand,
    kept,
    may_with_assessment,
    may_with_mitigation,
    may_with_risk,
    said,
    sees,
)

ADD = "register.add_mitigation"
CHANGE = "register.change_mitigation"
EDITABLE = (
    "title", "description", "horizon", "priority", "owner_role", "owner", "due_on", "status", "progress", "effect",
    "position",
)  # fmt: skip
_ENDED = (Mitigation.Status.DONE, Mitigation.Status.DROPPED)
_AHEAD = timedelta(days=3)
Status = Mitigation.Status


@transaction.atomic
def add(
    *,
    title: str,
    actor: Actor,
    now: datetime,
    risk: Risk | None = None,
    assessment: RiskAssessment | None = None,
    reason: str = "",
    **fields: Any,
) -> Mitigation:
    """Add a mitigation to a risk, or an action to an assessment's strategy, as the last of its kind.

    Args:
        fields: further fields, of :data:`EDITABLE`.

    Raises:
        NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    demand(actor, ADD)
    _demand_place(actor, risk, assessment)
    last = Mitigation.objects.filter(risk=risk, assessment=assessment).aggregate(last=Max("position"))["last"]
    row = Mitigation(risk=risk, assessment=assessment, position=(last or 0) + 1)
    apply_changes(row, {"title": said(title, "title", "What is done.", 500), **fields}, EDITABLE)
    check_fields(row, ("title", "progress", "status"))
    if row.status == Status.DONE:
        row.progress = 100
    with said_by(actor, kept(reason) or "Added."):
        row.save(force_insert=True)
    if row.owner and row.owner != actor:
        _tell_owner(row)
    return row


def _demand_place(actor: Actor, risk: Risk | None, assessment: RiskAssessment | None) -> None:
    if risk is None and assessment is None:
        raise MissingInformation(fields={"risk": ["A risk or an assessment."]})
    if risk is not None:
        if not sees(actor, Risk.objects.filter(pk=risk.pk)).exists():
            raise NotFound
        if not may_with_risk(actor, risk, ADD):
            raise NotAllowed
    if assessment is not None:
        if not sees(actor, RiskAssessment.objects.filter(pk=assessment.pk)).exists():
            raise NotFound
        if risk is None and not may_with_assessment(actor, assessment, ADD):
            raise NotAllowed


@transaction.atomic
def update(
    *,
    mitigation_id: int,
    seen_version: int,
    changes: Mapping[str, Any],
    actor: Actor,
    now: datetime,
    reason: str = "",
) -> Mitigation:
    """Change a mitigation. Nothing different, nothing done. Dropping one needs a reason; a new owner is told.

    Raises:
        MitigationChanged, NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    row = _locked(mitigation_id, actor)
    if row.version != seen_version:
        raise MitigationChanged(row.version, differences_since(row, seen_version))
    before = row.status
    if not str(changes.get("title", "x")).strip():
        raise MissingInformation(fields={"title": ["What is done."]})
    changed = apply_changes(row, changes, EDITABLE)
    if row.status == Status.DONE and row.progress != 100:
        row.progress = 100
        changed.append("progress")
    if not changed:
        return row
    ended = row.status != before and (row.status in _ENDED or before in _ENDED)
    if row.status != before and (row.status == Status.DROPPED or before in _ENDED):
        reason = said(reason, "reason", "Why it is dropped, or taken up again.")
    row.version += 1
    with said_by(actor, kept(reason)):
        row.save(update_fields=[*changed, "version"])
    if "owner" in changed and row.owner and row.owner != actor:
        _tell_owner(row)
    if ended:
        record(_entry(row, actor, kept(reason), before))
    return row


@transaction.atomic
def progress(
    *, mitigation_id: int, seen_version: int, percent: int, actor: Actor, now: datetime, reason: str = ""
) -> Mitigation:
    """Say how far a mitigation is, 0 to 100 percent; one that was planned is in progress from then on.

    Raises:
        WrongState: it was dropped or is done.
        MitigationChanged, NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    row = _locked(mitigation_id, actor)
    if row.status in _ENDED:
        raise WrongState(f"The mitigation is {row.get_status_display().lower()}.")
    changes: dict[str, Any] = {"progress": percent}
    if row.status == Status.PLANNED and percent:
        changes["status"] = Status.IN_PROGRESS
    return update(
        mitigation_id=mitigation_id, seen_version=seen_version, changes=changes, actor=actor, now=now, reason=reason
    )


def done(*, mitigation_id: int, seen_version: int, actor: Actor, now: datetime, reason: str = "") -> Mitigation:
    """Say that a mitigation is done. Raises as :func:`update`."""
    changes = {"status": Status.DONE, "progress": 100}
    return update(
        mitigation_id=mitigation_id, seen_version=seen_version, changes=changes, actor=actor, now=now, reason=reason
    )


def drop(*, mitigation_id: int, seen_version: int, actor: Actor, now: datetime, reason: str) -> Mitigation:
    """Say that a mitigation will not be done, and why. Raises as :func:`update`."""
    return update(
        mitigation_id=mitigation_id, seen_version=seen_version, changes={"status": Status.DROPPED}, actor=actor,
        now=now, reason=reason,
    )  # fmt: skip


def overdue(today: date) -> Sequence[Mitigation]:
    """Unfinished mitigations whose day has passed, the oldest first."""
    return list(Mitigation.objects.unfinished().filter(due_on__lt=today).order_by("due_on", "pk"))


def remind(*, now: datetime) -> int:
    """Remind owners of mitigations that fall due in three days, and each week of those that are late.

    Returns:
        How many reminders had not been given before.
    """
    today = now.date()
    near = Mitigation.objects.unfinished().filter(due_on__lte=today + _AHEAD)
    rows = near.exclude(Q(owner=None) & Q(risk__owner=None)).select_related("owner", "risk__owner")
    return notify_many(kind="register", news=[_reminder(row, today) for row in rows.iterator(chunk_size=1000)])


def _reminder(row: Mitigation, today: date) -> News:
    owner = row.owner or (row.risk.owner if row.risk else None)
    assert owner is not None  # the query asked for both
    assert row.due_on is not None
    late = (today - row.due_on).days
    title = f"Late by {late} days" if late > 0 else f"Due on {row.due_on:%-d %b %Y}"
    # Late ones are told about once for each week of lateness; the same week gives the same key.
    step = f"late:{(late - 1) // 7}" if late > 0 else "near"
    return News(owner, f"{title}: {row.title}", _of(row), f"mitigation:{row.pk}:{row.due_on}:{step}", _url(row))


def _locked(mitigation_id: int, actor: Actor) -> Mitigation:
    demand(actor, "register.view_mitigation")
    ids = sees(actor, Mitigation.objects.filter(pk=mitigation_id)).values("pk")
    rows = Mitigation.objects.select_for_update(of=("self",), no_key=True)
    row: Mitigation | None = rows.select_related("risk", "assessment", "owner").filter(pk__in=ids).first()
    if row is None:
        raise NotFound
    if not may_with_mitigation(actor, row, CHANGE):
        raise NotAllowed
    return row


def _tell_owner(row: Mitigation) -> None:
    owner: User | None = row.owner
    assert owner is not None  # the caller looked
    notify(
        kind="register",
        recipients=[owner],
        title=f"Yours to do: {row.title}",
        body=f"{_of(row)} {f'Due on {row.due_on:%-d %b %Y}.' if row.due_on else ''}".strip(),
        url=_url(row),
        dedupe_key=f"mitigation:{row.pk}:owner:{row.version}",
    )


def _of(row: Mitigation) -> str:
    return f"Mitigation of {row.risk or row.assessment}."


def _url(row: Mitigation) -> str:
    return f"/admin/register/mitigation/{row.pk}/change/"


def _entry(row: Mitigation, actor: Actor, rationale: str, before: str) -> Entry:
    actions = {Status.DONE.value: "mitigation_done", Status.DROPPED.value: "mitigation_dropped"}
    return Entry(
        scope=LOG,
        actor=actor,
        action=actions.get(row.status, "mitigation_taken_up"),
        subject=f"mitigation:{row.pk}",
        rationale=rationale,
        evidence_url=_url(row),
        payload={"risk": row.risk_id, "assessment": row.assessment_id, "before": before, "version": row.version},
    )
