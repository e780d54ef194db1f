"""Cards and actions for the tests of the queue's pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from apps.actions.executors import Executor, Job, executors
from apps.actions.models import ActionCard, CardEvent
from apps.actions.rules import rules
from apps.actions.versions import current_version

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
QUEUE = "/admin/actions/actioncard/"
_number = count(1)


def make_card(**fields: Any) -> ActionCard:
    """An open card of the ageing rule, unless the fields say otherwise, with its first event."""
    n = next(_number)
    impact = Decimal(fields.pop("impact", "150.00"))
    values: dict[str, Any] = {
        "rule": "order-ageing",
        "subject": f"order:{n}",
        "kind": ActionCard.Kind.ORDER_AGING,
        "target": f"Order #{n}",
        "draft": f"Order #{n} has been unfulfilled for 5 days.",
        "message": "Hello, your order is late.",
        "evidence": [
            {
                "source": "shopify",
                "requestId": f"shopify-order-query-20260302-{n:03d}",
                "query": "orders.list",
                "timestamp": "2026-03-02T09:55:00+00:00",
                "data": {"orderId": n, "daysWaiting": 5, "total": str(impact), "currency": "USD"},
            }
        ],
        "expected_impact": impact,
        "expected_loss": impact,
        "confidence": Decimal("0.95"),
        "ease": 4,
        "risk_tier": "safety",
        "can_execute": True,
        "rationale": "Exceeds our promise.",
        "mitigation": "Write to the customer.",
        "escalation": "When the stock is missing.",
        "rollback_plan": "Write again.",
        "fingerprint": f"{n:032d}",
        "observed_at": NOW,
        "opened_at": NOW - timedelta(hours=3),
        "changed_at": NOW,
    }
    values |= fields
    if "rule_version" not in values:
        values["rule_version"] = current_version(rules[values["rule"]])
    card = ActionCard.objects.create(**values)
    CardEvent.objects.create(card=card, card_version=1, kind="opened", at=card.opened_at, text="Found.")
    return card


def url(card: ActionCard, page: str = "change") -> str:
    return f"{QUEUE}{card.pk}/{page}/"


class Harmless:
    """An effect that does nothing."""

    def available(self, card: ActionCard) -> bool:
        return True

    def execute(self, job: Job) -> dict[str, Any]:
        return {}

    def roll_back(self, job: Job) -> dict[str, Any]:
        return {}


@pytest.fixture
def actions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two actions for the ageing rule, without any effect."""
    ageing = replace(rules["order-ageing"], actions=("send-message", "tag-order"))
    monkeypatch.setitem(rules._rules, "order-ageing", ageing)
    for slug, title, describe, sends in (
        ("send-message", "Send the customer a message", "An e-mail goes to the customer.", True),
        ("tag-order", "Tag the order", "The order gets the tag “risk”.", False),
    ):
        one = Executor(
            slug=slug,
            title=title,
            describe=describe,
            describe_rollback=f"Undo {slug}.",
            effect=Harmless(),
            sends_message=sends,
        )
        monkeypatch.setitem(executors._rules, slug, one)
