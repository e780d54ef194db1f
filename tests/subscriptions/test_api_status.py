"""Whether the scheduler runs, as the API says; and the services by their specified names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
import time_machine
from rest_framework.test import APIClient

from apps.core.models import User
from apps.core.roles import Role
from apps.subscriptions import api_status, refusals, services
from apps.subscriptions.models import RecalculationRun
from tests.core.factories import UserFactory, person
from tests.subscriptions.factories import NOW, ApprovalFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db
ADDRESS = "/api/reminders/status"


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def ask(user: User) -> Any:
    api = APIClient()
    api.force_login(user)
    return api.get(ADDRESS)


def beats(monkeypatch: pytest.MonkeyPatch, ago: timedelta) -> None:
    at = f"{(NOW - ago).timestamp():.0f}"
    monkeypatch.setattr(api_status, "heartbeats", lambda: {"old": "1", "apps.core.tasks.beat": at})


def finished(ago: timedelta) -> RecalculationRun:
    at = NOW - ago
    return RecalculationRun.objects.create(
        trigger="schedule", status="finished", as_of=at, finished_at=at, batch_size=100
    )


def test_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    beats(monkeypatch, timedelta(minutes=1))
    run = finished(timedelta(hours=7))
    data = ask(person(Role.OPERATOR)).json()["data"]
    assert (data["running"], data["overdue"], data["present_run"]) == (True, False, None)
    assert (data["last_run"]["id"], data["next_run_at"]) == (run.pk, "2026-03-03T02:00:00Z")


def test_a_scheduler_that_stands_still_and_a_run_that_did_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    beats(monkeypatch, timedelta(minutes=11))
    finished(timedelta(hours=27))
    data = ask(person(Role.OPERATOR)).json()["data"]
    assert (data["running"], data["overdue"]) == (False, True)


def test_without_valkey_it_is_not_known_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def down() -> dict[str, str]:
        raise redis.ConnectionError

    monkeypatch.setattr(api_status, "heartbeats", down)
    data = ask(person(Role.OPERATOR)).json()["data"]
    assert (data["running"], data["last_heartbeat_at"], data["last_run"]) == (False, None, None)


def test_who_may_ask() -> None:
    assert ask(person(Role.AUDITOR)).status_code == 200
    for user in (person(Role.CONTENT_OWNER), UserFactory()):
        assert ask(user).status_code == 403
    assert APIClient().get(ADDRESS).status_code == 401


def test_the_level_of_a_subscription_is_computed_and_stored() -> None:
    subscription = SubscriptionFactory()
    assert services.compute_risk_level(subscription_id=subscription.pk, now=NOW).risk_level == "HIGH"
    ApprovalFactory(subscription=subscription)
    assert services.compute_risk_level(subscription_id=subscription.pk, now=NOW).risk_level == "LOW"
    with pytest.raises(refusals.SubscriptionMissing):
        services.compute_risk_level(subscription_id=uuid4(), now=NOW)


def test_the_scores_of_a_person_are_those_of_the_own_subscriptions() -> None:
    mine, other = SubscriptionFactory(), SubscriptionFactory()
    services.recalculate([mine.pk, other.pk], now=NOW)
    assert [score.subscription_id for score in services.get_user_risk_scores(user=mine.owner)] == [mine.pk]
