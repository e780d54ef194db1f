"""The demonstration has a flag on every rung, and a second load changes nothing."""

from __future__ import annotations

import pytest
from django.utils import timezone

from apps.core.models import Scope
from apps.escalation.demo.load import load
from apps.escalation.models import Proposal, Review, RiskFlag, Ticket
from apps.orders.demo.people import make_people

pytestmark = pytest.mark.django_db


def test_it_loads_once_and_has_something_on_every_rung() -> None:
    now = timezone.now()
    assert not load(now=now, report=lambda words, count: None)
    make_people([Scope.objects.create(slug=slug, name=slug.title()) for slug in ("northlight", "fjord")])
    assert load(now=now, report=lambda words, count: None)
    assert not load(now=now, report=lambda words, count: None)
    assert set(RiskFlag.objects.values_list("step", flat=True)) == set(RiskFlag.Step.values) - {"proposed"}
    assert set(RiskFlag.objects.values_list("level", flat=True)) == {1, 2, 3, 4, 5}
    assert Ticket.objects.exists()
    assert Proposal.objects.filter(status="open").count() == 2
    assert set(Review.objects.values_list("status", flat=True)) == {"planned", "running", "completed"}
