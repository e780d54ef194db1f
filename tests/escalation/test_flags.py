"""Flags on their way: raised with the whole template, moved, re-levelled, acknowledged, corrected; and the register."""

from __future__ import annotations

from typing import Any

import pytest

from apps.core.models import Decision, Notification, User
from apps.core.roles import Role
from apps.escalation import flags
from apps.escalation.details import prefilled
from apps.escalation.flags import FlagChanged, FlagNotFound, MissingInformation, NotAllowed
from apps.escalation.levels import delivered
from apps.escalation.models import Clock, Endpoint, FlagEvent, OutgoingNews, RiskFlag
from apps.escalation.sweep import sweep
from apps.register.models import Risk
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.escalation.factories import NOON, TO_RISK, TO_SUPPORT, calendar, clock_of, minutes, raised, staff, team

pytestmark = pytest.mark.django_db
LATER = NOON + minutes(30)


@pytest.fixture
def people() -> dict[Role, User]:
    return staff()


def move(flag: RiskFlag, transition: str, actor: User, **changes: Any) -> RiskFlag:
    facts: dict[str, Any] = {
        "flag_id": flag.pk, "seen_version": flag.version, "transition": transition, "actor": actor, "now": LATER,
        "reason": "Because.", "fields": {**TO_RISK, **TO_SUPPORT},
    }  # fmt: skip
    return flags.move(**(facts | changes))


def climb(flag: RiskFlag, people: dict[Role, User]) -> list[str]:
    """Take a flag the whole way, each step by its own role; the steps it passed."""
    lead, manager, risk = people[Role.TEAM_LEAD], people[Role.SUPPORT_MANAGER], people[Role.RISK_MANAGER]
    passed = [flag.step]
    ways = [("to_manager", lead)] if flag.level == 3 else []
    ways += [("confirm", manager), ("assess", risk), ("plan", risk), ("respond", risk), ("resolve", manager)]
    for number, (transition, actor) in enumerate([*ways, ("verify", risk)], 1):
        flag = move(flag, transition, actor, now=NOON + minutes(number))
        passed.append(flag.step)
    return passed


LAST = ["risk_management", "assessment", "response_plan", "resolution", "verification", "closed"]


@pytest.mark.parametrize(
    ("level", "first"), [(3, ["lead_review", "manager_review"]), (4, ["escalated"]), (5, ["escalated"])]
)
def test_the_whole_way_with_its_clocks(people: dict[Role, User], level: int, first: list[str]) -> None:
    flag = raised(level=level)
    assert climb(flag, people) == first + LAST
    flag.refresh_from_db()
    assert (flag.status, flag.version) == ("resolved", len(first + LAST))
    clocks = Clock.objects.filter(flag=flag)
    assert set(clocks.values_list("status", flat=True)) == {"met"}
    assert set(clocks.filter(target="step").values_list("step", flat=True)) == set(first + LAST[:-1])
    assert flag.handovers.count() == 2
    assert flag.confirmed_at is not None


@pytest.mark.parametrize("level", [3, 4, 5])
def test_a_confirmed_flag_is_recorded_in_the_register_once(people: dict[Role, User], level: int) -> None:
    flag = raised(level=level, evidence=[{"type": "note"}])
    climb(flag, people)
    risk = Risk.objects.get()
    flag.refresh_from_db()
    assert (risk.source, risk.level, risk.title) == (f"risk_flag:{flag.pk}", level, flag.title)
    assert (risk.owner_role, risk.evidence) == ("Risk Manager", [{"type": "note"}])
    assert f"risk:{risk.pk}" in flag.references
    assert Decision.objects.filter(action="risk_recorded", subject=f"risk:{risk.pk}").count() == 1


def test_a_documented_flag_is_closed_by_the_review_and_is_no_standing_risk(people: dict[Role, User]) -> None:
    flag = move(raised(level=1), "close", people[Role.TEAM_LEAD])
    assert (flag.status, flag.step) == ("resolved", "closed")
    assert not Risk.objects.exists()


def test_what_is_monitored_waits_for_the_next_review_without_calling_anybody(people: dict[Role, User]) -> None:
    flag = move(raised(level=2), "monitor", people[Role.TEAM_LEAD])
    assert flag.step == "documented"
    assert clock_of(flag, "step").due_at == LATER + minutes(7 * 24 * 60)
    assert not Clock.objects.filter(flag=flag, target="acknowledge", status="running").exists()


def test_deadlines_are_the_protocols(people: dict[Role, User]) -> None:
    critical, high, medium = raised(level=5), raised(level=4), raised(level=3)
    assert clock_of(critical, "step").due_at == NOON + minutes(15)
    assert clock_of(critical).due_at == NOON + minutes(5)
    assert clock_of(high, "step").due_at == NOON.replace(hour=17)  # the same business day
    assert clock_of(high).due_at == NOON + minutes(30)
    assert clock_of(medium, "step").due_at == NOON + minutes(24 * 60)
    trace = clock_of(high, "step").trace
    assert trace[0]["text"].startswith("Mon 2 Mar 12:00 starts: 300 min of Business hours")
    assert trace[-1]["text"] == "Due Mon 2 Mar 17:00 UTC"


def test_a_flag_raised_in_the_night_at_level_5_does_not_wait_for_the_morning() -> None:
    night = NOON.replace(hour=2)
    assert clock_of(raised(level=5, now=night), "step").due_at == night + minutes(15)
    assert clock_of(raised(level=4, now=night), "step").due_at == NOON.replace(hour=17)


def test_events_say_by_which_version_of_the_protocol(people: dict[Role, User]) -> None:
    flag = raised(level=3)
    assert FlagEvent.objects.get(flag=flag, kind="raised").data["protocol"] == "delivered"
    assert clock_of(flag).events.get(kind="start").data["protocol"] == "delivered"


def test_the_whole_template_is_kept() -> None:
    template = {
        "indicator": "data", "affected_count": 3, "affected_customers": "A\nB\nC", "frequency": "Twice today",
        "impact": "They see others' orders", "containment": "Export switched off", "communications": "None yet",
        "references": ["ticket:4", "conversation:7", "ticket:4"],
    }  # fmt: skip
    flag = raised(**template)
    flag.refresh_from_db()
    kept = {name: getattr(flag, name) for name in template}
    assert kept == template | {"references": ["ticket:4", "conversation:7"]}
    told = prefilled(flag, delivered())
    assert told["affected_count"] == "3"
    assert told["communications"] == "ticket:4\nconversation:7\nNone yet"


@pytest.mark.parametrize(
    ("field", "value"), [("indicator", "feeling"), ("affected_count", -1), ("references", ["four"])]
)
def test_a_template_that_cannot_be_is_refused(field: str, value: object) -> None:
    with pytest.raises(MissingInformation) as refusal:
        raised(**{field: value})
    assert set(refusal.value.fields) == {field}
    assert not RiskFlag.objects.exists()


def test_a_proposed_flag_waits_silently_for_a_person(people: dict[Role, User]) -> None:
    flag = raised(level=5, proposed=True)
    assert not Notification.objects.exists()
    assert not Clock.objects.exists()
    assert move(flag, "confirm_proposal", people[Role.TEAM_LEAD]).step == "escalated"
    assert clock_of(flag).due_at == LATER + minutes(5)


def test_what_changed_meanwhile_is_refused(people: dict[Role, User]) -> None:
    flag = raised(level=3)
    seen = flag.version
    flags.edit(flag_id=flag.pk, seen_version=seen, actor=people[Role.TEAM_LEAD], now=NOON, fields={"impact": "Big"})
    with pytest.raises(FlagChanged) as refusal:
        move(flag, "to_manager", people[Role.TEAM_LEAD], seen_version=seen)
    assert refusal.value.version == seen + 1


def test_a_double_click_moves_once(people: dict[Role, User]) -> None:
    flag = raised(level=3)
    for _ in range(2):
        moved = move(flag, "to_manager", people[Role.TEAM_LEAD], seen_version=1)
        assert (moved.step, moved.version) == ("manager_review", 2)
    assert FlagEvent.objects.filter(flag=flag, kind="step").count() == 1


def test_another_person_with_the_same_page_is_told_that_it_changed(people: dict[Role, User]) -> None:
    flag = raised(level=4)
    move(flag, "reject", people[Role.SUPPORT_MANAGER], seen_version=1)
    with pytest.raises(FlagChanged):
        move(flag, "reject", people[Role.RISK_MANAGER], seen_version=1)


def test_a_higher_level_goes_up_the_ladder_and_counts_by_its_times(people: dict[Role, User]) -> None:
    flag = raised(level=1)
    flag = change(flag, 3, people)
    assert flag.step == "lead_review"
    flag = change(flag, 5, people)
    assert flag.step == "escalated"
    assert clock_of(flag, "step").due_at == LATER + minutes(15)
    statuses = Clock.objects.filter(flag=flag).exclude(step="escalated").values_list("status", flat=True)
    assert set(statuses) == {"cancelled"}
    assert Notification.objects.filter(recipient=people[Role.RISK_MANAGER]).count() == 1


def test_a_level_within_a_step_counts_again_from_its_start_and_says_why(people: dict[Role, User]) -> None:
    flag = raised(level=4)
    flag = change(flag, 5, people)
    clock = clock_of(flag, "step")
    assert flag.step == "escalated"
    assert clock.due_at == NOON + minutes(15)  # counted from the start, so it is overdue at once
    assert any("policy changes to 15 min" in step["text"] and "(Worse.)" in step["text"] for step in clock.trace)
    assert clock.next_deadline_at == clock.due_at
    flag = change(flag, 4, people)
    assert clock_of(flag, "step").due_at == NOON.replace(hour=17)


def test_a_lower_level_goes_back_to_the_weekly_review(people: dict[Role, User]) -> None:
    flag = change(raised(level=4), 2, people)
    assert flag.step == "documented"
    assert clock_of(flag, "step").due_at == LATER + minutes(7 * 24 * 60)


def test_level_2_after_1_starts_the_wait_for_somebody_to_look(people: dict[Role, User]) -> None:
    flag = change(raised(level=1), 2, people)
    assert clock_of(flag).due_at == LATER + minutes(48 * 60)


def change(flag: RiskFlag, level: int, people: dict[Role, User], **changes: Any) -> RiskFlag:
    facts: dict[str, Any] = {
        "flag_id": flag.pk, "seen_version": flag.version, "level": level, "reason": "Worse.",
        "actor": people[Role.SUPPORT_MANAGER], "now": LATER,
    }  # fmt: skip
    return flags.change_level(**(facts | changes))


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"reason": " "}, MissingInformation), ({"level": 3}, MissingInformation), ({"level": 6}, flags.InvalidLevel),
     ({"seen_version": 9}, FlagChanged)],
)  # fmt: skip
def test_levels_that_cannot_be_set(people: dict[Role, User], changes: dict[str, Any], error: type[Exception]) -> None:
    flag = raised(level=3)
    with pytest.raises(error):
        change(flag, people=people, **{"level": 4, **changes})
    flag.refresh_from_db()
    assert (flag.level, flag.version) == (3, 1)


@pytest.mark.parametrize("role", Role)
def test_who_may_acknowledge_a_new_flag_of_level_3(role: Role) -> None:
    flag, actor = raised(level=3), person(role)
    if role in {Role.TEAM_LEAD, Role.SUPPORT_MANAGER, Role.SUPPORT_DIRECTOR, Role.RISK_MANAGER, Role.ADMINISTRATOR}:
        assert flags.acknowledge(flag_id=flag.pk, actor=actor, now=LATER).assignee == actor
        assert Clock.objects.get(flag=flag, target="acknowledge").status == "met"
    else:
        with pytest.raises(NotAllowed):
            flags.acknowledge(flag_id=flag.pk, actor=actor, now=LATER)


def test_acknowledging_twice_says_it_once(people: dict[Role, User]) -> None:
    flag = raised(level=3)
    for role in (Role.TEAM_LEAD, Role.SUPPORT_MANAGER):
        flags.acknowledge(flag_id=flag.pk, actor=people[role], now=LATER)
    flag.refresh_from_db()
    assert flag.assignee == people[Role.TEAM_LEAD]
    assert FlagEvent.objects.filter(flag=flag, kind="acknowledged").count() == 1


def test_who_raised_it_may_correct_it_and_other_agents_may_not(people: dict[Role, User]) -> None:
    agent = people[Role.SUPPORT_AGENT]
    flag = raised(level=3, raised_by=agent)
    edited = flags.edit(flag_id=flag.pk, seen_version=1, actor=agent, now=NOON, fields={"affected_count": 4})
    assert (edited.affected_count, edited.version) == (4, 2)
    assert FlagEvent.objects.get(flag=flag, kind="edited").data == {"changes": {"affected_count": [None, 4]}}
    with pytest.raises(NotAllowed):
        flags.edit(flag_id=flag.pk, seen_version=2, actor=person(Role.SUPPORT_AGENT), now=NOON, fields={"impact": "x"})


@pytest.mark.parametrize("fields", [{"level": 5}, {"title": ""}, {"indicator": "x"}, {"affected_count": "many"}])
def test_corrections_that_cannot_be(people: dict[Role, User], fields: dict[str, Any]) -> None:
    flag = raised(level=3)
    with pytest.raises(MissingInformation):
        flags.edit(flag_id=flag.pk, seen_version=1, actor=people[Role.TEAM_LEAD], now=NOON, fields=fields)


def test_more_can_be_told_at_any_time_to_the_other_side(people: dict[Role, User]) -> None:
    flag = raised(level=4)
    told = flags.handover(flag_id=flag.pk, direction="to_risk", fields=TO_RISK, actor=people[Role.TEAM_LEAD], now=NOON)
    assert told.fields == TO_RISK
    with pytest.raises(NotAllowed):
        flags.handover(
            flag_id=flag.pk, direction="to_support", fields=TO_SUPPORT, actor=people[Role.TEAM_LEAD], now=NOON
        )


def test_notes_and_feedback(people: dict[Role, User]) -> None:
    agent, flag = people[Role.SUPPORT_AGENT], raised(level=3)
    flags.add_note(flag_id=flag.pk, actor=agent, text=" Called again. ", now=NOON)
    assert FlagEvent.objects.get(flag=flag, kind="note").text == "Called again."
    for useful in (True, False):
        flags.feedback(flag_id=flag.pk, actor=agent, useful=useful, missing_fields=["impact"], now=NOON)
    answer = flag.feedback.get()
    assert (answer.useful, answer.missing_fields) == (False, ["impact"])
    with pytest.raises(MissingInformation):
        flags.feedback(flag_id=flag.pk, actor=agent, useful=True, missing_fields=["mood"], now=NOON)
    flag.refresh_from_db()
    assert flag.version == 1


def test_a_note_is_redacted_before_it_is_stored(people: dict[Role, User]) -> None:
    flag = raised(level=3)
    text = "Card 4111 1111 1111 1111 was charged twice."
    flags.add_note(flag_id=flag.pk, actor=people[Role.TEAM_LEAD], text=text, now=NOON)
    note = FlagEvent.objects.get(flag=flag, kind="note")
    assert "4111" not in note.text
    assert [one["count"] for one in note.data["masked"]] == [1]
    assert not Decision.objects.filter(text__rationale__contains="4111").exists()


@pytest.mark.parametrize("role", [Role.AUDITOR, None])
def test_who_only_reads_writes_nothing(role: Role | None) -> None:
    flag, actor = raised(level=3), person(role) if role else UserFactory()
    with pytest.raises(NotAllowed):
        flags.add_note(flag_id=flag.pk, actor=actor, text="x", now=NOON)
    with pytest.raises(NotAllowed):
        flags.feedback(flag_id=flag.pk, actor=actor, useful=True, now=NOON)
    with pytest.raises(NotAllowed):
        flags.edit(flag_id=flag.pk, seen_version=1, actor=actor, now=NOON, fields={"impact": "x"})


def test_another_scopes_flag_is_not_there() -> None:
    flag, lead = raised(level=3, scope=ScopeFactory()), person(Role.TEAM_LEAD, ScopeFactory())
    with pytest.raises(FlagNotFound):
        flags.acknowledge(flag_id=flag.pk, actor=lead, now=NOON)


@pytest.mark.parametrize(("level", "due"), [(3, 24 * 60), (4, 8 * 60), (5, 15)])
def test_a_calendar_that_never_opens_turns_no_flag_away(level: int, due: int) -> None:
    scope = ScopeFactory()
    team(scope, calendar(hours=()))
    flag = raised(level=level, scope=scope)
    assert clock_of(flag, "step").due_at == NOON + minutes(due)
    assert clock_of(flag).calendar.slug == "always"


def test_other_systems_hear_of_each_event_once(people: dict[Role, User]) -> None:
    Endpoint.objects.create(name="all", url="https://example.com/in", secret="s")
    flag = raised(level=5)
    sweep(now=NOON + minutes(5))
    flags.acknowledge(flag_id=flag.pk, actor=people[Role.TEAM_LEAD], now=LATER)
    flag = change(flag, 4, people)
    move(flag, "confirm", people[Role.SUPPORT_MANAGER])
    kinds = sorted(OutgoingNews.objects.values_list("kind", flat=True))
    assert kinds == ["flag.acknowledged", "flag.level_changed", "flag.moved", "flag.raised", "flag.rung_told"]
