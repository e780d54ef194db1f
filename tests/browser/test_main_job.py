"""The product's main job from end to end: files fill the queue, a person decides, and a webhook becomes a card."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import httpx
import pytest
from celery.contrib.testing.worker import start_worker
from django.core import mail
from django.core.management import call_command
from playwright.sync_api import expect

from apps.actions.models import ActionCard
from apps.core.models import Decision, Scope
from apps.core.roles import Role
from apps.escalation.models import RiskFlag
from config.celery import app as celery
from tests.actions.desk import QUEUE, url
from tests.browser.conftest import Desk
from tests.core.factories import person
from tests.orders import shop
from tests.orders.factories import StoreFactory

pytestmark = pytest.mark.browser
OLIST = Path(__file__).parents[1] / "orders" / "fixtures" / "olist"


@pytest.fixture
def old_files(tmp_path: Path) -> Path:
    """A small shop as it stood at the start of February 2018, with two orders that nobody sent."""
    folder = Path(shutil.copytree(OLIST, tmp_path / "olist"))
    with (folder / "olist_orders_dataset.csv").open("a") as file:
        file.writelines(f"late{n},c{n},processing,2018-01-2{n} 10:00:00,,,,2018-02-20 00:00:00\n" for n in (1, 2))
    with (folder / "olist_order_items_dataset.csv").open("a") as file:
        file.writelines(f"late{n},1,p1,s1,2018-02-05 00:00:00,80.00,5.00\n" for n in (1, 2))
    return folder


@pytest.fixture
def worker(site: str) -> Iterator[None]:
    """A real Celery worker on the test's own broker."""
    with start_worker(celery, pool="solo", perform_ping_check=False, queues=["celery"]):
        yield


def test_files_fill_the_queue_and_a_person_decides(desk: Callable[..., Desk], old_files: Path) -> None:
    as_of = datetime(2018, 2, 1, tzinfo=UTC)
    call_command("import_orders", str(old_files), mapping="olist", as_of=as_of, stdout=StringIO(), stderr=StringIO())
    first, second = ActionCard.objects.filter(status="open", rule="order-ageing").order_by("-priority")[:2]
    one = desk()
    operator = person(Role.OPERATOR, Scope.objects.get(slug="olist"))
    one.log_in(operator)

    one.open(QUEUE)
    expect(one.page.locator("#result_list")).to_contain_text(first.target)
    one.open(url(first, "dismiss"))
    one.page.check("input[name=outcome][value=benign]")
    one.page.fill("[name=reason]", "The customer knows")
    one.page.keyboard.press("Control+Enter")
    expect(one.page).to_have_url(re.compile(r"/change/$"))  # the next card is shown
    assert ActionCard.objects.get(pk=first.pk).status == "dismissed"

    one.open(url(second, "escalate"))
    one.page.keyboard.press("ArrowDown")
    one.page.fill("[name=reason]", "The stock is gone")
    one.page.locator("form[data-once] [type=submit]").click()
    expect(one.page).not_to_have_url(re.compile(r"/escalate/"))
    assert ActionCard.objects.get(pk=second.pk).status == "escalated"

    assert RiskFlag.objects.get().source == f"action_card:{second.pk}"
    assert Decision.objects.filter(actor=operator).count() >= 2


def test_a_signed_webhook_is_a_card_within_seconds_and_approving_it_writes_to_the_customer(
    desk: Callable[..., Desk], site: str, worker: None
) -> None:
    store = StoreFactory()
    now = datetime.now(UTC)
    placed = shop.order(at=now, created_at=(now - timedelta(days=6)).isoformat())
    begun = time.monotonic()
    with httpx.Client(base_url=site) as client:
        assert post(client, "orders/create", placed, store.domain).status_code == 200
    card = wait_for(lambda: ActionCard.objects.filter(rule="order-ageing").first())
    assert time.monotonic() - begun < 15, "far more than the second that it takes: a machine that runs tests is busy"

    one = desk()
    one.log_in(person(Role.OPERATOR, store.scope))
    one.open(url(card, "approve"))
    one.page.fill("[name=message]", "Your lamp leaves tomorrow.")
    one.page.locator("form[data-once] [type=submit]").click()
    wait_for(lambda: ActionCard.objects.filter(pk=card.pk, status="executed").first())
    assert [message.to for message in mail.outbox] == [["ada@example.com"]]
    assert "Your lamp leaves tomorrow." in mail.outbox[0].body


def post(client: httpx.Client, topic: str, document: dict, domain: str) -> httpx.Response:
    body = json.dumps(document).encode()
    return client.post(
        "/webhooks/shopify",
        content=body,
        headers={
            "Content-Type": "application/json",
            "X-Shopify-Topic": topic,
            "X-Shopify-Hmac-Sha256": shop.sign(body),
            "X-Shopify-Shop-Domain": domain,
            "X-Shopify-Webhook-Id": "main-job",
        },
    )


def wait_for(find: Callable[[], ActionCard | None]) -> ActionCard:
    deadline = time.monotonic() + 30
    while (found := find()) is None:
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return found
