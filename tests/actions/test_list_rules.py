"""The list of rules: complete, with the thresholds in force, and without writing."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.actions.models import RuleVersion
from apps.actions.rules import rules
from apps.actions.versions import new_version
from apps.core.rules import described
from tests.core.factories import UserFactory

pytestmark = pytest.mark.django_db


def listed(*args: str) -> str:
    out = StringIO()
    call_command("list_rules", *args, stdout=out)
    return out.getvalue()


def test_every_rule_with_its_defaults_and_nothing_written() -> None:
    text = listed()
    for rule in rules:
        assert f"{rule.slug:<24} {rule.title}" in text
    assert "every sweep; after fulfillment.updated" in text
    assert "once a day\n" in text
    assert "warning_days           3 " in text
    assert not RuleVersion.objects.exists()


def test_thresholds_in_force() -> None:
    settings = {"warning_days": 4, "critical_days": 6, "urgent_days": 8}
    new_version(rule=rules["order-ageing"], settings=settings, enabled=False, reason="Slow season", actor=UserFactory())
    text = listed("order-ageing")
    assert "Order ageing (off)" in text
    assert "thresholds (version 2)" in text
    assert "warning_days           4 " in text
    assert "carrier-delay" not in text


def test_brief_and_unknown() -> None:
    others = sum(len(registry) for registry in described.values())
    assert len(listed("--brief").splitlines()) == len(rules) + others
    with pytest.raises(CommandError, match="no rule 'nonsense'"):
        listed("nonsense")


def test_evaluators_of_subscriptions_with_their_weights() -> None:
    text = listed()
    assert "approval_expiration      Approval expiration (evaluator)" in text
    assert "HIGH                   10         RISK_WEIGHT_APPROVAL_EXPIRED" in text
    assert listed("--brief", "approval_expiration") == "approval_expiration      Approval expiration (evaluator)\n"
