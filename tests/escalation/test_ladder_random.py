"""Whatever people do in whatever order, and whenever the sweep runs: no rung twice, none skipped, nobody told for nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.models import Notification, User
from apps.core.roles import Role
from apps.escalation import flags
from apps.escalation.flags import FlagChanged
from apps.escalation.ladder import ENDS, STAGES, ways
from apps.escalation.levels import delivered
from apps.escalation.models import Clock, ClockEvent, RiskFlag
from apps.escalation.rungs import circle
from apps.escalation.sweep import sweep
from tests.core.factories import person
from tests.escalation.factories import NOON, TO_RISK, TO_SUPPORT, minutes, raised

pytestmark = pytest.mark.django_db
OPEN = ("running", "paused")

DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("sweep"), st.sampled_from([0, 1, 4, 5, 6, 16, 61, 600, 3_000, 20_000])),
        st.tuples(st.just("sweep"), st.integers(-120, 0)),
        st.tuples(st.just("move"), st.integers(0, 3)),
        st.tuples(st.just("level"), st.integers(1, 5)),
        st.tuples(st.just("acknowledge"), st.just(0)),
        st.tuples(st.just("stale"), st.just(0)),
    ),
    max_size=14,
)


def do(deed: str, value: int, flag: RiskFlag, boss: User, now: datetime) -> None:
    seen: dict[str, Any] = {"flag_id": flag.pk, "seen_version": flag.version, "actor": boss, "now": now}
    if deed == "move" and ways(flag.step):
        chosen = ways(flag.step)[value % len(ways(flag.step))]
        flags.move(transition=chosen.name, reason="Because.", fields={**TO_RISK, **TO_SUPPORT}, **seen)
    elif deed == "level" and flag.step not in ENDS and value != flag.level:
        flags.change_level(level=value, reason="Looked again.", **seen)
    elif deed == "acknowledge" and flag.step not in ENDS:
        flags.acknowledge(flag_id=flag.pk, actor=boss, now=now)
    elif deed == "stale" and ways(flag.step) and flag.version > 1:
        name = ways(flag.step)[0].name
        with pytest.raises(FlagChanged):
            flags.move(**{**seen, "seen_version": 0}, transition=name, reason="x")


def check(flag: RiskFlag, now: datetime) -> None:
    running = Clock.objects.filter(flag=flag, status__in=OPEN)
    if flag.step in ENDS:
        assert not running.exists()
        assert not Clock.objects.filter(flag=flag, next_deadline_at__isnull=False).exists()
        return
    # Exactly the step's own clocks run, and each step of a level has its deadline.
    assert set(running.values_list("step", flat=True)) <= {flag.step}
    assert running.filter(target="step").count() == (delivered().allowance(flag.level, flag.step) is not None)
    waiting = running.filter(target="acknowledge")
    assert waiting.count() <= STAGES[flag.step].acknowledged
    assert not waiting.filter(next_deadline_at=None).exists()
    for clock in Clock.objects.filter(flag=flag):
        told = [event.data["rung"] for event in clock.events.filter(kind__in=["due", "rung"])]
        assert told == list(range(1, clock.rung + 1))  # each once, none skipped


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(level=st.integers(1, 5), deeds=DEEDS)
def test_any_order_of_events(level: int, deeds: list[tuple[str, int]]) -> None:
    with transaction.atomic():
        boss = person(Role.ADMINISTRATOR)
        flag, now = raised(level=level), NOON
        for deed, value in deeds:
            if deed == "sweep":
                now += minutes(value)
                due = Clock.objects.due(now).count()
                swept = sweep(now=now)
                assert (swept.clocks, swept.failed) == (due, 0)
                assert swept.told <= due * len(circle(delivered(), "lead_review"))
                assert sweep(now=now).clocks == 0
            else:
                do(deed, value, flag, boss, now)
            flag = RiskFlag.objects.get(pk=flag.pk)
            check(flag, now)
        keys = list(Notification.objects.filter(recipient=boss).values_list("dedupe_key", flat=True))
        assert len(keys) == len(set(keys))
        tellings = ClockEvent.objects.filter(clock__flag=flag, kind__in=["due", "rung"]).count()
        assert sum(key.startswith("clock:") for key in keys) == tellings
        transaction.set_rollback(True)


def test_the_longest_silence_is_one_rungs_time() -> None:
    """A critical flag that nobody answers is told on a rung every five minutes."""
    person(Role.TEAM_LEAD)
    flag = raised(level=5)
    for minute in range(2 * 60):
        sweep(now=NOON + minutes(minute))
    times = list(
        ClockEvent.objects.filter(clock__flag=flag, clock__target="acknowledge", kind__in=["due", "rung"]).values_list(
            "at", flat=True
        )
    )
    assert len(times) == 2 * 12 - 1
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(minutes=5)}
