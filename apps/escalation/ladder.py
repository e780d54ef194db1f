"""The ladder as a state machine: which step leads to which, who may take it, and what it needs.

Pure, except that :func:`allowed` asks for a person's roles. Writing is done by :mod:`apps.escalation.flags`, deadlines are
data of the protocol (:mod:`apps.escalation.levels`).

Levels 1 and 2 are documented and wait for the weekly review, which closes them or keeps them for the next. Level 3 goes to
the team lead, then to the support manager, who hands confirmed risks over to Risk Management. Levels 4 and 5 are escalated
at once. From Risk Management on, all take the same way: joint assessment, response plan, resolution, verification.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from apps.core.models import User
from apps.core.roles import Role
from apps.escalation.models import Handover, RiskFlag

Step = RiskFlag.Step
Direction = Handover.Direction

# Administrators keep the desk going when nobody of a role is there; what they do is in the decision log like all else.
_ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})
MANAGERS = frozenset({Role.SUPPORT_MANAGER, Role.SUPPORT_DIRECTOR}) | _ADMINISTRATOR
LEADS = MANAGERS | {Role.TEAM_LEAD}
RISK = frozenset({Role.RISK_MANAGER}) | _ADMINISTRATOR


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the ladder.

    Attributes:
        step: which.
        owner: the role that has to bring it on.
        told: other roles that hear of it at once, at levels 4 and 5.
        acknowledged: whether somebody has to say that they have it in hand; until then rung after rung is told.
    """

    step: RiskFlag.Step
    owner: Role
    told: tuple[Role, ...] = ()
    acknowledged: bool = False


STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        stage.step.value: stage
        for stage in (
            Stage(Step.PROPOSED, Role.TEAM_LEAD),
            Stage(Step.DOCUMENTED, Role.TEAM_LEAD, acknowledged=True),
            Stage(Step.LEAD_REVIEW, Role.TEAM_LEAD, acknowledged=True),
            Stage(Step.MANAGER_REVIEW, Role.SUPPORT_MANAGER, acknowledged=True),
            Stage(Step.ESCALATED, Role.TEAM_LEAD, told=(Role.RISK_MANAGER,), acknowledged=True),
            Stage(Step.RISK_MANAGEMENT, Role.RISK_MANAGER, acknowledged=True),
            Stage(Step.ASSESSMENT, Role.RISK_MANAGER),
            Stage(Step.RESPONSE_PLAN, Role.RISK_MANAGER),
            Stage(Step.RESOLUTION, Role.SUPPORT_MANAGER, acknowledged=True),
            Stage(Step.VERIFICATION, Role.RISK_MANAGER, acknowledged=True),
        )
    }
)
ENDS = frozenset({Step.CLOSED, Step.REJECTED})


@dataclass(frozen=True, slots=True)
class Transition:
    """One way from a step to the next.

    Attributes:
        name: a slug.
        label: on the button.
        source, target: steps; a target of None is the step where the flag's level begins.
        roles: who may take it.
        reason: what the reason has to say; empty: none is needed.
        handover: the direction whose list of information is required.
        confirms: whether the flag is a confirmed risk afterwards, which the register records.
    """

    name: str
    label: str
    source: RiskFlag.Step
    target: RiskFlag.Step | None
    roles: frozenset[Role]
    reason: str = ""
    handover: Handover.Direction | None = None
    confirms: bool = False


_WHY_NOT = "Why it is not a risk."
TRANSITIONS: tuple[Transition, ...] = (
    Transition("confirm_proposal", "Raise it", Step.PROPOSED, None, LEADS | RISK),
    Transition("reject", "Not a risk", Step.PROPOSED, Step.REJECTED, LEADS | RISK, _WHY_NOT),
    Transition(
        "close", "Close after review", Step.DOCUMENTED, Step.CLOSED, LEADS | RISK, "What the weekly review decided."
    ),
    Transition("monitor", "Keep monitoring", Step.DOCUMENTED, Step.DOCUMENTED, LEADS | RISK, "What to watch for."),
    Transition("reject", "Not a risk", Step.DOCUMENTED, Step.REJECTED, LEADS | RISK, _WHY_NOT),
    Transition(
        "to_manager", "On to the manager", Step.LEAD_REVIEW, Step.MANAGER_REVIEW, LEADS, "Your initial assessment."
    ),
    Transition("reject", "Not a risk", Step.LEAD_REVIEW, Step.REJECTED, LEADS, _WHY_NOT),
    Transition(
        "confirm", "Confirm and hand over", Step.MANAGER_REVIEW, Step.RISK_MANAGEMENT, MANAGERS,
        handover=Direction.TO_RISK, confirms=True,
    ),
    Transition("reject", "Not a risk", Step.MANAGER_REVIEW, Step.REJECTED, MANAGERS, _WHY_NOT),
    Transition(
        "confirm", "Hand over to Risk Management", Step.ESCALATED, Step.RISK_MANAGEMENT, LEADS,
        handover=Direction.TO_RISK, confirms=True,
    ),
    Transition("reject", "Not a risk", Step.ESCALATED, Step.REJECTED, MANAGERS | RISK, _WHY_NOT),
    Transition("assess", "Begin the joint assessment", Step.RISK_MANAGEMENT, Step.ASSESSMENT, RISK),
    Transition("reject", "Not a risk", Step.RISK_MANAGEMENT, Step.REJECTED, RISK, _WHY_NOT),
    Transition("plan", "Plan the response", Step.ASSESSMENT, Step.RESPONSE_PLAN, RISK, "What the assessment found."),
    Transition("reject", "Not a risk", Step.ASSESSMENT, Step.REJECTED, RISK, _WHY_NOT),
    Transition(
        "respond", "Hand the plan to Customer Support", Step.RESPONSE_PLAN, Step.RESOLUTION, RISK,
        handover=Direction.TO_SUPPORT,
    ),
    Transition("resolve", "Report as resolved", Step.RESOLUTION, Step.VERIFICATION, LEADS, "What was done."),
    Transition("verify", "Verified, close", Step.VERIFICATION, Step.CLOSED, RISK, "How it was verified."),
    Transition("send_back", "Not resolved yet", Step.VERIFICATION, Step.RESOLUTION, RISK, "What is missing."),
)  # fmt: skip

# Who may set another level: support until Risk Management has it, then Risk Management.
_BEFORE = (Step.PROPOSED, Step.DOCUMENTED, Step.LEAD_REVIEW, Step.MANAGER_REVIEW, Step.ESCALATED)
LEVEL_ROLES: Mapping[str, frozenset[Role]] = MappingProxyType(
    {step.value: LEADS | RISK for step in _BEFORE}
    | {step.value: RISK for step in Step if step not in _BEFORE and step not in ENDS}
)


def first_step(level: int) -> RiskFlag.Step:
    """Where the ladder begins for a level: in the ticket, with the team lead, or escalated at once."""
    if level >= RiskFlag.Level.HIGH:
        return Step.ESCALATED
    return Step.LEAD_REVIEW if level == RiskFlag.Level.MEDIUM else Step.DOCUMENTED


def step_after_level(step: str, level: int) -> RiskFlag.Step:
    """Where a flag stands when its level becomes another: what Risk Management has stays there; what a manager reviews stays
    there at level 3; all else begins where the level begins."""
    step = Step(step)
    if step not in _BEFORE or step == Step.PROPOSED:
        return step
    if step == Step.MANAGER_REVIEW and level == RiskFlag.Level.MEDIUM:
        return step
    return first_step(level)


def ways(step: str) -> tuple[Transition, ...]:
    """All ways from a step."""
    return tuple(one for one in TRANSITIONS if one.source == step)


def way(step: str, name: str) -> Transition | None:
    """The way of this name from a step."""
    return next((one for one in ways(step) if one.name == name), None)


def roles_of(user: User) -> frozenset[Role]:
    """The roles that a person holds; a superuser counts as an administrator."""
    if not user.is_active:
        return frozenset()
    names: Iterable[str] = user.groups.values_list("name", flat=True)
    held = {Role(name) for name in names if name in set(Role)}
    return frozenset(held | _ADMINISTRATOR if user.is_superuser else held)


def allowed(flag: RiskFlag, user: User) -> tuple[Transition, ...]:
    """The ways that a person may take with a flag now. Whether the flag is in their scope is asked where it is fetched."""
    held = roles_of(user)
    return tuple(one for one in ways(flag.step) if one.roles & held)


def steps_of(user: User) -> list[str]:
    """The steps that a person's roles have to bring on; a director stands in for the managers."""
    held = roles_of(user)
    held |= {Role.SUPPORT_MANAGER} if Role.SUPPORT_DIRECTOR in held else set()
    return [name for name, stage in STAGES.items() if stage.owner in held]


def may_change_level(flag: RiskFlag, user: User) -> bool:
    """Whether a person may set another level now."""
    return bool(LEVEL_ROLES.get(flag.step, frozenset()) & roles_of(user))
