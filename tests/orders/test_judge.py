"""Imported stores are judged at once; a copy of a past state keeps its own moment."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.actions.models import ActionCard, RuleRun
from apps.actions.runs import run_rules
from apps.core.models import Scope
from tests.orders.factories import NOW, OrderFactory

pytestmark = pytest.mark.django_db
OLIST = Path(__file__).parent / "fixtures" / "olist"
THEN = datetime(2018, 2, 1, tzinfo=UTC)
LATE = [("late1,c1", "2018-01-27"), ("late2,c2", "2018-01-25"), ("late3,c3", "2018-01-22")]


@pytest.fixture
def shop_files(tmp_path: Path) -> Path:
    """The small shop with three more orders that nobody sent, five to ten days old at the start of February."""
    folder = Path(shutil.copytree(OLIST, tmp_path / "olist"))
    with (folder / "olist_orders_dataset.csv").open("a") as file:
        file.writelines(f"{late},processing,{day} 10:00:00,,,,2018-02-20 00:00:00\n" for late, day in LATE)
    with (folder / "olist_order_items_dataset.csv").open("a") as file:
        file.writelines(f"late{number},1,p1,s1,2018-02-05 00:00:00,80.00,5.00\n" for number in (1, 2, 3))
    return folder


def imported(folder: Path, **options: object) -> str:
    said = StringIO()
    call_command("import_orders", str(folder), mapping="olist", stdout=said, stderr=StringIO(), **options)
    return said.getvalue()


def test_an_import_fills_the_queue_as_of_its_moment(shop_files: Path) -> None:
    said = imported(shop_files, as_of=THEN)
    cards = ActionCard.objects.filter(rule="order-ageing")
    assert {card.target for card in cards} == {"Order #o2", "Order #late1", "Order #late2", "Order #late3"}
    assert "Judged as of 2018-02-01 00:00:" in said
    assert {card.status for card in cards} == {"open"}
    assert all(card.opened_at.year > 2018 for card in cards), "they reach the queue now"


def test_sweeps_of_the_present_pass_a_copy_of_the_past_by(shop_files: Path) -> None:
    imported(shop_files, as_of=THEN)
    before = list(ActionCard.objects.order_by("pk").values("pk", "version", "status", "draft"))
    other = OrderFactory(created_at=NOW - timedelta(days=6))
    run_rules(now=NOW, trigger=RuleRun.Trigger.SCHEDULE)
    assert ActionCard.objects.filter(subject=f"order:{other.pk}", rule="order-ageing").exists()
    after = ActionCard.objects.filter(pk__in=[card["pk"] for card in before]).order_by("pk")
    assert list(after.values("pk", "version", "status", "draft")) == before


def test_judging_a_copy_leaves_the_cards_of_other_stores_alone(shop_files: Path) -> None:
    other = OrderFactory(created_at=NOW - timedelta(days=6))
    run_rules(now=NOW, trigger=RuleRun.Trigger.SCHEDULE)
    imported(shop_files, as_of=THEN)
    card = ActionCard.objects.get(subject=f"order:{other.pk}", rule="order-ageing")
    assert (card.status, card.version) == ("open", 1)


def test_files_of_the_present_end_the_copy(shop_files: Path) -> None:
    imported(shop_files, as_of=THEN)
    assert Scope.objects.get(slug="olist").judged_as_of == THEN
    imported(shop_files)
    assert Scope.objects.get(slug="olist").judged_as_of is None
    run_rules(now=NOW, trigger=RuleRun.Trigger.SCHEDULE)
    card = ActionCard.objects.get(target="Order #late1", rule="order-ageing")
    assert card.risk_tier == "policy", "eight years are more than the last threshold"


def test_a_run_over_one_scope_is_no_heartbeat(shop_files: Path) -> None:
    imported(shop_files, as_of=THEN)
    assert not RuleRun.objects.exclude(trigger=RuleRun.Trigger.EVENT).exists()


def test_the_command_judges_one_scope_as_of_its_moment(shop_files: Path) -> None:
    imported(shop_files, as_of=THEN)
    said = StringIO()
    call_command("run_detectors", scope="olist", stdout=said)
    assert "As of 2018-02-01 00:00" in said.getvalue()
    with pytest.raises(CommandError, match="There is no scope 'nowhere'"):
        call_command("run_detectors", scope="nowhere")
