"""Writes about risks: recording, editing, scoring, status, and what they hang together with.

Each is one transaction. What others decide upon carries the version that was seen and is refused if the risk changed
meanwhile, with what differs. An open acceptance is ended by a change of what it is bound to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from apps.core.audit import said_by
from apps.core.decisions import Entry, record, record_many
from apps.core.models import Scope, User
from apps.core.notifications import notify
from apps.core.scope import may_work_in
from apps.register import acceptances, matrices
from apps.register.binding import apply_changes, bind, check_fields, entry, save_risk
from apps.register.models import (
    Acceptance,
    Category,
    MatrixVersion,
    Rating,
    RegisterReview,
    Risk,
    RiskAssessment,
    RiskLink,
)
from apps.register.querysets import EDIT_ANY
from apps.register.refusals import InvalidScore, MissingInformation, NotAllowed, WrongState
from apps.register.rights import Actor, clean, demand, kept, locked_risk, may, person, said, within

CHANGE = "register.change_risk"
EDITABLE = (
    "title", "description", "cause", "consequence", "category", "owner_role", "owner", "treatment", "proximity",
    "position", "assessment", "scope", "evidence",
)  # fmt: skip
# Where a risk belongs is not its owner's to change.
_FOR_KEEPERS = frozenset({"assessment", "scope", "position", "evidence"})
Status = Risk.Status
_TARGET = re.compile(r"[a-z][a-z_]{1,40}:[A-Za-z0-9-]{1,58}")


@transaction.atomic
def create_risk(
    *,
    title: str,
    source: str,
    actor: Actor,
    now: datetime,
    assessment: RiskAssessment | None = None,
    position: int | None = None,
    category: Category | None = None,
    owner_role: str = "",
    owner: User | None = None,
    description: str = "",
    cause: str = "",
    consequence: str = "",
    treatment: str = Risk.Treatment.MITIGATE,
    proximity: str = "",
    scope: Scope | None = None,
    evidence: Sequence[dict[str, Any]] = (),
) -> Risk:
    """Record a risk, or return the one that was recorded from the same source before.

    Args:
        source: what it comes from, such as ``risk_flag:4``; one risk per source.
        scope: the store or team it belongs to; that of the assessment if none is given.

    Raises:
        NotAllowed: the role does not include it, or the scope is not this person's.
        MissingInformation: a value does not fit.
    """
    demand(actor, "register.add_risk")
    scope = scope or (assessment.scope if assessment else None)
    if isinstance(actor, User) and not may_work_in(actor, scope):
        raise NotAllowed
    risk = Risk(
        source=_key(source), title=said(title, "title", "What it is.", 200),
        assessment=assessment, position=position, category=category, owner_role=clean(owner_role), owner=owner,
        treatment=treatment, proximity=proximity, scope=scope, evidence=list(evidence), recorded_by=person(actor),
        recorded_at=now, **within({"description": description, "cause": cause, "consequence": consequence}),
    )  # fmt: skip
    check_fields(risk, ("title", "treatment", "proximity", *(["owner_role"] if risk.owner_role else [])))
    return store(risk, actor, source=source)


def _key(source: str) -> str:
    """What a risk comes from; a key, so nothing in it is masked."""
    source = clean(source)
    if not 0 < len(source) <= 300:
        raise MissingInformation(fields={"source": ["What it comes from, in at most 300 characters."]})
    return source


def store(risk: Risk, actor: Actor, **payload: Any) -> Risk:
    """Store a new risk with the next reference, or return the one of the same source; in the caller's transaction."""
    facts = {field.attname: getattr(risk, field.attname) for field in Risk._meta.concrete_fields if field.name != "id"}
    facts |= {"reference": _next_reference}
    source = facts.pop("source")
    with said_by(actor, "Recorded."):
        stored, created = Risk.objects.get_or_create(source=source, defaults=facts)
    if created:
        record(entry(stored, actor, "risk_recorded", stored.description, **payload))
    return stored


def _next_reference() -> str:
    """The next number of the register; a number that a rolled-back transaction drew is never used."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('register_risk_reference')")
        return f"R-{cursor.fetchone()[0]:04d}"


@transaction.atomic
def edit_risk(
    *, risk_id: int, seen_version: int, changes: Mapping[str, Any], actor: Actor, now: datetime, reason: str = ""
) -> Risk:
    """Change words, category, owner or treatment. Nothing different, nothing done. A new owner is told.

    Args:
        changes: new values by name, of :data:`EDITABLE`.

    Raises:
        RiskChanged, NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    risk = locked_risk(risk_id, actor, CHANGE)
    bind(risk, seen_version)
    if _FOR_KEEPERS & set(changes) and not may(actor, EDIT_ANY):
        raise NotAllowed
    if not str(changes.get("title", "x")).strip():
        raise MissingInformation(fields={"title": ["What it is."]})
    changed = apply_changes(risk, changes, EDITABLE)
    if not changed:
        return risk
    if isinstance(actor, User) and not may_work_in(actor, risk.scope):
        raise NotAllowed
    if "owner" in changed and risk.owner and not (risk.owner.is_active and risk.owner.has_perm("register.view_risk")):
        raise MissingInformation(fields={"owner": ["This person does not work with the register."]})
    _finish(risk, changed, actor, now, reason)
    if "owner" in changed and risk.owner and risk.owner != actor:
        _tell_owner(risk)
    return risk


def _finish(
    risk: Risk, changed: Sequence[str], actor: Actor, now: datetime, reason: str, *made: Entry, **facts: Any
) -> None:
    """Save a changed risk, end an acceptance that the change outdates, and record."""
    status = risk.status
    outdated = acceptances.outdate(risk, now)
    fields = [*changed, "status"] if risk.status != status else list(changed)
    save_risk(risk, fields, actor, reason, **facts)
    record_many([*made, *([outdated] if outdated else [])])


def _tell_owner(risk: Risk) -> None:
    assert risk.owner is not None  # the caller looked
    notify(
        kind="register",
        recipients=[risk.owner],
        title=f"You own a risk: {risk.reference} {risk.title}",
        body=risk.description,
        url=f"/admin/register/risk/{risk.pk}/change/",
        dedupe_key=f"risk:{risk.pk}:owner:{risk.version}",
    )


@transaction.atomic
def rate(
    *,
    risk_id: int,
    seen_version: int,
    kind: str,
    probability: int | None,
    impact: int | None,
    reason: str,
    actor: Actor,
    now: datetime,
    level: str = "",
    matrix: MatrixVersion | None = None,
) -> Rating:
    """Give a risk a score. The former one stays as it was given; the next review of the risk follows from the score.

    Args:
        kind: inherent, current or residual.
        probability, impact: steps of the matrix from 1; both None where only a level is stated.
        level: stated instead of steps: its name or number.
        matrix: the version to score by; see :func:`matrix_for` if none is given.

    Raises:
        InvalidScore: the matrix has no such step or level, or one of the steps is missing.
        RiskChanged, NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    risk = locked_risk(risk_id, actor, CHANGE)
    bind(risk, seen_version)
    reason = said(reason, "reason", "Why this score.")
    return give_score(
        risk, kind=kind, steps=(probability, impact), level=level, matrix=matrix, reason=reason, actor=actor, now=now
    )


def give_score(
    risk: Risk,
    *,
    kind: str,
    steps: tuple[int | None, int | None],
    reason: str,
    actor: Actor,
    now: datetime,
    level: str = "",
    matrix: MatrixVersion | None = None,
) -> Rating:
    """As :func:`rate`, for a risk that the caller has locked or just made, in the caller's transaction."""
    if kind not in Rating.Kind.values:
        raise MissingInformation(fields={"kind": ["Inherent, current or residual."]})
    matrix = matrix or matrix_for(risk)
    probability, impact = steps
    if probability is not None and impact is not None:
        score = matrices.score(matrix, probability, impact)
    elif probability is None and impact is None and level:
        score = matrices.score_level(matrix, level)
    else:
        raise InvalidScore("A score needs both steps, or a level.")
    former = risk.ratings.filter(kind=kind, latest=True).first()
    if former is not None:
        former.latest = False
        former.save(update_fields=["latest"])
    rating = Rating.objects.create(
        risk=risk, kind=kind, matrix=matrix, probability=probability, impact=impact, level=score.level,
        severity=score.severity, reason=reason, rated_by=person(actor), rated_at=now,
    )  # fmt: skip
    changed = []
    if kind == Rating.Kind.CURRENT:
        risk.severity, risk.next_review_on = score.severity, next_review(risk, rating)
        changed = ["severity", "next_review_on"]
    facts = {"kind": kind, "level": score.level, "severity": score.severity, "matrix": matrix.pk}
    made = entry(risk, actor, "risk_scored", reason, before=former.level if former else "", **facts)
    _finish(risk, changed, actor, now, reason, made, rating=rating.pk)
    return rating


def matrix_for(risk: Risk) -> MatrixVersion:
    """The matrix version that a risk is scored by: its assessment's; else the newest of the one it was scored by last."""
    if risk.assessment is not None:
        return risk.assessment.matrix
    last = risk.ratings.filter(latest=True).order_by("-pk").values_list("matrix__matrix__slug", flat=True).first()
    return matrices.in_force(last or matrices.FIVE)


def next_review(risk: Risk, rating: Rating, reviewed_at: datetime | None = None) -> date | None:
    """When a risk with this current score is looked at again: counted from the last completed review of it or of its
    assessment that decided on it, else from when it was recorded; None if the matrix asks for none.

    Args:
        reviewed_at: when that review was, if the caller knows.
    """
    days = matrices.review_days(rating.matrix, rating.level)
    if days is None or risk.status == Status.CLOSED:
        return None
    since = reviewed_at or last_reviewed(risk) or risk.recorded_at
    return since.date() + timedelta(days=days)


def last_reviewed(risk: Risk) -> datetime | None:
    """When a risk was last reviewed: alone, or as a point of its assessment's review."""
    done = RegisterReview.objects.filter(Q(risk=risk) | Q(points__risk=risk), status=RegisterReview.Status.COMPLETED)
    found: datetime | None = done.order_by("-completed_at").values_list("completed_at", flat=True).first()
    return found


@transaction.atomic
def close(*, risk_id: int, seen_version: int, reason: str, actor: Actor, now: datetime) -> Risk:
    """Close a risk that does not exist any more. An acceptance or a request for one ends with it.

    Raises:
        WrongState, RiskChanged, NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    return _set_status(risk_id, seen_version, Status.CLOSED, set(Status) - {Status.CLOSED}, reason, actor, now)


@transaction.atomic
def reopen(*, risk_id: int, seen_version: int, reason: str, actor: Actor, now: datetime) -> Risk:
    """Open a risk again that was closed, accepted or being treated; an acceptance ends with it.

    Raises:
        WrongState, RiskChanged, NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    return _set_status(risk_id, seen_version, Status.OPEN, set(Status) - {Status.OPEN}, reason, actor, now)


@transaction.atomic
def treat(*, risk_id: int, seen_version: int, reason: str, actor: Actor, now: datetime) -> Risk:
    """Say that an open risk is being treated.

    Raises:
        WrongState, RiskChanged, NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    return _set_status(risk_id, seen_version, Status.TREATED, {Status.OPEN}, reason, actor, now)


def _set_status(
    risk_id: int,
    seen_version: int,
    status: Risk.Status,
    sources: set[Risk.Status],
    reason: str,
    actor: Actor,
    now: datetime,
) -> Risk:
    risk = locked_risk(risk_id, actor, CHANGE)
    bind(risk, seen_version)
    reason = said(reason, "reason", "Why.")
    if risk.status not in sources:
        raise WrongState(f"The risk is {risk.get_status_display().lower()}.")
    before, risk.status = risk.status, status
    if status != Status.TREATED:
        for one in risk.acceptances.select_for_update(of=("self",)).filter(state__in=Acceptance.OPEN):
            acceptances.end(one, Acceptance.State.WITHDRAWN, actor, now, reason)
    current = risk.ratings.filter(kind=Rating.Kind.CURRENT, latest=True).select_related("matrix").first()
    risk.next_review_on = next_review(risk, current) if current else None
    save_risk(risk, ["status", "next_review_on"], actor, reason)
    action = {Status.CLOSED: "risk_closed", Status.OPEN: "risk_reopened"}.get(status, "risk_treated")
    record(entry(risk, actor, action, reason, before=before))
    return risk


@transaction.atomic
def link(*, risk_id: int, target: str, actor: Actor, now: datetime, note: str = "") -> RiskLink:
    """Say that a risk hangs together with a flag, a card, a ticket or an incident. Said again, it is the same link.

    Args:
        target: ``kind:id``, such as ``action_card:17``.

    Raises:
        NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    risk = locked_risk(risk_id, actor, CHANGE)
    if not _TARGET.fullmatch(target):
        raise MissingInformation(fields={"target": ["Such as risk_flag:4 or action_card:17."]})
    facts = {"note": kept(note)[:300], "added_by": person(actor), "added_at": now}
    with said_by(actor, kept(note)):
        return RiskLink.objects.get_or_create(risk=risk, target=target, defaults=facts)[0]


@transaction.atomic
def unlink(*, risk_id: int, target: str, actor: Actor, reason: str = "") -> bool:
    """Take a link away. Returns whether it was there.

    Raises:
        NotFound, NotAllowed: nothing was done.
    """
    risk = locked_risk(risk_id, actor, CHANGE)
    found = risk.links.filter(target=target).first()
    if found is None:
        return False
    with said_by(actor, kept(reason)):
        found.delete()
    return True
