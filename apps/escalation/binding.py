"""What every write about a flag has in common: who may, whether the flag is still what was seen, and the record.

Locks are taken in one order everywhere: the flag, then its clocks, then the decision log. The sweep locks clocks alone and
skips those that somebody holds, so it never waits for people and people wait for it no longer than one batch.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.core.decisions import Entry
from apps.core.errors import DomainError
from apps.core.models import User
from apps.escalation.models import FlagEvent, RiskFlag

SCOPE = "escalation"
VIEW = "escalation.view_riskflag"
MAX_TEXT = 10_000


class InvalidLevel(DomainError):
    """The level is not one of the ladder's five."""

    code = "invalid_level"
    message = "The level must be a whole number from 1 (Minimal) to 5 (Critical)."


class FlagNotFound(DomainError):
    """There is no such flag, or it is outside the person's scope; which of the two is not told."""

    code = "not_found"
    message = "There is no such risk flag."
    status = 404


class NotAllowed(DomainError):
    """The person's role does not include this."""

    code = "not_allowed"
    message = "Your role does not include this."
    status = 403


class FlagChanged(DomainError):
    """The flag is not what the person looked at. ``version`` is the flag's now."""

    code = "flag_changed"
    message = "The flag changed since you looked at it."
    status = 409

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__()


class UnknownTransition(DomainError):
    """The ladder has no such way from the flag's step."""

    code = "unknown_transition"
    message = "The ladder has no such way from this step."
    status = 409


class MissingInformation(DomainError):
    """Something that this needs was not said; ``fields`` tells what."""

    code = "missing_information"
    message = "Something is missing."
    status = 422


def locked(flag_id: int, actor: User) -> RiskFlag:
    """The flag, locked until the transaction ends.

    Raises:
        FlagNotFound, NotAllowed: it is not there for this person, or flags are not theirs to see.
    """
    if not actor.is_active or not actor.has_perm(VIEW):
        raise NotAllowed
    visible = RiskFlag.objects.visible_to(actor)
    # Weaker than FOR UPDATE, so that rows which refer to the flag, such as the sweep's events, are written meanwhile.
    flag: RiskFlag | None = visible.select_for_update(of=("self",), no_key=True).filter(pk=flag_id).first()
    if flag is None:
        raise FlagNotFound
    return flag


def bind(flag: RiskFlag, seen_version: int) -> None:
    """Refuse if the flag is not what was seen.

    Raises:
        FlagChanged: there is a newer version.
    """
    if flag.version != seen_version:
        raise FlagChanged(flag.version)


def said(text: str, field: str, needed: str, most: int = MAX_TEXT) -> str:
    """A text that has to be there, trimmed.

    Raises:
        MissingInformation: it is empty or too long.
    """
    text = text.strip()
    if not text:
        raise MissingInformation(fields={field: [needed]})
    if len(text) > most:
        raise MissingInformation(fields={field: [f"At most {most} characters."]})
    return text


def write_event(
    flag: RiskFlag, kind: FlagEvent.Kind, actor: User | None, now: datetime, text: str = "", **data: Any
) -> FlagEvent:
    """Write on the flag's timeline."""
    return FlagEvent.objects.create(flag=flag, kind=kind, at=now, actor=actor, text=text, data=data)


def entry(flag: RiskFlag, actor: User | str, action: str, rationale: str, **payload: Any) -> Entry:
    """What stands in the decision log about a flag."""
    return Entry(
        scope=SCOPE,
        actor=actor,
        action=action,
        subject=f"risk_flag:{flag.pk}",
        rationale=rationale,
        evidence_url=f"/admin/escalation/riskflag/{flag.pk}/change/",
        payload={"version": flag.version, "level": flag.level, "step": flag.step, **payload},
    )
