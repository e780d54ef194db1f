"""Writes about risk flags: raising, the way up the ladder, levels, acknowledgements, handovers, notes and feedback.

Each is one transaction with its record in the decision log. What changes what others decide upon carries the version that
was seen and is refused if the flag changed meanwhile; the same click again changes nothing and returns the flag.

All texts are redacted before they are stored (:mod:`apps.escalation.kept`); the raw text is nowhere kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from django.db import transaction

from apps.core.decisions import record
from apps.core.models import Scope, User
from apps.escalation import clocks, levels, outgoing, steps
from apps.escalation.binding import (
    FlagChanged,
    FlagNotFound,
    InvalidLevel,
    MissingInformation,
    NotAllowed,
    UnknownTransition,
    bind,
    entry,
    locked,
    said,
    write_event,
)
from apps.escalation.details import EDITABLE, add_note, check, edit, feedback, hand_over, handover
from apps.escalation.kept import Keeper
from apps.escalation.ladder import (
    ENDS,
    STAGES,
    Transition,
    first_step,
    may_change_level,
    roles_of,
    step_after_level,
    way,
    ways,
)
from apps.escalation.models import Clock, FlagEvent, RiskFlag
from apps.escalation.notices import ask_feedback
from apps.escalation.rungs import circle, tell_of_step
from apps.escalation.tagging import tag_tickets
from apps.register.services import record_risk

__all__ = [
    "EDITABLE", "FlagChanged", "FlagNotFound", "InvalidLevel", "MissingInformation", "NotAllowed", "UnknownTransition",
    "acknowledge", "add_note", "change_level", "edit", "feedback", "handover", "move", "raise_flag",
]  # fmt: skip

Kind = FlagEvent.Kind
SYSTEM = "system:escalation"


class Template(TypedDict, total=False):
    """What the Risk Flag template asks for beside title, description and level.

    Attributes:
        indicator: one of the protocol's seven, or empty.
        affected_customers: who they are, one per line.
        references: ``kind:id`` of tickets, conversations and cards.
    """

    indicator: str
    affected_count: int | None
    affected_customers: str
    frequency: str
    impact: str
    containment: str
    communications: str
    references: Sequence[str]


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
    proposed: bool = False,
    **template: Unpack[Template],
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
        proposed: waits for a person to confirm it; nobody is told and no deadline runs until then.
        template: see :class:`Template`.

    Raises:
        InvalidLevel: if the level is not on the ladder.
        MissingInformation: if the indicator is none of the protocol's.
    """
    if level not in RiskFlag.Level.values:
        raise InvalidLevel
    keeper = Keeper()
    defaults = {
        **_template(keeper, **template),
        "title": " ".join(keeper.keep(title).split())[:200],
        "description": keeper.keep(description),
        "level": level,
        "evidence": list(evidence),
        "scope": scope,
        "step": RiskFlag.Step.PROPOSED if proposed else first_step(level),
        "step_since": now,
        "raised_by": raised_by,
        "raised_at": now,
    }
    # The partial unique constraint makes a double escalation harmless; get_or_create settles the race.
    flag, created = RiskFlag.objects.get_or_create(source=source, status=RiskFlag.Status.OPEN, defaults=defaults)
    if created:
        _begin(flag, keeper, raised_by, now)
    return flag


def _template(
    keeper: Keeper,
    *,
    indicator: str = "",
    affected_count: int | None = None,
    references: Sequence[str] = (),
    **texts: str,
) -> dict[str, Any]:
    """The fields of the Risk Flag template, redacted and checked.

    Raises:
        MissingInformation: if the indicator is none of the protocol's.
    """
    template = {
        "indicator": indicator,
        "affected_count": affected_count,
        "references": list(dict.fromkeys(references)),
        **{name: keeper.keep(text, name) for name, text in texts.items()},
    }
    check(RiskFlag(**template), tuple(template))
    return template


def _begin(flag: RiskFlag, keeper: Keeper, raised_by: User | None, now: datetime) -> None:
    """What follows from a new flag: its first event and deadlines, who is told, and its record."""
    protocol = levels.in_force()
    facts = {"level": flag.level, "protocol": protocol.number, **keeper.facts}
    write_event(flag, Kind.RAISED, raised_by, now, flag.description, **facts)
    steps.begin(flag, protocol, now, actor=raised_by, dedupe_key=f"risk_flag:{flag.pk}", news="Risk flag")
    if flag.step != RiskFlag.Step.PROPOSED:
        tag_tickets(flag, actor=raised_by, now=now)
    outgoing.publish(outgoing.of_flag(flag, "flag.raised", "raised", now))
    record(entry(flag, raised_by or SYSTEM, "risk_flag_raised", flag.description, source=flag.source))


@transaction.atomic
def move(
    *,
    flag_id: int,
    seen_version: int,
    transition: str,
    actor: User,
    now: datetime,
    reason: str = "",
    fields: Mapping[str, Any] | None = None,
) -> RiskFlag:
    """Take a flag to the next step of the ladder.

    Args:
        transition: name of a way from the flag's step, see :mod:`apps.escalation.ladder`.
        reason: required where the way says so.
        fields: the information that a handover requires, by name.

    Raises:
        FlagChanged, UnknownTransition, NotAllowed, MissingInformation, FlagNotFound: nothing was done.
    """
    flag = locked(flag_id, actor)
    if _repeated(flag, Kind.STEP, actor, seen_version, transition=transition):
        return flag
    chosen = _chosen(flag, transition, actor, seen_version)
    keeper = Keeper()
    reason = keeper.keep(said(reason, "reason", chosen.reason) if chosen.reason else reason.strip())
    protocol = levels.in_force()
    facts: dict[str, Any] = {"transition": transition, "before": flag.step, "seen": seen_version, **keeper.facts}
    if chosen.handover:
        facts["handover"] = hand_over(flag, chosen.handover, fields or {}, protocol, actor, now).pk
    steps.end(flag, now, actor=actor, reason=chosen.label)
    _go(flag, chosen, now)
    if chosen.confirms:
        facts["risk"] = _register(flag, actor, now)
    event = write_event(flag, Kind.STEP, actor, now, reason, **facts, after=flag.step, version=flag.version)
    key = f"risk_flag:{flag.pk}:step:{event.pk}"
    looked_at = chosen.source == flag.step
    steps.begin(
        flag, protocol, now, actor=actor, dedupe_key=key, news=flag.get_step_display(), looked_at=looked_at
    )  # fmt: skip
    if facts["before"] == RiskFlag.Step.PROPOSED and flag.step not in ENDS:
        tag_tickets(flag, actor=actor, now=now)
    if flag.step in ENDS:
        ask_feedback(flag)
    outgoing.publish(outgoing.of_flag(flag, "flag.moved", str(event.pk), now))
    record(entry(flag, actor, f"risk_flag_{transition}", reason or chosen.label, before=facts["before"]))
    return flag


def _chosen(flag: RiskFlag, transition: str, actor: User, seen_version: int) -> Transition:
    """The way from the flag's step, if the person may take it and saw the flag as it is."""
    chosen = way(flag.step, transition)
    if chosen is None:
        bind(flag, seen_version)
        raise UnknownTransition
    if not chosen.roles & roles_of(actor):
        raise NotAllowed
    bind(flag, seen_version)
    return chosen


@transaction.atomic
def change_level(*, flag_id: int, seen_version: int, level: int, reason: str, actor: User, now: datetime) -> RiskFlag:
    """Set another level, with a reason. Deadlines count again from the start of their step; where another level begins
    elsewhere on the ladder and Risk Management does not have the flag yet, it goes there.

    Raises:
        InvalidLevel, FlagChanged, NotAllowed, MissingInformation, FlagNotFound: nothing was done.
    """
    if level not in RiskFlag.Level.values:
        raise InvalidLevel
    flag = locked(flag_id, actor)
    if _repeated(flag, Kind.LEVEL, actor, seen_version, level=level):
        return flag
    if not may_change_level(flag, actor):
        raise NotAllowed
    bind(flag, seen_version)
    keeper = Keeper()
    reason = keeper.keep(said(reason, "reason", "Why the level changes."))
    if level == flag.level:
        raise MissingInformation(fields={"level": ["That is its level already."]})
    before, before_step, protocol = flag.level, flag.step, levels.in_force()
    flag.level, flag.version = level, flag.version + 1
    target = step_after_level(flag.step, level)
    facts = {"before": before, "level": level, "seen": seen_version, "protocol": protocol.number, **keeper.facts}
    key = f"risk_flag:{flag.pk}:level:{flag.version}"
    if target == before_step:
        flag.save(update_fields=["level", "version"])
        event = write_event(flag, Kind.LEVEL, actor, now, reason, **facts)
        steps.change_level(flag, protocol, now, actor=actor, reason=reason)
        if level > before:
            tell_of_step(flag, protocol, now, dedupe_key=key, news="Raised to a higher level")
    else:
        steps.end(flag, now, actor=actor, reason=f"The level changed: {reason}", met=False)
        flag.step, flag.step_since = target, now
        flag.save(update_fields=["level", "version", "step", "step_since"])
        event = write_event(flag, Kind.LEVEL, actor, now, reason, **facts, step=[before_step, target.value])
        steps.begin(flag, protocol, now, actor=actor, dedupe_key=key, news="Level changed")
    if flag.step != RiskFlag.Step.PROPOSED:
        tag_tickets(flag, actor=actor, now=now)
    outgoing.publish(outgoing.of_flag(flag, "flag.level_changed", str(event.pk), now))
    record(entry(flag, actor, "risk_flag_level_changed", reason, before=before, event=event.pk))
    return flag


@transaction.atomic
def acknowledge(*, flag_id: int, actor: User, now: datetime) -> RiskFlag:
    """Say that one has a flag in hand: nobody else is told any more, and who has nobody gets this person as assignee.

    Raises:
        NotAllowed, FlagNotFound: nothing was done.
    """
    flag = locked(flag_id, actor)
    if not may_acknowledge(flag, actor):
        raise NotAllowed
    waiting = [clock for clock in steps.running(flag) if clock.target == Clock.Target.ACKNOWLEDGE or clock.rung]
    if not any(clock.next_deadline_at for clock in waiting):
        return flag
    for clock in waiting:
        if clock.target == Clock.Target.ACKNOWLEDGE:
            clocks.meet(clock=clock, now=now, reason="Acknowledged", actor=actor)
    clocks.quiet(clock for clock in waiting if clock.target != Clock.Target.ACKNOWLEDGE)
    if flag.assignee_id is None:
        flag.assignee = actor
        flag.save(update_fields=["assignee"])
    event = write_event(flag, Kind.ACKNOWLEDGED, actor, now, assignee=flag.assignee_id)
    outgoing.publish(outgoing.of_flag(flag, "flag.acknowledged", str(event.pk), now))
    record(entry(flag, actor, "risk_flag_acknowledged", "Acknowledged."))
    return flag


def may_acknowledge(flag: RiskFlag, user: User) -> bool:
    """Whether a person may say that they have a flag in hand: who may bring it on, or is told of it on a rung."""
    if flag.step not in STAGES:
        return False
    may = {role for one in ways(flag.step) for role in one.roles}
    may |= {role for rung in circle(levels.in_force(), flag.step) for role in rung}
    return bool(may & roles_of(user))


def _repeated(flag: RiskFlag, kind: FlagEvent.Kind, actor: User, seen_version: int, **facts: Any) -> bool:
    """Whether the same person made this change before, having seen the same version."""
    if flag.version == seen_version:
        return False
    before = FlagEvent.objects.filter(flag=flag, kind=kind, actor=actor, data__seen=seen_version)
    return before.filter(**{f"data__{name}": value for name, value in facts.items()}).exists()


def _go(flag: RiskFlag, chosen: Transition, now: datetime) -> None:
    """Put a flag on the step to which a way leads."""
    flag.step = chosen.target or first_step(flag.level)
    flag.step_since = now
    flag.version += 1
    if chosen.confirms:
        flag.confirmed_at = flag.confirmed_at or now
    if flag.step in ENDS:
        flag.status, flag.resolved_at = RiskFlag.Status.RESOLVED, now
    flag.save(update_fields=["step", "step_since", "version", "confirmed_at", "status", "resolved_at"])


def _register(flag: RiskFlag, actor: User, now: datetime) -> str:
    """Record a confirmed risk in the register. Returns its reference."""
    risk = record_risk(
        reference_source=f"risk_flag:{flag.pk}",
        title=flag.title,
        description=flag.description,
        level=flag.level,
        evidence=flag.evidence,
        owner_role=STAGES[flag.step].owner,
        scope=flag.scope,
        actor=actor,
        now=now,
    )
    link = f"risk:{risk.pk}"
    if link not in flag.references:
        flag.references = [*flag.references, link]
        flag.save(update_fields=["references"])
    return risk.reference
