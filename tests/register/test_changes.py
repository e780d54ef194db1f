"""What changed between two moments, in the order of time, with both values and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from apps.core.roles import Role
from apps.register import changes, controls, mitigations, risks
from apps.register.models import CheckResult, Risk
from tests.core.factories import person
from tests.register.factories import NOON, TESTS, a_control, a_mitigation, a_risk, an_assessment, score

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_an_assessment_tells_what_changed_since_a_moment() -> None:
    manager = person(Role.RISK_MANAGER, first_name="Ada", last_name="Byron")
    with time_machine.travel(NOON, tick=False):
        assessment = an_assessment()
        risk = a_risk(assessment=assessment, cause="Dust")
        score(risk, 1, 1)
        row = a_mitigation(risk, title="Sweep")
        control = a_control(title="Clean floor", owner=manager)
        row.controls.add(control, a_control(title="No sparks", kind="checked", check_slug="sparks"))
    later = NOON + DAY
    with time_machine.travel(later, tick=False):
        score(risk, 3, 3, now=later, reason="It burns.", actor=manager)
        edit = {"seen_version": Risk.objects.get(pk=risk.pk).version, "changes": {"cause": "Wires"}, "reason": "Seen."}
        risks.edit_risk(risk_id=risk.pk, actor=manager, now=later, **edit)
        mitigations.update(
            mitigation_id=row.pk, seen_version=1, changes={"progress": 50}, actor=manager, now=later, reason="Half."
        )
        word: dict[str, Any] = {"outcome": "pass", "statement": "Clean.", "link": "https://example.com"}
        controls.attest(control_id=control.pk, actor=manager, now=later, **word)
        for minute, outcome, latest in ((0, "fail", False), (9, "fail", True)):
            CheckResult.objects.create(
                check_slug="sparks", outcome=outcome, summary="Sparks.", checked_at=later + timedelta(minutes=minute),
                since=later, seconds=0.1, latest=latest,
            )  # fmt: skip
        new = a_risk(assessment=assessment, title="Flood", now=later)
    found = changes.of_assessment(assessment, since=NOON, until=later)
    told = {(one.kind, one.what, one.before, one.after, one.why, one.risk) for one in found}
    assert told == {
        ("score", "Current score", "Low", "High", "It burns.", risk.pk),
        ("field", "Cause", "Dust", "Wires", "Seen.", risk.pk),
        ("mitigation", "Mitigation “Sweep”: Progress", "0", "50", "Half.", risk.pk),
        ("control", "Control “Clean floor” attested", "", "In place", "Clean.", risk.pk),
        ("control", "Control “No sparks” checked", "", "Fail", "Sparks.", risk.pk),
        ("new", "New risk", "", "Flood", "", new.pk),
    }
    assert {one.who for one in found if one.kind in {"score", "field", "mitigation"}} == {"Ada Byron"}
    assert changes.of_assessment(assessment, since=later, until=later + DAY) == []
    assert [one.what for one in changes.since_last_review(assessment, until=NOON)] == []
    assert str(found[0])


def test_statements_do_not_grow_with_the_risks(django_assert_max_num_queries: Any) -> None:
    assessment = an_assessment()
    for _ in range(8):
        risk = a_risk(assessment=assessment)
        score(risk, 1, 1)
        a_mitigation(risk).controls.add(a_control())
    with django_assert_max_num_queries(14):
        assert changes.of_assessment(assessment, since=NOON - DAY, until=NOON + timedelta(days=3650))


def test_a_job_is_named() -> None:
    risk = a_risk(assessment=an_assessment())
    risks.edit_risk(risk_id=risk.pk, seen_version=1, changes={"cause": "Dust"}, actor=TESTS, now=NOON)
    (found,) = changes.of_risks(Risk.objects.filter(pk=risk.pk), since=NOON, until=NOON + timedelta(days=3650))
    assert (found.who, str(found)) == ("system:tests", "Cause: Dust")
