"""The list of rules: complete, with the thresholds in force, and without writing."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.actions.models import RuleVersion
from apps.actions.rules import rules
from apps.actions.versions import new_version
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
    assert len(listed("--brief").splitlines()) == len(rules)
    with pytest.raises(CommandError, match="no rule 'nonsense'"):
        listed("nonsense")
