"""The protocol's table: what is delivered says what the protocol says, and what cannot be read is refused by place."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from apps.core.roles import Role
from apps.escalation import calendars, levels
from apps.escalation.levels import PATHS, InvalidProtocol, delivered, delivered_data, in_force, validate
from apps.escalation.models import Document, DocumentVersion
from tests.escalation.factories import NOON, clock_of, minutes, raised


def test_the_delivered_table_is_the_protocols() -> None:
    rows = [(row.level, row.name, row.threshold) for row in delivered().levels]
    assert rows == [
        (5, "Critical", "Immediate escalation"),
        (4, "High", "Same business day"),
        (3, "Medium", "Within 24 hours"),
        (2, "Low", "Within 48 hours"),
        (1, "Minimal", "Weekly review"),
    ]
    assert delivered().level(5).path == (Role.SUPPORT_AGENT, Role.TEAM_LEAD, Role.SUPPORT_MANAGER, Role.RISK_MANAGER)
    assert len(delivered().to_risk) == len(delivered().to_support) == 5
    assert [[role.value for role in rung] for rung in delivered().rungs] == [
        ["Team Lead"], ["Support Manager"], ["Support Director", "Risk Manager"],
    ]  # fmt: skip


def test_each_level_has_a_deadline_for_each_of_its_steps() -> None:
    for level, path in PATHS.items():
        assert all(delivered().allowance(level, step) for step in path)


@pytest.mark.parametrize(
    ("level", "words"),
    [(5, "5 min around the clock"), (4, "30 min of business time"), (3, "4 h of business time")],
)
def test_paces_of_the_rungs(level: int, words: str) -> None:
    assert str(delivered().level(level).acknowledge) == words


def test_a_flag_that_fell_below_level_3_keeps_times_for_what_is_left() -> None:
    assert delivered().allowance(2, "resolution") == delivered().allowance(3, "resolution")
    assert delivered().interval(1, "resolution") == delivered().interval(3, "resolution")
    assert delivered().interval(1, "documented") is None


BROKEN: list[tuple[str, list[Any], Any]] = [
    ("no level", ["levels"], []),
    ("a level twice", ["levels", 0, "level"], 4),
    ("no deadline of a step", ["levels", 0, "deadlines"], {}),
    ("an unknown step", ["levels", 0, "deadlines", "heaven"], {"minutes": 5}),
    ("no time", ["levels", 0, "acknowledge"], {}),
    ("both kinds of time", ["levels", 0, "acknowledge"], {"minutes": 5, "same_business_day": True}),
    ("a day around the clock", ["levels", 0, "deadlines", "escalated"], {"same_business_day": True, "always": True}),
    ("no pace", ["levels", 0, "acknowledge"], {"same_business_day": True}),
    ("no time at all", ["levels", 0, "acknowledge", "minutes"], 0),
    ("a text for a number", ["levels", 0, "acknowledge", "minutes"], "5"),
    ("an unknown role", ["rungs", 0, 0], "King"),
    ("an empty rung", ["rungs", 1], []),
    ("no rung", ["rungs"], []),
    ("nothing to tell", ["to_risk"], []),
    ("a field that is no name", ["to_risk", 0, "name"], "No Name"),
    ("something unknown", ["extra"], 1),
    ("tickets by the day", ["ticket_overdue"], {"same_business_day": True}),
]


@pytest.mark.parametrize(("path", "value"), [pytest.param(path, value, id=name) for name, path, value in BROKEN])
def test_tables_that_cannot_be_read(path: list[Any], value: Any) -> None:
    data = copy.deepcopy(delivered_data())
    place: Any = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InvalidProtocol) as refusal:
        validate(data)
    assert refusal.value.fields


@pytest.mark.django_db
def test_the_same_business_day_after_closing_is_the_next_one() -> None:
    calendar = calendars.of(calendars.business())
    time = levels.Allowance(same_business_day=True)
    assert time.working(calendar, NOON) == timedelta(hours=5)
    assert time.working(calendar, NOON + timedelta(hours=6)) == timedelta(hours=8)


@pytest.mark.django_db
def test_the_approved_version_holds_from_its_approval_on() -> None:
    data = delivered_data()
    data["levels"][0]["acknowledge"] = {"minutes": 2, "always": True}
    document = Document.objects.create(slug=levels.SLUG, title="Protocol", owner="Support")
    version = DocumentVersion.objects.create(
        document=document, number="2.0", state="draft", body="", data=data, changes="Faster", created_at=NOON
    )
    assert in_force().number == "delivered"
    version.state = "approved"
    version.save()
    assert in_force().number == "2.0"
    clock = clock_of(raised(level=5))
    assert clock.due_at == NOON + minutes(2)
    assert clock.events.get().data["protocol"] == "2.0"
