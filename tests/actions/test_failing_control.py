"""A failing check opens one card, keeps it while it fails, and the card resolves itself when the check passes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.actions.models import ActionCard
from apps.actions.runs import run_rules
from apps.core.models import Notification
from apps.core.roles import Role
from apps.register import runs
from apps.register.checking import CheckSettings, Finding, check, checks
from apps.register.models import Control, Mitigation, Risk
from tests.core.factories import person
from tests.register.looking import NOON, SameProcess

pytestmark = pytest.mark.django_db


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the one check finds next."""
    monkeypatch.setattr(checks, "_rules", {})
    next_findings: list[Finding] = []

    @check(slug="doors-shut", title="The doors are shut", every=timedelta(hours=1), mitigation="Shut them.")
    def look(*, now: Any, settings: CheckSettings, site: Any) -> Finding:
        return next_findings[-1]

    return next_findings


def turn(minutes: int) -> None:
    """Look by the check, then judge by the watch."""
    now = NOON + timedelta(minutes=minutes)
    runs.run_checks(now=now, site=SameProcess())
    run_rules(now=now, trigger="schedule", rules=["failing-control"])


def risk(severity: int) -> Risk:
    made = Risk.objects.create(
        reference=f"R-{severity}", source=f"x:{severity}", title="Burglary", severity=severity, recorded_at=NOON
    )
    control, _ = Control.objects.get_or_create(slug="doors", kind="checked", check_slug="doors-shut", title="Doors")
    Mitigation.objects.create(risk=made, title="Shut the doors").controls.add(control)
    return made


def test_one_card_per_failing_check_that_resolves_itself(found: list[Finding]) -> None:
    risk(80)
    found.append(Finding("fail", "1 of 3 doors is open for 5 minutes."))
    turn(0)
    card = ActionCard.objects.get(rule="failing-control")
    assert (card.subject, card.status, card.risk_tier) == ("check:doors-shut", "open", "policy")
    assert card.draft == "1 of 3 doors is open for 5 minutes."
    assert card.mitigation == "Shut them."
    assert card.evidence[0]["data"]["risks"] == ["R-80"]
    found.append(Finding("fail", "1 of 3 doors is open for 10 minutes."))
    turn(5)
    card.refresh_from_db()
    assert card.version == 1  # a figure that grows is no news
    found.append(Finding("fail", "The back door is open."))
    turn(10)
    card.refresh_from_db()
    assert (card.version, card.draft) == (2, "The back door is open.")
    found.append(Finding("pass", "Shut."))
    turn(15)
    assert ActionCard.objects.get().status == "resolved"
    found.append(Finding("fail", "1 of 3 doors is open."))
    turn(20)
    assert ActionCard.objects.filter(status="open").count() == 1


@pytest.mark.parametrize(("outcome", "cards"), [("warn", 0), ("pass", 0), ("fail", 1), ("error", 1)])
def test_warnings_open_no_card(found: list[Finding], outcome: Any, cards: int) -> None:
    found.append(Finding(outcome, "Something."))
    turn(0)
    assert ActionCard.objects.count() == cards


def test_the_tier_follows_the_worst_risk_that_relies_on_the_check(found: list[Finding]) -> None:
    found.append(Finding("fail", "Open."))
    turn(0)
    assert ActionCard.objects.get().risk_tier == "low"
    risk(30)
    turn(5)
    assert ActionCard.objects.get().risk_tier == "safety"
    worst = risk(90)
    turn(10)
    assert ActionCard.objects.get().risk_tier == "policy"
    worst.status = "closed"
    worst.save()
    turn(15)
    assert ActionCard.objects.get().risk_tier == "policy"  # a tier never falls while its card is open


def test_a_check_that_was_removed_leaves_no_card(found: list[Finding], monkeypatch: pytest.MonkeyPatch) -> None:
    found.append(Finding("fail", "Open."))
    turn(0)
    monkeypatch.setattr(checks, "_rules", {})
    run_rules(now=NOON + timedelta(minutes=5), trigger="schedule", rules=["failing-control"])
    assert ActionCard.objects.get().status == "resolved"


def test_operators_are_told_once(found: list[Finding]) -> None:
    from apps.actions.alerts import raise_alerts

    operator = person(Role.OPERATOR)
    found.append(Finding("fail", "Open."))
    turn(0)
    raise_alerts(NOON)
    raise_alerts(NOON + timedelta(minutes=5))
    told = Notification.objects.get(recipient=operator, kind="monitoring", title__contains="control")
    assert told.title == "A control fails. Check: The doors are shut"
