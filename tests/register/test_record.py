"""The register: a risk is recorded once, with its record; who may see it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from apps.core.models import Decision
from apps.core.roles import Role
from apps.register.models import Risk
from apps.register.services import record_risk
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.escalation.factories import NOON

pytestmark = pytest.mark.django_db
LIST = "/admin/register/risk/"


def recorded(**changes: Any) -> Risk:
    facts: dict[str, Any] = {
        "reference_source": "risk_flag:4", "title": "Sparks", "description": "Why.", "level": 5, "evidence": [],
        "owner_role": Role.RISK_MANAGER, "actor": UserFactory(), "now": NOON,
    }  # fmt: skip
    return record_risk(**(facts | changes))


def test_a_source_is_recorded_once() -> None:
    assert recorded() == recorded(title="Again")
    assert Risk.objects.get().title == "Sparks"
    assert Decision.objects.filter(action="risk_recorded").count() == 1
    assert [link.target for link in Risk.objects.get().links.all()] == ["risk_flag:4"]


def test_references_count_up() -> None:
    first, second = recorded(), recorded(reference_source="risk_flag:5")
    assert int(second.reference[2:]) == int(first.reference[2:]) + 1


def test_a_level_off_the_scale_is_refused() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        recorded(level=6)


@pytest.mark.parametrize("role", Role)
def test_who_sees_the_register(client: Client, role: Role) -> None:
    scope = ScopeFactory()
    mine, foreign = recorded(scope=scope), recorded(reference_source="x:1", scope=ScopeFactory())
    client.force_login(person(role, scope))
    answer = client.get(LIST)
    reads = set(Role) - {Role.SUPPORT_AGENT, Role.OPERATOR, Role.CONTENT_OWNER}
    assert answer.status_code == (200 if role in reads else 403)
    if role in reads:
        shown = set(answer.context["cl"].result_list)
        assert shown == ({mine} if role in {Role.TEAM_LEAD, Role.SUPPORT_MANAGER} else {mine, foreign})
