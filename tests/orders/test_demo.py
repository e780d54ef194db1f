"""The demonstration loads once, makes every detector find something, and its shop's webhooks are understood."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from itertools import islice
from random import Random

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.actions.models import ActionCard
from apps.actions.rules import rules
from apps.core.models import Decision, Scope, User
from apps.core.roles import Role
from apps.core.scope import scopes_of
from apps.orders.demo import load as demo
from apps.orders.demo.lively import Lively, signed
from apps.orders.demo.people import PASSWORD, PEOPLE
from apps.orders.intake.process import process_due
from apps.orders.intake.topics import TOPICS
from apps.orders.management.commands import load_demo
from apps.orders.models import Order, Store, WebhookDelivery

pytestmark = pytest.mark.django_db


def command(name, **options) -> str:
    said = StringIO()
    call_command(name, stdout=said, stderr=StringIO(), **options)
    return said.getvalue()


def test_the_demo(client, monkeypatch):
    monkeypatch.setattr(demo, "PER_DAY", 8)
    assert "cards wait" in command("load_demo")

    found = set(ActionCard.objects.values_list("rule", flat=True))
    wanted = {rule.slug for rule in rules if rule.detect.__module__.startswith("apps.orders.")}
    assert wanted <= found
    assert {user.groups.get().name for user in User.objects.filter(is_staff=True)} == {role.value for role in Role}
    assert client.login(username="operator", password=PASSWORD)
    assert scopes_of(User.objects.get(username="agent")).get() == Scope.objects.get(slug="northlight")
    past = ActionCard.objects.filter(status="dismissed", closed_at__lt=timezone.now() - timedelta(days=2))
    assert past.dates("closed_at", "day").count() >= 8
    assert set(past.values_list("outcome", flat=True)) == {"true", "benign", "false"}
    assert all(card.opened_at < card.closed_at for card in past)
    assert ActionCard.objects.filter(status="dismissed").count() == past.count() + 3
    assert ActionCard.objects.filter(status="escalated").count() == 1

    before = (Order.objects.count(), ActionCard.objects.count(), Decision.objects.count())
    assert "loaded before" in command("load_demo")
    assert before == (Order.objects.count(), ActionCard.objects.count(), Decision.objects.count())


def test_an_interrupted_load_is_made_up_for(monkeypatch):
    monkeypatch.setattr(demo.scenes, "HISTORY_DAYS", 5)
    monkeypatch.setattr(load_demo, "_parts_of_other_apps", list)

    def interrupted(**_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(demo, "run_rules", interrupted)
        with pytest.raises(KeyboardInterrupt):
            command("load_demo")
    assert "cards wait" in command("load_demo")
    assert ActionCard.objects.exists()


def test_who_can_log_in_is_printed_without_touching_anything():
    said = command("load_demo", show_logins=True)
    assert PASSWORD in said
    assert all(one.username in said for one in PEOPLE)
    assert not User.objects.exists()


def test_not_in_production(settings):
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="not made in production"):
        command("load_demo")


def test_a_lively_shop_is_understood(client):
    store = demo.make_stores()[0]
    now = timezone.now()
    shop = demo.make_shop("northlight")
    shop.random = Random(3)
    for number, (topic, document) in enumerate(islice(Lively(shop, timezone.now).stream(), 300)):
        assert topic in TOPICS
        body, headers = signed(topic, document, domain=store.domain, secret=demo.SECRET, webhook_id=str(number), at=now)
        content_type = headers.pop("Content-Type")
        answer = client.post("/webhooks/shopify", data=body, content_type=content_type, headers=headers)
        assert answer.status_code == 200
    later = timezone.now()
    while process_due(now=later):
        later += timedelta(minutes=1)
    assert set(WebhookDelivery.objects.values_list("status", flat=True)) == {"done"}
    assert ActionCard.objects.filter(kind="fraud-pattern-alert").exists()


def test_without_the_demo_there_is_no_shop_to_simulate():
    with pytest.raises(CommandError, match="load_demo"):
        command("simulate_store", count=1)


def test_a_site_that_does_not_answer(unused_tcp_port):
    demo.make_stores()
    with pytest.raises(CommandError, match="does not answer"):
        command("simulate_store", count=1, url=f"http://127.0.0.1:{unused_tcp_port}")


def test_webhooks_reach_a_running_site(live_server):
    demo.make_stores()
    said = command("simulate_store", count=5, rate=1000.0, url=live_server.url, seed=1)
    assert said.count(" 200 ") == 5
    assert WebhookDelivery.objects.count() == 5
    assert Store.objects.count() == 2
