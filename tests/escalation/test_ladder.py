"""The ladder: for each role and each way, who may take it and who may not; what it needs; where it leads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.models import Decision, Scope, User
from apps.core.roles import Role
from apps.escalation import flags
from apps.escalation.flags import FlagNotFound, MissingInformation, NotAllowed, UnknownTransition
from apps.escalation.ladder import (
    ENDS,
    LEVEL_ROLES,
    STAGES,
    TRANSITIONS,
    Transition,
    allowed,
    first_step,
    roles_of,
    step_after_level,
    way,
    ways,
)
from apps.escalation.models import Clock, FlagEvent, RiskFlag
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.escalation.factories import NOON, TO_RISK, TO_SUPPORT, minutes, raised

Step = RiskFlag.Step
LEVEL_OF = {"documented": 2, "lead_review": 3, "manager_review": 3}
WAYS = [pytest.param(one, id=f"{one.source.value}-{one.name}") for one in TRANSITIONS]
FIELDS = {**TO_RISK, **TO_SUPPORT}


def standing(step: str, level: int | None = None, **fields: Any) -> RiskFlag:
    """An open flag on a step."""
    flag = raised(level=level or LEVEL_OF.get(step, 4), **fields)
    flag.step = step
    flag.save(update_fields=["step"])
    Clock.objects.filter(flag=flag).update(step=step)
    return flag


def take(flag: RiskFlag, one: Transition, actor: User, **changes: Any) -> RiskFlag:
    facts: dict[str, Any] = {
        "flag_id": flag.pk, "seen_version": flag.version, "transition": one.name, "actor": actor,
        "now": NOON + minutes(10), "reason": "Because.", "fields": FIELDS,
    }  # fmt: skip
    return flags.move(**(facts | changes))


@pytest.mark.django_db
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("one", WAYS)
def test_each_role_on_each_way(one: Transition, role: Role) -> None:
    scope = ScopeFactory()
    actor, flag = person(role, scope), standing(one.source, scope=scope)
    offered = one in allowed(flag, actor)
    assert offered is (role in one.roles)
    if offered:
        moved = take(flag, one, actor)
        assert moved.step == (one.target or first_step(flag.level))
        assert Decision.objects.filter(action=f"risk_flag_{one.name}", actor=actor).count() == 1
    else:
        with pytest.raises(NotAllowed):
            take(flag, one, actor)
        flag.refresh_from_db()
        assert (flag.step, flag.version) == (one.source, 1)
        assert not FlagEvent.objects.filter(flag=flag, kind="step").exists()


@pytest.mark.django_db
@pytest.mark.parametrize("one", WAYS)
def test_flags_of_other_scopes_are_not_there(one: Transition) -> None:
    flag = standing(one.source, scope=ScopeFactory())
    lead = person(Role.TEAM_LEAD, ScopeFactory())
    with pytest.raises(FlagNotFound):
        take(flag, one, lead)


@pytest.mark.django_db
@pytest.mark.parametrize("one", [one for one in WAYS if one.values[0].reason])
def test_a_reason_is_required_where_the_way_says_so(one: Transition) -> None:
    flag, boss = standing(one.source), person(Role.ADMINISTRATOR)
    with pytest.raises(MissingInformation) as refusal:
        take(flag, one, boss, reason="  ")
    assert refusal.value.fields == {"reason": [one.reason]}
    assert not FlagEvent.objects.filter(flag=flag, kind="step").exists()


@pytest.mark.django_db
@pytest.mark.parametrize("one", [one for one in WAYS if one.values[0].handover])
@pytest.mark.parametrize("left_out", [*TO_RISK, *TO_SUPPORT])
def test_each_piece_of_information_of_a_handover_is_required(one: Transition, left_out: str) -> None:
    flag, boss = standing(one.source), person(Role.ADMINISTRATOR)
    wanted = TO_RISK if one.handover == "to_risk" else TO_SUPPORT
    rest = {name: text for name, text in FIELDS.items() if name != left_out}
    if left_out not in wanted:
        assert take(flag, one, boss, fields=rest).step == one.target
        return
    with pytest.raises(MissingInformation) as refusal:
        take(flag, one, boss, fields=rest | {left_out: " "})
    assert set(refusal.value.fields) == {left_out}
    assert not flag.handovers.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("step", [*STAGES, *sorted(ENDS)])
def test_ways_that_the_ladder_does_not_have_are_refused(step: str) -> None:
    boss = person(Role.ADMINISTRATOR)
    flag = standing("documented")
    RiskFlag.objects.filter(pk=flag.pk).update(
        step=step, status="resolved" if step in ENDS else "open", resolved_at=NOON if step in ENDS else None
    )
    names = {one.name for one in TRANSITIONS} | {"nonsense"}
    for name in names - {one.name for one in ways(step)}:
        with pytest.raises(UnknownTransition):
            flags.move(flag_id=flag.pk, seen_version=1, transition=name, actor=boss, now=NOON, reason="x")


def test_the_ladder_has_no_dead_end_and_every_step_is_reached() -> None:
    assert {one.source for one in TRANSITIONS} == set(STAGES) == {step.value for step in Step} - ENDS
    reached = {one.target for one in TRANSITIONS if one.target} | {first_step(level) for level in range(1, 6)}
    assert {step for step in Step if step not in reached} == {Step.PROPOSED}
    assert all(step in LEVEL_ROLES for step in STAGES)


def test_names_are_unique_on_a_step() -> None:
    places = [(one.source, one.name) for one in TRANSITIONS]
    assert len(places) == len(set(places))
    assert way("lead_review", "to_manager") is not None
    assert way("lead_review", "verify") is None


def test_levels_begin_as_the_flowchart_says() -> None:
    assert [first_step(level).value for level in range(1, 6)] == [
        "documented", "documented", "lead_review", "escalated", "escalated",
    ]  # fmt: skip


@given(step=st.sampled_from(sorted(STAGES)), level=st.integers(1, 5))
def test_another_level_never_takes_a_flag_from_risk_management(step: str, level: int) -> None:
    later = {"risk_management", "assessment", "response_plan", "resolution", "verification"}
    target = step_after_level(step, level)
    assert (target == step) if step in later | {"proposed"} else target not in later
    assert step_after_level(target, level) == target


@pytest.mark.django_db
def test_roles_of_people() -> None:
    assert roles_of(person(Role.TEAM_LEAD)) == {Role.TEAM_LEAD}
    assert roles_of(UserFactory(is_superuser=True)) == {Role.ADMINISTRATOR}
    assert roles_of(person(Role.ADMINISTRATOR, is_active=False)) == frozenset()


@pytest.mark.django_db
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("step", sorted(STAGES))
def test_each_role_on_another_level(step: str, role: Role) -> None:
    scope: Scope = ScopeFactory()
    actor, flag = person(role, scope), standing(step, level=3, scope=scope)
    change = {"flag_id": flag.pk, "seen_version": 1, "level": 4, "reason": "Worse.", "actor": actor, "now": NOON}
    if role in LEVEL_ROLES[step]:
        assert flags.change_level(**change).level == 4
    else:
        with pytest.raises(NotAllowed):
            flags.change_level(**change)
