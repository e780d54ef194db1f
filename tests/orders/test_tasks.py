"""Webhooks are processed at once, and without Valkey a little later."""

from __future__ import annotations

import pytest
import redis
from kombu.exceptions import OperationalError

from apps.core import valkey
from apps.orders import tasks
from apps.orders.models import Order, WebhookDelivery
from tests.orders import shop
from tests.orders.factories import StoreFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked(monkeypatch):
    """How often processing was asked for."""
    calls = []
    monkeypatch.setattr(tasks.process_pending_webhooks, "apply_async", lambda **given: calls.append(given))
    valkey.client().delete(tasks.AWAKE)
    yield calls
    valkey.client().delete(tasks.AWAKE)


def send(client, number=1, capture=None):
    store = StoreFactory()
    with capture(execute=True):
        return shop.post(client, "orders/create", shop.order(number), domain=store.domain)


def test_a_kept_webhook_wakes_a_worker(client, asked, django_capture_on_commit_callbacks):
    assert send(client, capture=django_capture_on_commit_callbacks).status_code == 200
    assert asked == [{"kwargs": {"gather": tasks.GATHER_SECONDS}, "retry": False}]
    assert tasks.process_pending_webhooks() == 1
    assert Order.objects.count() == 1


def test_many_webhooks_wake_one_worker_until_it_looks(client, asked, django_capture_on_commit_callbacks):
    for _ in range(3):
        send(client, capture=django_capture_on_commit_callbacks)
    assert len(asked) == 1
    tasks.process_pending_webhooks()
    send(client, capture=django_capture_on_commit_callbacks)
    assert len(asked) == 2


@pytest.mark.parametrize("error", [redis.ConnectionError(), OperationalError()])
def test_without_a_broker_a_webhook_is_kept_and_the_sweep_finds_it(
    client, asked, monkeypatch, error, django_capture_on_commit_callbacks
):
    def fail(**_):
        raise error

    monkeypatch.setattr(tasks.process_pending_webhooks, "apply_async", fail)
    assert send(client, capture=django_capture_on_commit_callbacks).status_code == 200
    assert WebhookDelivery.objects.get().status == "pending"
    assert tasks.process_pending_webhooks() == 1


def test_the_schedule_names_tasks_that_exist():
    from config.celery import app

    app.loader.import_default_modules()
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks
