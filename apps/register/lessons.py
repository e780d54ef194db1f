"""What is learnt from incidents: the review that follows one, and the changes of the register that it proposes.

A proposed change is made when somebody decides so who may make such a change himself; it is then an ordinary write of the
register, with its own rights, checks and trail.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.db import transaction

from apps.core.decisions import Entry, record
from apps.core.models import User
from apps.register import mitigations, risks
from apps.register.incidents import (
    IncidentNotFound,
    IncompleteIncident,
    Kind,
    NotInThisStage,
    NotYours,
    Stage,
    locked,
    said,
    write_event,
)
from apps.register.models import Incident, PostIncidentReview, ProposedChange, Rating, Risk
from apps.register.rights import clean, kept

DECIDE = "register.change_proposedchange"
State = ProposedChange.State


@transaction.atomic
def hold_review(
    *, incident_id: int, seen_version: int, summary: str, cause: str, actor: User, now: datetime,
    went_well: str = "", went_badly: str = "",
) -> PostIncidentReview:  # fmt: skip
    """Write down what is learnt from a resolved incident; a second time, write it better while it is not closed.

    Raises:
        IncidentNotFound, NotYours, IncidentChanged: it is not there, not the person's, or not what was seen.
        NotInThisStage: it is not resolved yet, or closed.
        IncompleteIncident: the summary or the cause is missing.
    """
    incident = locked(incident_id, actor, seen_version)
    if incident.stage != Stage.RESOLVED:
        raise NotInThisStage("The review is held when the incident is resolved, and before it is closed.")
    words = {
        "summary": said(summary, "summary", "Say what happened, in short."),
        "cause": said(cause, "cause", "Say what caused it."),
        "went_well": _perhaps(went_well, "went_well"),
        "went_badly": _perhaps(went_badly, "went_badly"),
    }
    review = PostIncidentReview.objects.filter(incident=incident).first()
    if review is None:
        review = PostIncidentReview.objects.create(incident=incident, held_by=actor, held_at=now, **words)
        write_event(incident, Kind.CHANGE, actor, now, "The review was held.")
    else:
        for name, value in words.items():
            setattr(review, name, value)
        review.save(update_fields=list(words))
        write_event(incident, Kind.CHANGE, actor, now, "The review was written anew.")
    _touch(incident)
    return review


@transaction.atomic
def propose(
    *, incident_id: int, kind: str, content: dict[str, Any], reason: str, actor: User, now: datetime,
    risk: Risk | None = None,
) -> ProposedChange:  # fmt: skip
    """Propose a change of the register.

    Args:
        content: of a new risk ``title``, ``description``, ``owner_role``; of another score ``kind``, ``probability``,
            ``impact``; of a new mitigation ``title``, ``description``, ``owner_role``, ``due_on`` (ISO).
        risk: what the score or the mitigation is of.

    Raises:
        IncidentNotFound, NotYours: it is not there, or not the person's.
        NotInThisStage: the review was not held yet, or the incident is closed.
        IncompleteIncident: something of the content is missing.
    """
    incident = locked(incident_id, actor, None)
    review = PostIncidentReview.objects.filter(incident=incident).first()
    if review is None or incident.stage != Stage.RESOLVED:
        raise NotInThisStage("Changes are proposed by the review, while the incident is not closed.")
    if kind not in ProposedChange.Kind.values:
        raise IncompleteIncident(fields={"kind": ["This is no kind of change."]})
    if kind != ProposedChange.Kind.NEW_RISK and not _sees(risk, actor):
        raise IncompleteIncident(fields={"risk": ["Say which risk."]})
    proposed = ProposedChange.objects.create(
        review=review, kind=kind, risk=None if kind == ProposedChange.Kind.NEW_RISK else risk,
        content=_content(kind, content), reason=said(reason, "reason", "Say why."),
    )  # fmt: skip
    write_event(incident, Kind.CHANGE, actor, now, f"Proposed: {proposed}", change=proposed.pk)
    _touch(incident)
    return proposed


@transaction.atomic
def decide(
    *, change_id: int, make: bool, reason: str, actor: User, now: datetime, seen_risk: int | None = None
) -> ProposedChange:
    """Make a proposed change, or reject it.

    Args:
        seen_risk: the version of the risk that the person saw; needed where the change is of one.

    Raises:
        NotYours, IncidentNotFound: the person decides no such changes, or it is not there.
        NotInThisStage: it was decided before.
        DomainError: what the register itself refuses, such as a risk that changed meanwhile.
    """
    if not actor.has_perm(DECIDE):
        raise NotYours
    rows = ProposedChange.objects.filter(review__incident__in=Incident.objects.visible_to(actor))
    change = (
        rows.select_for_update(of=("self",), no_key=True)
        .select_related("review__incident", "risk")
        .filter(pk=change_id)
        .first()
    )
    if change is None:
        raise IncidentNotFound("There is no such proposal.")
    if change.state != State.PROPOSED:
        raise NotInThisStage("It was decided before.")
    change.decision_reason = said(reason, "reason", "Say why.")
    change.state, change.decided_by, change.decided_at = State.MADE if make else State.REJECTED, actor, now
    if make:
        _make(change, seen_risk, actor, now)
    change.save(update_fields=["state", "decided_by", "decided_at", "decision_reason", "risk"])
    incident = change.review.incident
    write_event(
        incident,
        Kind.CHANGE,
        actor,
        now,
        f"{change.get_state_display()}: {change}. {change.decision_reason}",
        change=change.pk,
    )
    record(
        Entry(
            scope="register", actor=actor, action=f"proposed_change_{change.state}", subject=f"incident:{incident.pk}",
            rationale=change.decision_reason, payload={"change": change.pk, "kind": change.kind, "risk": change.risk_id},
        )
    )  # fmt: skip
    return change


def _make(change: ProposedChange, seen_risk: int | None, actor: User, now: datetime) -> None:
    """Do it by the register's own services, which check the rights for it."""
    content, why = change.content, f"{change.reason} ({change.review.incident.reference})"
    source = f"incident:{change.review.incident_id}"
    if change.kind == ProposedChange.Kind.NEW_RISK:
        change.risk = risks.create_risk(
            title=content["title"], description=content["description"], owner_role=content["owner_role"],
            source=f"{source}:change:{change.pk}", actor=actor, now=now,
        )  # fmt: skip
        change.review.incident.risks.add(change.risk)
        return
    if change.risk is None:
        raise IncompleteIncident(fields={"risk": ["The risk is gone."]})
    if change.kind == ProposedChange.Kind.RESCORE:
        risks.rate(
            risk_id=change.risk.pk, seen_version=seen_risk or 0, kind=content["kind"], probability=content["probability"],
            impact=content["impact"], reason=why, actor=actor, now=now,
        )  # fmt: skip
        return
    mitigations.add(
        risk=change.risk, title=content["title"], description=content["description"], owner_role=content["owner_role"],
        due_on=date.fromisoformat(content["due_on"]) if content["due_on"] else None, actor=actor, now=now,
    )  # fmt: skip


def _content(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """What a change of this kind says, checked."""
    if kind == ProposedChange.Kind.RESCORE:
        missing = [name for name in ("kind", "probability", "impact") if not given.get(name)]
        if missing or given["kind"] not in Rating.Kind.values:
            raise IncompleteIncident(fields={name: ["Say which."] for name in missing or ["kind"]})
        return {name: given[name] for name in ("kind", "probability", "impact")}
    title = said(str(given.get("title") or ""), "title", "Give it a title.")
    words = {
        "title": title,
        "description": _perhaps(str(given.get("description") or ""), "description"),
        "owner_role": clean(str(given.get("owner_role") or "")),
    }
    if kind == ProposedChange.Kind.NEW_MITIGATION:
        due = given.get("due_on")
        words["due_on"] = due.isoformat() if isinstance(due, date) else ""
    return words


def _perhaps(text: str, field: str) -> str:
    """A text that may be empty, as it may be kept."""
    return said(text, field, "") if kept(text) else ""


def _sees(risk: Risk | None, actor: User) -> bool:
    return risk is not None and Risk.objects.visible_to(actor).filter(pk=risk.pk).exists()


def _touch(incident: Incident) -> None:
    incident.version += 1
    incident.save(update_fields=["version"])
