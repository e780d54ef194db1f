"""People and requests of the register's desk, for tests."""

from __future__ import annotations

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from apps.core.models import User
from apps.core.roles import Role
from apps.register import acceptances
from apps.register.models import Acceptance, Risk
from tests.core.factories import person
from tests.register.factories import a_scored_risk


def signed_in(user: User) -> Client:
    """A browser in which somebody is signed in."""
    client = Client()
    client.force_login(user)
    return client


def an_owned_risk(role: Role = Role.SUPPORT_MANAGER) -> tuple[Risk, User]:
    """A scored risk of the whole company, and its owner."""
    owner = person(role)
    return a_scored_risk(owner=owner), owner


def an_acceptance(risk: Risk | None = None) -> Acceptance:
    """A request of a risk's owner."""
    if risk is None:
        risk, _ = an_owned_risk()
    assert risk.owner is not None  # only owned ones are asked for here
    now = timezone.now()
    return acceptances.request(
        risk_id=risk.pk, seen_version=risk.version, reason="Small.", expires_on=(now + timedelta(days=30)).date(),
        actor=risk.owner, now=now,
    )  # fmt: skip
