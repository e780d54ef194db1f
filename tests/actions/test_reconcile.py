"""Cards follow findings: opened, updated, resolved, reopened, and kept down after a decision."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.actions.models import ActionCard, CardEvent
from apps.actions.reconcile import ENTRIES_EACH, EVIDENCE_CAP, Reconciled, reconcile
from apps.actions.rules import Hit, Rule, Subjects
from apps.core.models import Decision
from tests.actions.factories import MINUTES, NOW, CardFactory, example_rule, example_version, hit
from tests.core.factories import ScopeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def rule() -> Iterable[Rule]:
    with example_rule() as rule:
        yield rule


def sweep(rule: Rule, *hits: Hit, now: datetime = NOW, subjects: Subjects | None = None) -> Reconciled:
    return reconcile(rule=rule, version=example_version(), hits=hits, now=now, subjects=subjects)


def the_card() -> ActionCard:
    return ActionCard.objects.get()


def decided(status: str, *, tier: str = "low", **fields: Any) -> ActionCard:
    values = {"subject": "order:1", "status": status, "risk_tier": tier, "opened_at": NOW, "closed_at": NOW}
    return CardFactory(**(values | fields))


def test_a_new_finding_opens_a_card_with_every_field_of_the_structure(rule: Rule) -> None:
    scope = ScopeFactory()
    done = sweep(rule, hit(scope_id=scope.pk, expected_loss=Decimal("60.00")))

    card = the_card()
    assert done == Reconciled(opened=1, hits=1)
    assert (card.status, card.version, card.kind, card.risk_tier) == ("open", 1, "order-aging-alert", "low")
    assert (card.scope, card.subject, card.target) == (scope, "order:1", "Order #1")
    assert (card.expected_impact, card.currency, card.expected_loss) == (Decimal(100), "USD", Decimal(60))
    assert (card.confidence, card.ease, card.can_execute) == (Decimal("0.950"), 4, True)
    assert (card.draft, card.message) == ("Waits for 4 days.", "Hello, your order is late.")
    assert (card.rationale, card.mitigation) == ("Longer than promised.", "Write to the customer.")
    assert (card.escalation, card.rollback_plan) == ("When it stays.", "Write again.")
    assert (card.rule_version, card.opened_at, card.observed_at) == (example_version(), NOW, NOW)
    assert card.priority == Decimal(60) * Decimal("0.95") * 4


def test_evidence_says_where_facts_came_from_and_numbers_never_repeat(rule: Rule) -> None:
    sweep(rule, hit("order:1"), hit("order:2"))

    entries = [card.evidence for card in ActionCard.objects.order_by("subject")]
    assert all(len(entry) == 1 for entry in entries)
    assert entries[0][0] | {"requestId": ""} == {
        "source": "shopify",
        "requestId": "",
        "query": "orders.list",
        "timestamp": NOW.isoformat(),
        "data": {"days": 4},
    }
    ids = [entry[0]["requestId"] for entry in entries]
    assert all(re.fullmatch(r"shopify-order-query-20260311-\d{3,}", request_id) for request_id in ids)
    assert len(set(ids)) == 2


def test_a_detected_risk_is_in_the_decision_log_in_its_shape(rule: Rule) -> None:
    sweep(rule, hit())

    card, decision = the_card(), Decision.objects.get()
    assert (decision.scope, decision.actor_label) == ("risk-monitoring", "system:risk-monitoring")
    assert (decision.action, decision.subject) == ("order_aging_detected", f"action_card:{card.pk}")
    assert decision.text.rationale == "Longer than promised."
    assert decision.evidence_url == f"/admin/actions/actioncard/{card.pk}/change/"
    assert decision.payload["evidence"] == card.evidence[0]["requestId"]
    assert decision.payload["rule_version"] == example_version().pk


def test_an_unchanged_finding_writes_nothing(rule: Rule) -> None:
    sweep(rule, hit())
    before = ActionCard.objects.values().get()

    done = sweep(rule, hit(observed_at=NOW + MINUTES), now=NOW + MINUTES)

    assert done == Reconciled(hits=1)
    assert ActionCard.objects.values().get() == before
    assert CardEvent.objects.count() == 1
    assert Decision.objects.count() == 1


def test_a_changed_finding_raises_the_version_and_shows_what_changed(rule: Rule) -> None:
    sweep(rule, hit())

    later = NOW + MINUTES
    done = sweep(rule, hit(expected_impact=Decimal(150), draft="Waits for 5 days.", data={"days": 5}), now=later)

    card, event = the_card(), CardEvent.objects.last()
    assert done == Reconciled(updated=1, hits=1)
    assert (card.version, card.expected_impact, card.changed_at, card.opened_at) == (2, Decimal(150), later, NOW)
    assert [entry["data"]["days"] for entry in card.evidence] == [4, 5]
    assert event is not None
    assert (event.kind, event.card_version, event.at) == ("updated", 2, later)
    assert event.data["changes"] == {
        "Impact": ["100.00", "150.00"],
        "Description": ["Waits for 4 days.", "Waits for 5 days."],
    }
    assert Decision.objects.count() == 1  # nothing was decided: the tier is the same


def test_a_tier_rises_with_a_record_and_never_falls(rule: Rule) -> None:
    sweep(rule, hit())
    sweep(rule, hit(tier="safety"), now=NOW + MINUTES)
    assert the_card().risk_tier == "safety"
    assert CardEvent.objects.latest("id").kind == "raised"
    assert Decision.objects.latest("seq").action == "order_aging_raised"

    sweep(rule, hit(tier="low"), now=NOW + 2 * MINUTES)
    assert the_card().risk_tier == "safety"


def test_evidence_keeps_the_first_entry_and_the_newest(rule: Rule) -> None:
    for n in range(EVIDENCE_CAP + 5):
        sweep(rule, hit(data={"n": n}), now=NOW + n * MINUTES)

    kept = [entry["data"]["n"] for entry in the_card().evidence]
    assert kept == [0, *range(6, EVIDENCE_CAP + 5)]
    assert len(kept) == EVIDENCE_CAP


def test_a_finding_that_is_gone_resolves_its_card_and_says_so(rule: Rule) -> None:
    sweep(rule, hit("order:1"), hit("order:2"))
    done = sweep(rule, hit("order:2"), now=NOW + MINUTES)

    gone = ActionCard.objects.get(subject="order:1")
    assert done == Reconciled(resolved=1, hits=1)
    assert (gone.status, gone.version, gone.closed_at) == ("resolved", 2, NOW + MINUTES)
    assert gone.events.last().text == "The rule does not find it any more."
    assert Decision.objects.filter(action="order_aging_resolved", subject=f"action_card:{gone.pk}").exists()
    assert ActionCard.objects.get(subject="order:2").status == "open"


def test_a_run_resolves_only_what_it_judged_and_only_its_own_rule(rule: Rule) -> None:
    sweep(rule, hit("order:1"), hit("order:2"))
    CardFactory(rule="another", subject="order:1")

    done = sweep(rule, subjects=Subjects(frozenset({"order:1", "customer:9"})))

    assert done.resolved == 1
    assert {(card.rule, card.subject, card.status) for card in ActionCard.objects.all()} == {
        ("example", "order:1", "resolved"),
        ("example", "order:2", "open"),
        ("another", "order:1", "open"),
    }


def test_an_event_about_nothing_known_costs_one_query(rule: Rule, django_assert_num_queries: Any) -> None:
    version = example_version()
    with transaction.atomic(), django_assert_num_queries(3):  # one, and the savepoint around it
        reconcile(rule=rule, version=version, hits=[], now=NOW, subjects=Subjects(frozenset({"order:9"})))


def test_a_finding_that_returns_is_a_new_card(rule: Rule) -> None:
    sweep(rule, hit())
    sweep(rule, now=NOW + MINUTES)
    assert sweep(rule, hit(), now=NOW + 2 * MINUTES).opened == 1

    assert list(ActionCard.objects.order_by("pk").values_list("status", flat=True)) == ["resolved", "open"]


@pytest.mark.parametrize("status", ["dismissed", "escalated", "executed"])
def test_what_was_decided_is_not_raised_again_while_the_finding_persists(rule: Rule, status: str) -> None:
    decided(status)
    for n in range(1, 4):
        assert sweep(rule, hit(data={"days": n}), now=NOW + n * MINUTES) == Reconciled(hits=1)
    assert the_card().hit_ended_at is None


def test_a_decision_ends_when_the_finding_goes_away(rule: Rule) -> None:
    decided("dismissed")
    sweep(rule, now=NOW + MINUTES)
    assert the_card().hit_ended_at == NOW + MINUTES
    assert sweep(rule, hit(), now=NOW + 2 * MINUTES).opened == 1


def test_a_higher_tier_than_the_decided_one_opens_a_card(rule: Rule) -> None:
    decided("dismissed", tier="safety")
    assert sweep(rule, hit(tier="safety"), now=NOW + MINUTES).opened == 0
    assert sweep(rule, hit(tier="policy"), now=NOW + MINUTES).opened == 1


def test_a_decided_finding_that_persists_is_reminded_of_after_days(rule: Rule) -> None:
    decided("dismissed")
    assert sweep(rule, hit(), now=NOW + timedelta(days=7) - MINUTES).opened == 0
    assert sweep(rule, hit(), now=NOW + timedelta(days=7)).opened == 1


def test_a_rolled_back_card_decides_nothing(rule: Rule) -> None:
    decided("rolled_back")
    assert sweep(rule, hit(), now=NOW + MINUTES).opened == 1


@pytest.mark.parametrize("status", ["executing", "failed"])
def test_a_card_whose_effect_is_under_way_or_failed_is_never_resolved_by_itself(rule: Rule, status: str) -> None:
    CardFactory(subject="order:1", status=status)
    assert sweep(rule) == Reconciled()
    assert the_card().status == status


def test_a_card_under_way_is_not_changed_below_the_worker(rule: Rule) -> None:
    CardFactory(subject="order:1", status="executing")
    assert sweep(rule, hit(data={"days": 9})) == Reconciled(hits=1)
    assert the_card().version == 1


def test_the_database_refuses_a_second_live_card(rule: Rule) -> None:
    CardFactory(subject="order:1")
    with pytest.raises(IntegrityError, match="actioncard_one_live_per_subject"), transaction.atomic():
        CardFactory(subject="order:1", status="executing")
    CardFactory(subject="order:1", status="dismissed")


def test_two_hits_about_one_subject_are_a_mistake_of_the_rule(rule: Rule) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        sweep(rule, hit("order:1"), hit("order:1"))
    assert not ActionCard.objects.exists()


def test_hits_may_be_read_from_the_database_while_they_are_loaded(rule: Rule) -> None:
    def hits() -> Iterable[Hit]:
        for n in range(5_100):
            if n % 1_000 == 0:
                assert not ActionCard.objects.filter(subject=f"order:{n}").exists()
            yield hit(f"order:{n}")

    done = reconcile(rule=rule, version=example_version(), hits=hits(), now=NOW, subjects=None)
    assert done.opened == 5_100


def test_a_backlog_is_recorded_in_batches_that_name_every_card(rule: Rule) -> None:
    count = ENTRIES_EACH + 350
    sweep(rule, *[hit(f"order:{n}") for n in range(count)])

    decisions = list(Decision.objects.order_by("seq"))
    assert [decision.subject for decision in decisions] == ["rule:example", "rule:example"]
    named = [row[0] for decision in decisions for row in decision.payload["cards"]]
    assert sorted(named) == sorted(ActionCard.objects.values_list("pk", flat=True))


def test_text_that_postgresql_cannot_hold_stops_at_the_rule_and_changes_nothing(rule: Rule) -> None:
    sweep(rule, hit())
    with pytest.raises(Exception, match=r"NUL|0x00"), transaction.atomic():
        sweep(rule, hit(draft="\x00"), now=NOW + MINUTES)
    assert the_card().version == 1


def test_a_finding_may_say_what_to_do_about_itself() -> None:
    with example_rule() as rule:
        version = example_version()

        def run(**fields: str) -> ActionCard:
            reconcile(rule=rule, version=version, hits=[hit(**fields)], now=NOW, subjects=None)
            return ActionCard.objects.get()

        assert run(mitigation="Ask for approval.").mitigation == "Ask for approval."
        card = run(mitigation="Ask for a top-up.")
        assert (card.mitigation, card.version) == ("Ask for a top-up.", 2)
