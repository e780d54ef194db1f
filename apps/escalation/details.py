"""What is told about a flag without taking it to another step: corrections, handovers, notes, feedback."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from apps.core.decisions import record
from apps.core.models import User
from apps.escalation import levels
from apps.escalation.binding import MissingInformation, NotAllowed, bind, entry, locked, said, write_event
from apps.escalation.kept import Keeper
from apps.escalation.ladder import ENDS, LEADS, RISK, roles_of
from apps.escalation.levels import Protocol
from apps.escalation.models import Feedback, FlagEvent, Handover, RiskFlag

Kind = FlagEvent.Kind
# The fields of the Risk Flag template that people may correct.
EDITABLE = (
    "title", "description", "indicator", "affected_count", "affected_customers", "frequency", "impact", "containment",
    "communications", "references",
)  # fmt: skip
RAISE = "escalation.add_riskflag"
_REFERENCE = re.compile(r"[a-z_]{1,40}:[\w:.-]{1,59}", re.ASCII)


def check(flag: RiskFlag, fields: Sequence[str] = EDITABLE) -> None:
    """Refuse what the fields of the template cannot hold.

    Raises:
        MissingInformation: what is wrong, by field.
    """
    names = {field.name for field in RiskFlag._meta.concrete_fields}
    try:
        flag.clean_fields(exclude=names - set(fields))
    except ValidationError as error:
        raise MissingInformation("Some values are not valid.", fields=error.message_dict) from None
    references = flag.references
    if "references" in fields and not (
        isinstance(references, list) and all(isinstance(one, str) and _REFERENCE.fullmatch(one) for one in references)
    ):
        raise MissingInformation(fields={"references": ["A list of kind:id."]})


@transaction.atomic
def edit(*, flag_id: int, seen_version: int, actor: User, now: datetime, fields: Mapping[str, Any]) -> RiskFlag:
    """Correct fields of the Risk Flag template; who raised the flag may, and whoever may bring flags on. Texts are redacted
    before they are stored.

    Raises:
        FlagChanged, NotAllowed, MissingInformation, FlagNotFound: nothing was done.
    """
    flag = locked(flag_id, actor)
    if not may_edit(flag, actor):
        raise NotAllowed
    bind(flag, seen_version)
    unknown = set(fields) - set(EDITABLE)
    if unknown:
        raise MissingInformation(fields={name: ["This cannot be changed."] for name in unknown})
    changes, keeper = {}, Keeper()
    for name, given in fields.items():
        before, value = getattr(flag, name), keeper.field(name, given)
        if before != value:
            setattr(flag, name, value)
            changes[name] = [before, value]
    if not changes:
        return flag
    check(flag, tuple(changes))
    flag.version += 1
    flag.save(update_fields=[*changes, "version"])
    write_event(flag, Kind.EDITED, actor, now, changes=changes, **keeper.facts)
    record(entry(flag, actor, "risk_flag_edited", "Details corrected.", fields=sorted(changes)))
    return flag


def may_edit(flag: RiskFlag, user: User) -> bool:
    """Whether a person may correct an open flag."""
    return flag.step not in ENDS and (flag.raised_by_id == user.pk or bool((LEADS | RISK) & roles_of(user)))


@transaction.atomic
def handover(*, flag_id: int, direction: str, fields: Mapping[str, Any], actor: User, now: datetime) -> Handover:
    """Tell the other side more, by the protocol's list, without taking a step.

    Raises:
        NotAllowed, MissingInformation, FlagNotFound: nothing was done.
    """
    flag = locked(flag_id, actor)
    may = RISK if direction == Handover.Direction.TO_SUPPORT else LEADS
    if flag.step in ENDS or not may & roles_of(actor):
        raise NotAllowed
    if direction not in Handover.Direction.values:
        raise MissingInformation(fields={"direction": ["Choose to_risk or to_support."]})
    told = hand_over(flag, Handover.Direction(direction), fields, levels.in_force(), actor, now)
    record(entry(flag, actor, "risk_flag_handover", told.get_direction_display(), handover=told.pk))
    return told


def hand_over(
    flag: RiskFlag,
    direction: Handover.Direction,
    fields: Mapping[str, Any],
    protocol: Protocol,
    actor: User,
    now: datetime,
) -> Handover:
    """Write a handover; every piece of information of the direction's list is required. It is redacted before it is stored.

    Raises:
        MissingInformation: what was not said.
    """
    wanted = protocol.to_risk if direction == Handover.Direction.TO_RISK else protocol.to_support
    keeper = Keeper()
    said_now = {one.name: fields.get(one.name) for one in wanted}
    given = {name: "" if value is None else keeper.keep(str(value)).strip() for name, value in said_now.items()}
    missing = {one.name: [f"{one.label} is required."] for one in wanted if not given[one.name]}
    if missing:
        raise MissingInformation("The handover is not complete.", fields=missing)
    told = Handover.objects.create(flag=flag, direction=direction, fields=given, by=actor, at=now)
    write_event(
        flag, Kind.HANDOVER, actor, now, told.get_direction_display(), handover=told.pk, fields=given, **keeper.facts
    )
    return told


def prefilled(flag: RiskFlag, protocol: Protocol) -> dict[str, str]:
    """What the flag already says of the list to Risk Management, for the form."""
    known = {
        "description": flag.description,
        "affected_count": "" if flag.affected_count is None else str(flag.affected_count),
        "frequency": flag.frequency,
        "impact": flag.impact,
        "communications": "\n".join(filter(None, [*flag.references, flag.communications])),
    }
    return {one.name: known.get(one.name, "") for one in protocol.to_risk}


@transaction.atomic
def add_note(*, flag_id: int, actor: User, text: str, now: datetime) -> FlagEvent:
    """Write a line for colleagues, redacted before it is stored. The flag's version stays, for nothing that is decided upon
    changes.

    Raises:
        NotAllowed, MissingInformation, FlagNotFound: nothing was done.
    """
    flag = locked(flag_id, actor)
    if not actor.has_perm(RAISE):
        raise NotAllowed
    keeper = Keeper()
    kept = keeper.keep(said(text, "text", "Write something.", 4_000))
    note = write_event(flag, Kind.NOTE, actor, now, kept, **keeper.facts)
    record(entry(flag, actor, "risk_flag_noted", note.text, event=note.pk))
    return note


@transaction.atomic
def feedback(
    *, flag_id: int, actor: User, useful: bool, missing_fields: Sequence[str] = (), comment: str = "", now: datetime
) -> Feedback:
    """Say whether an escalation was useful and what was missing; a second answer of the same person replaces the first.

    Raises:
        NotAllowed, MissingInformation, FlagNotFound: nothing was done.
    """
    flag = locked(flag_id, actor)
    if not actor.has_perm(RAISE):
        raise NotAllowed
    unknown = set(missing_fields) - set(EDITABLE)
    if unknown:
        raise MissingInformation(
            fields={"missing_fields": [f"There is no field {name!r}." for name in sorted(unknown)]}
        )
    keeper = Keeper()
    given = {
        "useful": useful,
        "missing_fields": sorted(set(missing_fields)),
        "comment": keeper.keep(comment).strip()[:4_000],
        "at": now,
    }
    answer, _ = Feedback.objects.update_or_create(flag=flag, by=actor, defaults=given)
    facts = {"useful": useful, "missing": answer.missing_fields, **keeper.facts}
    write_event(flag, Kind.FEEDBACK, actor, now, answer.comment, **facts)
    record(entry(flag, actor, "risk_flag_feedback", answer.comment, useful=useful, missing=answer.missing_fields))
    return answer
