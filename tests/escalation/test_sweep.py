"""The sweep: who is told when nobody answers, each rung once, also after outages, jumps of the clock and by many workers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from apps.core.models import Decision, Notification, NotificationSetting, User
from apps.core.roles import Role
from apps.escalation import flags
from apps.escalation import sweep as sweeping
from apps.escalation.models import Clock, ClockEvent, FlagEvent, RiskFlag, TicketEvent
from apps.escalation.overdue import Desk
from apps.escalation.sweep import Swept, database_now, sweep
from apps.escalation.tasks import sweep_clocks
from tests.core.factories import ScopeFactory, person
from tests.escalation.factories import NOON, calendar, clock_of, minutes, raised, staff, team, ticket

pytestmark = pytest.mark.django_db
LADDER = (Role.TEAM_LEAD, Role.SUPPORT_MANAGER, Role.SUPPORT_DIRECTOR, Role.RISK_MANAGER)


@pytest.fixture
def people() -> dict[Role, User]:
    return staff()


def inbox(person_: User) -> list[str]:
    return list(Notification.objects.filter(recipient=person_).order_by("id").values_list("title", flat=True))


def told(people: dict[Role, User]) -> dict[str, int]:
    """How much news each rung has."""
    return {role.value: len(inbox(people[role])) for role in LADDER}


def told_rungs(flag: RiskFlag, target: str = Clock.Target.ACKNOWLEDGE) -> list[int]:
    events = ClockEvent.objects.filter(clock__flag=flag, clock__target=target, kind__in=["due", "rung"])
    return [event.data["rung"] for event in events]


def test_nobody_is_told_before_it_is_due(people: dict[Role, User]) -> None:
    raised(level=5)
    before = told(people)
    assert sweep(now=NOON + minutes(4.9)) == Swept(0, 0, 0)
    assert told(people) == before


def test_level_5_goes_up_a_rung_every_five_minutes_and_round_again(people: dict[Role, User]) -> None:
    flag = raised(level=5)
    assert told(people) == {"Team Lead": 1, "Support Manager": 0, "Support Director": 0, "Risk Manager": 1}
    expected = [
        (5, {"Support Manager": 1}),
        (10, {"Support Director": 1, "Risk Manager": 1}),
        (15, {"Team Lead": 1}),
    ]
    for minute, more in expected:
        before = told(people)
        # Fifteen minutes are the step's own deadline as well, which tells its owner.
        overdue = {"Team Lead": 1} if minute == 15 else {}
        sweep(now=NOON + minutes(minute))
        after = told(people)
        change = {role: after[role] - before[role] for role in after if after[role] != before[role]}
        assert change == {role: n + overdue.get(role, 0) for role, n in more.items()}
    assert told_rungs(flag) == [1, 2, 3]


def test_acknowledged_it_stops(people: dict[Role, User]) -> None:
    flag = raised(level=5)
    sweep(now=NOON + minutes(5))
    flags.acknowledge(flag_id=flag.pk, actor=people[Role.SUPPORT_MANAGER], now=NOON + minutes(6))
    before = told(people)
    assert sweep(now=NOON + minutes(14)).clocks == 0
    assert told(people) == before
    flag.refresh_from_db()
    assert flag.assignee == people[Role.SUPPORT_MANAGER]


def test_a_step_that_is_overdue_is_announced_until_somebody_acknowledges_that(people: dict[Role, User]) -> None:
    flag = raised(level=5)
    flags.acknowledge(flag_id=flag.pk, actor=people[Role.TEAM_LEAD], now=NOON + minutes(1))
    for minute in (15, 20):
        sweep(now=NOON + minutes(minute))
    assert told_rungs(flag, Clock.Target.STEP) == [1, 2]
    assert FlagEvent.objects.filter(flag=flag, kind="overdue").count() == 1
    flags.acknowledge(flag_id=flag.pk, actor=people[Role.TEAM_LEAD], now=NOON + minutes(21))
    assert sweep(now=NOON + minutes(300)).told == 0
    assert clock_of(flag, Clock.Target.STEP).status == "running"


def test_times_follow_each_other_without_drift(people: dict[Role, User]) -> None:
    flag = raised(level=5)
    sweep(now=NOON + minutes(5) + timedelta(seconds=59))
    assert clock_of(flag).next_deadline_at == NOON + minutes(10)


def test_a_rung_of_level_3_waits_for_business_hours(people: dict[Role, User]) -> None:
    flag = raised(level=3, now=NOON.replace(hour=16))  # four business hours: one today, three tomorrow
    assert clock_of(flag).due_at == datetime(2026, 3, 3, 12, tzinfo=NOON.tzinfo)
    assert sweep(now=NOON + timedelta(hours=12)).told == 0
    sweep(now=NOON + timedelta(hours=24))
    assert told_rungs(flag) == [1]
    assert clock_of(flag).next_deadline_at == NOON + timedelta(hours=28)


def test_level_2_is_told_to_the_lead_when_nobody_looked_for_two_days_and_level_1_is_not(
    people: dict[Role, User],
) -> None:
    raised(level=1)
    low = raised(level=2)
    sweep(now=NOON + timedelta(hours=47))
    assert told(people)["Team Lead"] == 0
    sweep(now=NOON + timedelta(hours=48))
    assert inbox(people[Role.TEAM_LEAD]) == ["Not acknowledged: 2 Low: Order #1001 waits"]
    assert told_rungs(low) == [1]


def test_after_an_outage_each_rung_is_told_once_in_order(people: dict[Role, User]) -> None:
    flag = raised(level=5)
    before = told(people)
    late = NOON + timedelta(hours=3)
    sweep(now=late)
    assert told_rungs(flag) == [1, 2, 3]
    assert told_rungs(flag, Clock.Target.STEP) == [1, 2, 3]
    assert {role: count - before[role] for role, count in told(people).items()} == dict.fromkeys(before, 2)
    assert clock_of(flag).next_deadline_at == late + minutes(5)
    assert ClockEvent.objects.filter(kind="due").earliest("id").data["late_seconds"] > 9_000


def test_a_clock_that_steps_back_repeats_nothing(people: dict[Role, User]) -> None:
    flag = raised(level=5)
    sweep(now=NOON + minutes(5))
    before = told(people)
    for minute in (-60, 0, 4, 9):
        assert sweep(now=NOON + minutes(minute)).told == 0
    assert told(people) == before
    flags.acknowledge(flag_id=flag.pk, actor=people[Role.TEAM_LEAD], now=NOON - minutes(60))
    assert not Clock.objects.filter(flag=flag, target="acknowledge", status="running").exists()


@pytest.mark.parametrize("hours", [-48, 48])
def test_a_worker_with_a_wrong_clock_sweeps_by_the_databases(hours: int) -> None:
    flag = raised(level=5, now=database_now())
    with time_machine.travel(datetime.now(NOON.tzinfo) + timedelta(hours=hours)):
        assert sweep_clocks() == 0
    assert told_rungs(flag) == []


def test_a_second_sweep_at_the_same_time_does_nothing(people: dict[Role, User]) -> None:
    raised(level=5)
    first = sweep(now=NOON + minutes(5))
    assert (first.clocks, sweep(now=NOON + minutes(5)).clocks) == (1, 0)


def test_a_rung_without_people_is_stepped_over_and_says_so() -> None:
    scope = ScopeFactory()
    director = person(Role.SUPPORT_DIRECTOR)
    flag = raised(level=3, scope=scope)
    assert len(inbox(director)) == 1
    event = FlagEvent.objects.get(flag=flag, kind="told")
    assert event.data["nobody_is"] == ["Team Lead", "Support Manager"]
    assert "Nobody is Team Lead, Support Manager there." in event.text


def test_with_nobody_on_any_rung_the_administrators_are_told() -> None:
    boss = person(Role.ADMINISTRATOR)
    raised(level=5)
    assert len(inbox(boss)) == 1


def test_people_of_other_scopes_are_not_told() -> None:
    scope = ScopeFactory()
    person(Role.TEAM_LEAD, scope)
    other = person(Role.SUPPORT_MANAGER, ScopeFactory())
    mine = person(Role.SUPPORT_MANAGER, scope)
    raised(level=5, scope=scope)
    sweep(now=NOON + minutes(5))
    assert (len(inbox(mine)), len(inbox(other))) == (1, 0)


@pytest.mark.parametrize(("level", "mailed"), [(4, "skipped"), (5, "pending")])
def test_quiet_rules_do_not_hold_for_level_5(people: dict[Role, User], level: int, mailed: str) -> None:
    lead = people[Role.TEAM_LEAD]
    NotificationSetting.objects.create(user=lead, kind="risk_flag", email=False)
    raised(level=level)
    news = Notification.objects.get(recipient=lead)
    assert news.deliveries.get(channel="email").status == mailed


def test_each_rung_is_in_the_decision_log(people: dict[Role, User]) -> None:
    flag = raised(level=5)
    sweep(now=NOON + minutes(5))
    entry = Decision.objects.get(action="risk_flag_rung_told")
    assert (entry.subject, entry.actor_label) == (f"risk_flag:{flag.pk}", "system:escalation-sweep")
    assert entry.payload["rung"] == 1


def test_a_ticket_that_waits_too_long_is_told_to_its_agent_and_lead_then_to_the_manager(
    people: dict[Role, User],
) -> None:
    from apps.escalation import calendars, clocks

    one = ticket(assignee=people[Role.SUPPORT_AGENT])
    clock = clocks.start(
        ticket=one, target="first_response", calendar=calendars.business(), allowed=minutes(60), now=NOON, reason="Mail"
    )
    sweep(now=NOON + minutes(60))
    assert len(inbox(people[Role.SUPPORT_AGENT])) == len(inbox(people[Role.TEAM_LEAD])) == 1
    sweep(now=NOON + minutes(300))
    assert inbox(people[Role.SUPPORT_MANAGER]) == [f"Overdue, first response: {one.number} Where is it?"]
    clock.refresh_from_db()
    assert (clock.rung, clock.next_deadline_at, clock.status) == (2, None, "running")
    assert TicketEvent.objects.filter(ticket=one, kind="overdue").count() == 2


def test_of_a_thousand_each_is_told_once_in_batches() -> None:
    person(Role.SUPPORT_MANAGER)
    for _ in range(30):
        raised(level=5)
    assert sweep(now=NOON + minutes(5), batch=7) == Swept(30, 30, 0)
    assert ClockEvent.objects.filter(kind="due").count() == 30


def test_statements_do_not_grow_with_the_number_of_clocks(
    people: dict[Role, User], django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        raised(level=5)
    with django_assert_max_num_queries(40):
        sweep(now=NOON + minutes(5))


def test_one_clock_that_fails_does_not_hold_up_the_others(
    people: dict[Role, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [raised(level=5) for _ in range(5)]
    bad, whole = clock_of(made[2]).pk, Desk.judge

    def judge(desk: Desk, clock: Clock, now: datetime) -> Any:
        if clock.pk == bad:
            raise ValueError("broken")
        return whole(desk, clock, now)

    monkeypatch.setattr(Desk, "judge", judge)
    assert sweep(now=NOON + minutes(5)) == Swept(4, 4, 1)
    monkeypatch.undo()
    assert sweep(now=NOON + minutes(5)) == Swept(1, 1, 0)


def test_a_calendar_that_never_opens_does_not_silence_a_clock(people: dict[Role, User]) -> None:
    scope = ScopeFactory()
    hours = calendar()
    team(scope, hours)
    flag = raised(level=3, scope=scope)
    hours.hours.all().delete()
    due = clock_of(flag).due_at
    assert due is not None
    sweep(now=due)
    assert clock_of(flag).next_deadline_at == due + minutes(5)


def test_a_clock_of_a_step_that_was_left_is_put_to_rest(people: dict[Role, User]) -> None:
    flag = raised(level=5)
    RiskFlag.objects.filter(pk=flag.pk).update(step="assessment")
    assert sweep(now=NOON + minutes(5)).told == 0
    assert clock_of(flag).next_deadline_at is None


def test_due_clocks_are_found_by_the_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
    plan = Clock.objects.due(NOON)[: sweeping.BATCH].explain()
    assert "clock_due" in plan
    assert "Sort" not in plan
