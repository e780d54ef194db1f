"""Accepting risks: asked for, decided by somebody else, bound to the risk as it was seen, and ended on its day.

What is bound: the risk's words, category, owner, treatment and scores. When one of them changes, an open acceptance is
outdated at once, and an accepted risk is open again; the record tells the difference. Dates are never changed: who wants
a later end asks again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from django.db import DatabaseError, transaction
from django.db.models import Q

from apps.core.audit import said_by
from apps.core.decisions import Entry, record, record_many, system
from apps.core.models import User
from apps.core.names import called
from apps.core.notifications import notify
from apps.core.roles import Role, people_with
from apps.register.binding import bind, entry, save_risk
from apps.register.models import Acceptance, MatrixVersion, Risk
from apps.register.refusals import (
    AcceptanceOutdated,
    Difference,
    MissingInformation,
    NotAllowed,
    NotFound,
    OwnRequest,
    WrongState,
)
from apps.register.rights import Actor, demand, kept, locked_risk, may, said

REQUEST = "register.add_acceptance"
DECIDE = "register.decide_acceptance"
JOB = system("register")
WARN_DAYS = (14, 3)
LONGEST = timedelta(days=366)
State, Status = Acceptance.State, Risk.Status
_WORDS = ("title", "description", "cause", "consequence", "owner_role", "treatment")
logger = structlog.get_logger(__name__)


def as_seen(risk: Risk) -> dict[str, Any]:
    """What an acceptance is bound to: the risk's words, category, owner, treatment and latest scores."""
    scores = {
        rating.kind: {
            "matrix": rating.matrix_id,
            "probability": rating.probability,
            "impact": rating.impact,
            "level": rating.level,
        }
        for rating in risk.ratings.filter(latest=True)
    }
    words = {name: str(getattr(risk, name)) for name in _WORDS}
    return {**words, "category": risk.category.path if risk.category else "", "owner": risk.owner_id, "scores": scores}


def digest(seen: dict[str, Any]) -> str:
    """SHA-256 of what was seen, as hexadecimal."""
    return hashlib.sha256(json.dumps(seen, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def differences(acceptance: Acceptance) -> list[Difference]:
    """How the risk differs now from what was seen when its acceptance was asked for; nothing if it is the same."""
    return _compared(acceptance.seen, as_seen(acceptance.risk))


def _compared(seen: dict[str, Any], now: dict[str, Any]) -> list[Difference]:
    names = [*_WORDS, "category"]
    found = [Difference(name.replace("_", " ").capitalize(), str(seen.get(name, "")), str(now[name])) for name in names]
    found.append(Difference("Owner", _name(seen.get("owner")), _name(now["owner"])))
    for kind in ("inherent", "current", "residual"):
        before, after = seen.get("scores", {}).get(kind), now["scores"].get(kind)
        found.append(Difference(f"{kind.capitalize()} score", _score(before), _score(after)))
    return [one for one in found if one.before != one.now]


def _name(pk: int | None) -> str:
    found = User.objects.filter(pk=pk).first() if pk else None
    return called(found)


def _score(score: dict[str, Any] | None) -> str:
    if not score:
        return ""
    matrix = MatrixVersion.objects.filter(pk=score["matrix"]).select_related("matrix").first()
    steps = f" ({score['probability']} x {score['impact']})" if score["probability"] else ""
    return f"{score['level']}{steps}, {matrix}"


@transaction.atomic
def request(
    *, risk_id: int, seen_version: int, reason: str, expires_on: date, actor: User, now: datetime
) -> Acceptance:
    """Ask that a risk be accepted until a day, as it is now. Those who decide are told.

    Args:
        seen_version: the version of the risk that the person looked at.
        expires_on: the risk is open again from this day on; within a year.

    Raises:
        RiskChanged, NotAllowed, NotFound, MissingInformation: nothing was done.
        WrongState: the risk is closed, or another request is open.
    """
    risk = locked_risk(risk_id, actor, REQUEST)
    open_one = risk.acceptances.filter(state__in=Acceptance.OPEN).first()
    if open_one and (open_one.requested_by, open_one.expires_on, open_one.reason) == (
        actor,
        expires_on,
        kept(reason),
    ):
        return open_one
    bind(risk, seen_version)
    reason = said(reason, "reason", "Why the risk can be accepted.")
    if not now.date() < expires_on <= (now + LONGEST).date():
        raise MissingInformation(fields={"expires_on": ["A day after today, and within a year."]})
    if risk.status == Status.CLOSED:
        raise WrongState("A closed risk is not accepted; open it again first.")
    entries = [_outdated(open_one, risk, now)] if open_one else []
    if open_one and not entries[0]:
        raise WrongState("This risk is accepted already, or somebody asked for it.")
    seen = as_seen(risk)
    made = Acceptance.objects.create(
        risk=risk, reason=reason, expires_on=expires_on, seen=seen, digest=digest(seen), requested_by=actor,
        requested_at=now,
    )  # fmt: skip
    deciders = people_with(Role.RISK_MANAGER).exclude(pk=actor.pk)
    _tell(made, deciders, "Acceptance asked for", f"Until {expires_on:%-d %b %Y}: {reason}", "requested")
    asked = _entry(made, actor, "acceptance_requested", reason)
    record_many([*(one for one in entries if one), asked])
    return made


@transaction.atomic
def approve(*, acceptance_id: int, actor: User, now: datetime, reason: str, seen_digest: str = "") -> Acceptance:
    """Accept a risk as it was when it was asked for. Approved again by the same person, nothing more happens.

    Args:
        seen_digest: of the request on the page that the person decided on, if a page says it.

    Raises:
        AcceptanceOutdated: the risk is not the same any more; it tells the difference.
        OwnRequest: the person asked for it.
        NotAllowed, NotFound, WrongState, MissingInformation: nothing was done.
    """
    acceptance, risk = _locked(acceptance_id, actor)
    if acceptance.state == State.APPROVED and acceptance.decided_by == actor:
        return acceptance
    _decidable(acceptance, actor)
    changed = differences(acceptance)
    if changed or digest(as_seen(risk)) != acceptance.digest or seen_digest not in ("", acceptance.digest):
        raise AcceptanceOutdated(risk.version, changed)
    if acceptance.expires_on <= now.date():
        raise WrongState("The day on which it would end has come.")
    _decide(acceptance, State.APPROVED, actor, now, said(reason, "reason", "Why you accept it."))
    risk.status = Status.ACCEPTED
    save_risk(
        risk, ["status"], actor, f"Accepted until {acceptance.expires_on:%-d %b %Y}: {acceptance.decision_reason}"
    )
    _tell(acceptance, [acceptance.requested_by], "Risk accepted", acceptance.decision_reason, "approved")
    record(_entry(acceptance, actor, "acceptance_approved", acceptance.decision_reason))
    return acceptance


@transaction.atomic
def reject(*, acceptance_id: int, actor: User, now: datetime, reason: str) -> Acceptance:
    """Refuse to accept a risk. Refused again by the same person, nothing more happens.

    Raises:
        OwnRequest, NotAllowed, NotFound, WrongState, MissingInformation: nothing was done.
    """
    acceptance, _ = _locked(acceptance_id, actor)
    if acceptance.state == State.REJECTED and acceptance.decided_by == actor:
        return acceptance
    _decidable(acceptance, actor)
    _decide(acceptance, State.REJECTED, actor, now, said(reason, "reason", "Why it is not accepted."))
    _tell(acceptance, [acceptance.requested_by], "Acceptance rejected", acceptance.decision_reason, "rejected")
    record(_entry(acceptance, actor, "acceptance_rejected", acceptance.decision_reason))
    return acceptance


@transaction.atomic
def withdraw(*, acceptance_id: int, actor: User, now: datetime, reason: str) -> Acceptance:
    """Take back a request, or an acceptance that holds: then the risk is open again. Its requester may, and who decides.

    Raises:
        NotAllowed, NotFound, WrongState, MissingInformation: nothing was done.
    """
    acceptance, risk = _locked(acceptance_id, actor)
    if acceptance.requested_by != actor and not may(actor, DECIDE):
        raise NotAllowed
    if acceptance.state == State.WITHDRAWN:
        return acceptance
    if acceptance.state not in Acceptance.OPEN:
        raise WrongState
    reason = said(reason, "reason", "Why it is taken back.")
    end(acceptance, State.WITHDRAWN, actor, now, reason)
    reopen(risk, actor, f"Acceptance withdrawn: {reason}")
    record(_entry(acceptance, actor, "acceptance_withdrawn", reason))
    return acceptance


def outdate(risk: Risk, now: datetime) -> Entry | None:
    """End the open acceptance of a locked risk if the risk is not any more what was seen.

    The risk's status is set, not saved: whoever changed the risk saves it.

    Returns:
        What is to be recorded; None if nothing ended.
    """
    acceptance = risk.acceptances.select_for_update(of=("self",)).filter(state__in=Acceptance.OPEN).first()
    return _outdated(acceptance, risk, now) if acceptance else None


def _outdated(acceptance: Acceptance, risk: Risk, now: datetime) -> Entry | None:
    seen = as_seen(risk)
    if digest(seen) == acceptance.digest:
        return None
    words = "; ".join(str(one) for one in _compared(acceptance.seen, seen))
    end(acceptance, State.OUTDATED, JOB, now, words)
    if risk.status == Status.ACCEPTED:
        risk.status = Status.OPEN
    concerned = [one for one in (acceptance.requested_by, acceptance.decided_by) if one]
    _tell(acceptance, concerned, "Acceptance outdated", f"The risk changed. {words}", "outdated")
    return _entry(acceptance, JOB, "acceptance_outdated", words)


def end(acceptance: Acceptance, state: Acceptance.State, actor: Actor, now: datetime, reason: str) -> None:
    """Close an open acceptance; its dates stay as they were."""
    acceptance.state, acceptance.ended_at = state, now
    with said_by(actor, reason):
        acceptance.save(update_fields=["state", "ended_at"])


def reopen(risk: Risk, actor: Actor, reason: str) -> None:
    """Open an accepted risk again; another one is left as it is."""
    if risk.status == Status.ACCEPTED:
        risk.status = Status.OPEN
        save_risk(risk, ["status"], actor, reason)


def _locked(acceptance_id: int, actor: User) -> tuple[Acceptance, Risk]:
    """An acceptance and its risk, locked in the one order: the risk first."""
    demand(actor, "register.view_acceptance")
    visible = Acceptance.objects.visible_to(actor).filter(pk=acceptance_id)
    risk_id = visible.values_list("risk", flat=True).first()
    if risk_id is None:
        raise NotFound
    risk = Risk.objects.select_for_update(of=("self",), no_key=True).select_related("category").get(pk=risk_id)
    acceptance: Acceptance = Acceptance.objects.select_for_update(of=("self",)).get(pk=acceptance_id)
    acceptance.risk = risk
    return acceptance, risk


def _decidable(acceptance: Acceptance, actor: User) -> None:
    demand(actor, DECIDE)
    if acceptance.state != State.REQUESTED:
        raise WrongState(f"This request is not waiting any more: {acceptance.get_state_display()}.")
    if acceptance.requested_by == actor:
        raise OwnRequest


def _decide(acceptance: Acceptance, state: Acceptance.State, actor: User, now: datetime, reason: str) -> None:
    acceptance.state, acceptance.decided_by, acceptance.decided_at = state, actor, now
    acceptance.decision_reason = reason
    fields = ["state", "decided_by", "decided_at", "decision_reason"]
    if state == State.REJECTED:
        acceptance.ended_at = now
        fields.append("ended_at")
    with said_by(actor, reason):
        acceptance.save(update_fields=fields)


def _tell(acceptance: Acceptance, people: Iterable[User], title: str, body: str, event: str) -> None:
    risk = acceptance.risk
    notify(
        kind="register",
        recipients=people,
        title=f"{title}: {risk.reference} {risk.title}",
        body=body,
        url=f"/admin/register/risk/{risk.pk}/change/",
        dedupe_key=f"acceptance:{acceptance.pk}:{event}",
    )


def _entry(acceptance: Acceptance, actor: Actor, action: str, rationale: str) -> Entry:
    return entry(
        acceptance.risk, actor, action, rationale, acceptance=acceptance.pk, digest=acceptance.digest,
        expires_on=acceptance.expires_on.isoformat(),
    )  # fmt: skip


@transaction.atomic
def _expire(acceptance_id: int, now: datetime) -> bool:
    """End one acceptance whose day has come, if it still holds. The risk is open again, and those concerned are told."""
    risk_id = Acceptance.objects.values_list("risk", flat=True).get(pk=acceptance_id)
    risk = Risk.objects.select_for_update(of=("self",), no_key=True).get(pk=risk_id)
    acceptance: Acceptance = Acceptance.objects.select_for_update(of=("self",)).get(pk=acceptance_id)
    if acceptance.state not in Acceptance.OPEN:
        return False
    acceptance.risk = risk
    held = acceptance.state == State.APPROVED
    end(acceptance, State.EXPIRED, JOB, now, "Its day has come.")
    reopen(risk, JOB, f"The acceptance ended on {acceptance.expires_on:%-d %b %Y}.")
    words = "The risk is open again." if held else "Nobody decided before its day came."
    _tell(acceptance, _concerned(acceptance), "Acceptance ended", words, "expired")
    record(_entry(acceptance, JOB, "acceptance_expired", words))
    return True


def _concerned(acceptance: Acceptance) -> list[User]:
    people = [acceptance.requested_by, acceptance.decided_by, acceptance.risk.owner]
    return [one for one in people if one]


def end_acceptances(*, now: datetime) -> int:
    """Announce the end of acceptances ahead of time, and end those whose day has come; run daily, again at no harm.

    Each is ended in a transaction of its own, so that one whose rows are locked or broken does not hold the others.

    Returns:
        How many ended.
    """
    today = now.date()
    ended = failed = 0
    due = Acceptance.objects.filter(state__in=Acceptance.OPEN, expires_on__lte=today)
    for pk in due.order_by("expires_on", "pk").values_list("pk", flat=True):
        try:
            ended += _expire(pk, now)
        except DatabaseError:
            failed += 1
            logger.exception("acceptance_not_ended", acceptance=pk)
    soon = Q(expires_on__gt=today, expires_on__lte=today + timedelta(days=max(WARN_DAYS)))
    for acceptance in (
        Acceptance.objects.held().filter(soon).select_related("risk__owner", "requested_by", "decided_by")
    ):
        _warn(acceptance, today, now)
    logger.info("acceptances_ended", ended=ended, failed=failed)
    return ended


@transaction.atomic
def _warn(acceptance: Acceptance, today: date, now: datetime) -> None:
    """Announce the end once for each step of :data:`WARN_DAYS`; a missed day is made up for by the next run."""
    left = (acceptance.expires_on - today).days
    step = min(days for days in WARN_DAYS if left <= days)
    said_on = acceptance.warned_at.date() if acceptance.warned_at else None
    if said_on and (acceptance.expires_on - said_on).days <= step:
        return
    words = f"It ends on {acceptance.expires_on:%-d %b %Y}; then the risk is open again. Ask anew if it should stay accepted."
    _tell(acceptance, _concerned(acceptance), f"Acceptance ends in {left} days", words, f"ends:{step}")
    acceptance.warned_at = now
    acceptance.save(update_fields=["warned_at"])
