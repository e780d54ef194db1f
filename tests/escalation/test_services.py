"""Raising a flag: once per source, announced to the right people, never half done."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.core.models import Decision, Notification
from apps.core.roles import Role
from apps.escalation.models import RiskFlag
from apps.escalation.services import InvalidLevel, raise_flag
from tests.core.factories import ScopeFactory, person

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def raised(**changes: object) -> RiskFlag:
    facts = {
        "title": "Order #1001 waits",
        "description": "Unfulfilled for eight days",
        "level": 3,
        "source": "action_card:1",
        "evidence": [],
        "scope": None,
        "raised_by": None,
        "now": NOON,
    }
    return raise_flag(**(facts | changes))


def test_a_second_click_returns_the_same_flag() -> None:
    assert raised() == raised(title="Again")
    assert RiskFlag.objects.count() == 1
    assert Decision.objects.filter(action="risk_flag_raised").count() == 1


def test_a_resolved_flag_does_not_stop_a_new_one() -> None:
    first = raised()
    first.status, first.step, first.resolved_at = RiskFlag.Status.RESOLVED, RiskFlag.Step.CLOSED, first.raised_at
    first.save()
    assert raised() != first


@pytest.mark.parametrize("level", [0, 6, -1])
def test_a_level_off_the_ladder_writes_nothing(level: int) -> None:
    with pytest.raises(InvalidLevel):
        raised(level=level)
    assert not RiskFlag.objects.exists()


@pytest.mark.parametrize(
    ("level", "told"),
    [(2, set()), (3, {"lena"}), (4, {"lena", "rita"}), (5, {"lena", "rita"})],
)
def test_who_is_told_follows_the_level_and_the_scope(
    level: int, told: set[str], django_capture_on_commit_callbacks: object
) -> None:
    north, south = ScopeFactory(), ScopeFactory()
    person(Role.TEAM_LEAD, north, username="lena")
    person(Role.TEAM_LEAD, south, username="lars")
    person(Role.RISK_MANAGER, username="rita")
    raised(level=level, scope=north)
    assert set(Notification.objects.values_list("recipient__username", flat=True)) == told
