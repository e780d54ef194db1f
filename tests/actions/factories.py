"""Cards, rules and hits for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import factory
from django.utils import timezone
from pydantic import Field

from apps.actions.executors import Executor, Job, executors
from apps.actions.models import ActionCard, RuleVersion
from apps.actions.rules import Hit, Rule, RuleSettings, Subjects, rules
from apps.actions.versions import current_version

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
MINUTES = timedelta(minutes=15)


class ExampleSettings(RuleSettings):
    """Thresholds of the rule that tests make."""

    days: int = Field(3, ge=1, le=90, title="Days", description="Days.")


def hit(subject: str = "order:1", **fields: Any) -> Hit:
    """A hit with sensible values."""
    plain = Hit(
        subject=subject,
        scope_id=None,
        target=f"Order #{subject.partition(':')[2]}",
        draft="Waits for 4 days.",
        rationale="Longer than promised.",
        data={"days": 4},
        source="shopify",
        operation="order-query",
        query="orders.list",
        observed_at=NOW,
        expected_impact=Decimal("100.00"),
        currency="USD",
        confidence=Decimal("0.95"),
        ease=4,
        tier="low",
        can_execute=True,
        message="Hello, your order is late.",
    )
    return replace(plain, **fields)


@contextmanager
def example_rule(
    detect: Callable[..., Iterable[Hit]] | Iterable[Hit] = (), *, slug: str = "example", **fields: Any
) -> Iterator[Rule]:
    """A rule that exists for the length of a test; ``detect`` may be its hits or a function."""

    def found(*, now: datetime, settings: RuleSettings, subjects: Subjects | None) -> Iterator[Hit]:
        """An example."""
        yield from detect(now=now, settings=settings, subjects=subjects) if callable(detect) else detect

    metadata: dict[str, Any] = {
        "slug": slug, "title": "Example", "kind": "order-aging-alert", "settings": ExampleSettings, "detect": found,
        "mitigation": "Write to the customer.", "escalation": "When it stays.", "rollback": "Write again.",
        "actions": ("note-down",),
    }  # fmt: skip
    rule = Rule(**(metadata | fields))
    rules.add(rule)
    try:
        yield rule
    finally:
        del rules._rules[slug]


class Ledger:
    """An executor's effect that writes down what it did; ``fail`` is raised instead, if set."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.fail: BaseException | None = None
        self.begins = False

    def available(self, card: ActionCard) -> bool:
        return True

    def execute(self, job: Job) -> dict[str, Any]:
        return self._do("execute", job)

    def roll_back(self, job: Job) -> dict[str, Any]:
        return self._do("roll_back", job)

    def _do(self, what: str, job: Job) -> dict[str, Any]:
        if self.begins:
            job.begin()
        if self.fail is not None:
            raise self.fail
        self.done.append((what, str(job.key)))
        return {"noted": str(job.key)}


@contextmanager
def example_executor(slug: str = "note-down", *, sends_message: bool = False) -> Iterator[Ledger]:
    """An executor that exists for the length of a test."""
    ledger = Ledger()
    executors.add(
        Executor(slug, "Note it down", "It is noted.", "It is struck out.", ledger, sends_message=sends_message)
    )
    try:
        yield ledger
    finally:
        del executors._rules[slug]


def example_version(slug: str = "example") -> RuleVersion:
    """The first version of a rule, which need not be registered."""
    if slug in rules:
        return current_version(rules[slug])
    defaults = {"settings": {}, "reason": "Defaults", "created_at": NOW}
    return RuleVersion.objects.get_or_create(rule=slug, number=1, defaults=defaults)[0]


class CardFactory(factory.django.DjangoModelFactory):
    """An open card, opened now."""

    class Meta:
        model = ActionCard

    rule = "example"
    rule_version = factory.LazyAttribute(lambda card: example_version(card.rule))
    subject = factory.Sequence(lambda n: f"order:{n + 1}")
    kind = "order-aging-alert"
    target = factory.LazyAttribute(lambda card: f"Order #{card.subject.partition(':')[2]}")
    draft = "Waits for 4 days."
    message = "Hello, your order is late."
    evidence = factory.LazyFunction(
        lambda: [
            {
                "source": "shopify", "requestId": "shopify-order-query-20260311-001", "query": "orders.list",
                "timestamp": NOW.isoformat(), "data": {"days": 4},
            }
        ]
    )  # fmt: skip
    expected_impact = Decimal("100.00")
    expected_loss = Decimal("100.00")
    confidence = Decimal("0.950")
    ease = 4
    risk_tier = "low"
    can_execute = True
    rationale = "Longer than promised."
    mitigation = "Write to the customer."
    escalation = "When it stays."
    rollback_plan = "Write again."
    fingerprint = "0" * 32
    observed_at = factory.LazyFunction(timezone.now)
    opened_at = factory.LazyFunction(timezone.now)
    changed_at = factory.SelfAttribute("opened_at")
