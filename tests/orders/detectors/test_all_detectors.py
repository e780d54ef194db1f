"""What holds for every detector of this app, those of the future included."""

import random
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.actions.models import RuleRun
from apps.actions.rules import Hit, Rule, Subjects
from apps.actions.runs import run_rules
from apps.orders.models import Order, RiskAssessment
from tests.orders.detectors.conftest import DAY, NOW, Shop, discovered

ROOT = Path(__file__).parents[3]
ALL = [rule for rule in discovered() if rule.detect.__module__.startswith("apps.orders.")]
every = pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.slug)

# Thresholds at which the small shops below hold findings of every rule.
LOW: dict[str, dict[str, Any]] = {
    "order-velocity": {"customer_orders": 2, "payment_orders": 2, "address_orders": 3, "ip_orders": 3},
    "failed-payments": {"customer_failures": 2, "payment_failures": 2, "address_failures": 2, "ip_failures": 3},
    "many-names": {"customer_names": 2, "payment_names": 2, "address_names": 3, "ip_names": 3},
    "cancellation-pattern": {"cancellations": 2, "ip_cancellations": 2, "share": 0.1},
    "first-order-high-value": {"amount": Decimal(150)},
    "refund-customer": {"refunds": 2},
    "refund-product": {"refunds": 2},
    "refund-high-value": {"amount": Decimal(60)},
    "refund-spike": {
        "baseline_days": 14, "longest_lag": 5, "minimum_orders": 5, "minimum_refunds": 1, "false_discoveries": 0.5, "shown_days": 10,
    },
    "refund-drift": {
        "baseline_days": 30, "watch_days": 7, "longest_lag": 5, "minimum_orders": 1, "minimum_refunds": 1, "limit_20": 0.01,
    },
}  # fmt: skip


@every
def test_texts(rule: Rule) -> None:
    assert all((rule.title, rule.mitigation, rule.escalation, rule.rollback))
    assert rule.escalation.startswith("Escalate when ")
    assert len(rule.description) > 30
    assert rule.events, "events are what it should be judged after"
    module = (ROOT / rule.detect.__module__.replace(".", "/")).with_suffix(".py")
    assert module.read_text().startswith('"""')
    assert rule.slug == module.stem.replace("_", "-"), "one detector, one file of its name"
    assert (ROOT / f"tests/orders/detectors/test_{module.stem}.py").exists()


@every
def test_settings_are_documented_with_their_units(rule: Rule) -> None:
    units = (
        r"day|hour|order|refund|share|factor|currency|payment|name|parcel|countr|level|product|guest|customer|cancel"
    )
    for name, field in rule.settings.model_fields.items():
        assert field.title, name
        assert field.description, name
        assert field.description.endswith("."), name
        assert re.search(units, field.description, re.IGNORECASE), f"{name}: {field.description}"
        if field.annotation in (int, float, Decimal):
            bounds = {type(item).__name__ for item in field.metadata}
            assert bounds & {"Ge", "Gt"}, name
            assert bounds & {"Le", "Lt"}, name
    rule.settings()


@every
def test_has_its_section_in_the_documentation(rule: Rule) -> None:
    text = (ROOT / "docs/detectors.md").read_text()
    _, _, section = text.partition(f"## {rule.title} (`{rule.slug}`)\n")
    section = section.partition("\n## ")[0]
    for part in ("**Finds**", "**Thresholds**", "**Why**", "**False positives**", "**Source**"):
        assert part in section, part
    for name, field in rule.settings.model_fields.items():
        default = {False: "off", True: "on", "": "none"}.get(field.default, field.default)
        default = field.default if type(field.default) in (int, float) else default
        assert f"| `{name}` | {default} | {field.description} |" in section or name == "remind_after_days", name


@every
def test_offered_effects_exist(rule: Rule) -> None:
    from apps.actions.executors import executors

    executors.discover("apps.orders.executors")
    assert [slug for slug in rule.actions if slug not in executors] == []


@every
@pytest.mark.django_db
def test_an_empty_database_has_no_findings(rule: Rule) -> None:
    for subjects in (None, Subjects(frozenset({"order:1", "customer:2", "address:1:abc", "store:3", "refund:4"}))):
        assert list(rule.detect(now=NOW, settings=rule.settings(), subjects=subjects)) == []


@every
@pytest.mark.django_db
def test_a_failing_one_stops_no_other(rule: Rule, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> Any:
        raise ZeroDivisionError("broken on purpose")

    failing = Rule(**{name: getattr(rule, name) for name in Rule.__slots__} | {"detect": broken})
    monkeypatch.setitem(discovered()._rules, rule.slug, failing)
    neighbour = next(one for one in ALL if one.slug != rule.slug)
    runs = run_rules(now=NOW, trigger=RuleRun.Trigger.SCHEDULE, rules=[rule.slug, neighbour.slug])
    assert [(run.rule, run.status) for run in runs] == [
        (rule.slug, RuleRun.Status.FAILED), (neighbour.slug, RuleRun.Status.SUCCEEDED),
    ]  # fmt: skip


def random_shop(chance: random.Random) -> list[Order]:
    """A small lively shop: few buyers, cards and addresses, so that they meet often."""
    shop = Shop(platform=chance.choice(["shopify", "file"]), time_zone=chance.choice(["UTC", "Asia/Tokyo"]))
    customers = [shop.customer(name) for name in ("Ada", "Bob", "Cy")]
    products = [shop.product(title) for title in ("Lamp", "Desk")]
    orders = []
    for _ in range(chance.randint(2, 11)):
        order = shop.order(
            timedelta(hours=chance.choice([1, 3, 5, 20, 30, 50, 100, 200, 400, 900])),
            customer=chance.choice([None, *customers]),
            total=chance.choice([100, 160, 800]),
            payment_key=chance.choice(["", "p", "q"]), address_key=chance.choice(["", "a"]), ip_key=chance.choice(["", "i"]),
            billing_name=chance.choice(["Ada", "Bob", "Cy"]),
            billing_country=chance.choice(["", "DE", "FR"]), shipping_country=chance.choice(["DE", "FR"]),
            ip_country=chance.choice(["", "NG"]),
            cancelled_at=chance.choice([None, None, NOW - DAY]),
            fulfillment_status=chance.choice(["unfulfilled", "unfulfilled", "fulfilled"]),
        )  # fmt: skip
        orders.append(order)
        for _ in range(chance.choice([0, 0, 1, 3])):
            shop.payment(order, chance.choice([1, 10]) * timedelta(hours=1), status="failure")
        if chance.random() < 0.5:
            shop.parcel(timedelta(days=chance.randint(1, 9)), order)
        if chance.random() < 0.6:
            age = min(NOW - order.created_at, timedelta(hours=chance.choice([2, 26, 70])))
            shop.refund(order, age, product=chance.choice([None, *products]), amount=chance.choice([50, 70]))
        if chance.random() < 0.2:
            RiskAssessment.objects.create(order=order, level="high", assessed_at=order.created_at)
    return orders


def found(rule: Rule, subjects: set[str] | None) -> dict[str, Hit]:
    chosen = rule.settings(**LOW.get(rule.slug, {}))
    which = None if subjects is None else Subjects(frozenset(subjects))
    hits = list(rule.detect(now=NOW, settings=chosen, subjects=which))
    assert len({hit.subject for hit in hits}) == len(hits), "one hit for each subject"
    return {hit.subject: hit for hit in hits}


SEEN: set[str] = set()


@pytest.mark.xdist_group("random shops")
@pytest.mark.django_db
@settings(max_examples=6, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000))
def test_a_sweep_finds_what_events_find_together(seed: int) -> None:
    with transaction.atomic():
        chance = random.Random(seed)
        orders = [order for _ in range(2) for order in random_shop(chance)]
        for rule in ALL:
            swept = found(rule, None)
            together: dict[str, Hit] = {}
            for order in orders:
                together |= found(rule, {f"order:{order.pk}"})
            assert together == swept, rule.slug
            SEEN.update([rule.slug] if swept else [])
            with CaptureQueriesContext(connection) as queries:
                found(rule, {f"order:{order.pk}" for order in orders})
            assert len(queries) < 25, rule.slug
        transaction.set_rollback(True)


@pytest.mark.xdist_group("random shops")
def test_the_random_shops_held_findings_of_every_rule() -> None:
    if not SEEN:
        pytest.skip("the property test did not run before")
    assert {rule.slug for rule in ALL} - SEEN == set()
