"""The register's daily jobs read the clock and call the services."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine

from apps.core.models import Notification
from apps.core.roles import Role
from apps.register import acceptances, tasks
from apps.register.models import Acceptance, RegisterReview, Risk
from tests.core.factories import person
from tests.register.factories import NOON, a_control, a_mitigation, a_scored_risk

pytestmark = pytest.mark.django_db


def test_the_daily_jobs_do_what_is_due() -> None:
    owner, manager = person(Role.TEAM_LEAD), person(Role.RISK_MANAGER)
    risk = a_scored_risk(3, 3, owner=owner)
    facts = {"risk_id": risk.pk, "seen_version": risk.version, "reason": "Cheap.", "now": NOON}
    asked = acceptances.request(actor=owner, expires_on=NOON.date() + timedelta(days=30), **facts)
    acceptances.approve(acceptance_id=asked.pk, actor=manager, now=NOON, reason="Agreed.")
    a_mitigation(risk, due_on=NOON.date()).controls.add(a_control(owner=owner))
    with time_machine.travel(NOON + timedelta(days=31), tick=False):
        assert tasks.end_acceptances() == 1
        assert tasks.plan_reviews() == 1
        assert tasks.remind_owners() == 2
        assert (tasks.end_acceptances(), tasks.plan_reviews(), tasks.remind_owners()) == (0, 0, 0)
    assert Acceptance.objects.get().state == "expired"
    assert Risk.objects.get().status == "open"
    assert RegisterReview.objects.get().risk == risk
    titles = " ".join(Notification.objects.filter(recipient=owner).values_list("title", flat=True))
    for words in ("Acceptance ended", "Late by 31 days", "Please attest", "1 review of the risk register overdue"):
        assert words in titles
