"""Thresholds: validated, never changed afterwards, and each change on record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import InternalError, ProgrammingError, connection, transaction

from apps.actions import services
from apps.actions.models import RuleVersion
from apps.actions.rules import Rule, rules
from apps.actions.versions import parsed_settings
from apps.core.models import Decision, User
from apps.core.roles import Role
from tests.actions.factories import example_rule
from tests.core.factories import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def rule() -> Iterator[Rule]:
    with example_rule() as rule:
        yield rule


@pytest.fixture
def manager() -> User:
    return person(Role.RISK_MANAGER)


def save(rule: Rule, actor: User, **options: Any) -> RuleVersion:
    values = {"settings": {"days": 5}, "enabled": True, "reason": " Holidays. "} | options
    return services.new_version(rule=rule, actor=actor, **values)


def test_the_first_version_is_made_from_the_defaults(rule: Rule) -> None:
    first = services.current_version(rule)
    assert (first.number, first.enabled, first.created_by) == (1, True, None)
    assert first.settings == {"days": 3, "remind_after_days": 7}
    assert services.current_version(rule) == first


def test_a_change_is_another_version_with_its_reason_on_record(rule: Rule, manager: User) -> None:
    first = services.current_version(rule)
    second = save(rule, manager)

    assert services.current_version(rule) == second
    assert (second.number, second.reason, second.created_by) == (2, "Holidays.", manager)
    assert second.settings == {"days": 5, "remind_after_days": 7}
    first.refresh_from_db()
    assert first.settings["days"] == 3
    decision = Decision.objects.get()
    assert (decision.action, decision.actor, decision.subject) == ("rule_version_made", manager, "rule:example")
    assert decision.payload["settings"]["days"] == 5
    assert decision.payload["former"]["days"] == 3


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"settings": {"days": 0}}, "days"),
        ({"settings": {"days": 91}}, "days"),
        ({"settings": {"days": "many"}}, "days"),
        ({"settings": {"weeks": 1}}, "weeks"),
        ({"settings": {"remind_after_days": 0}}, "remind_after_days"),
        ({"reason": "  "}, "reason"),
    ],
)
def test_wrong_thresholds_are_refused_by_name(rule: Rule, manager: User, options: dict[str, Any], field: str) -> None:
    with pytest.raises(services.InvalidSettings) as refused:
        save(rule, manager, **options)
    assert field in refused.value.fields
    assert not RuleVersion.objects.filter(number=2).exists()


def test_a_version_older_than_a_threshold_has_its_default(rule: Rule) -> None:
    old = RuleVersion(rule=rule.slug, number=1, settings={"days": 9})
    assert parsed_settings(rule, old).model_dump() == {"days": 9, "remind_after_days": 7}


@pytest.mark.parametrize("sql", ["UPDATE actions_ruleversion SET settings = '{}'", "DELETE FROM actions_ruleversion"])
def test_the_database_refuses_to_change_a_version(rule: Rule, sql: str) -> None:
    services.current_version(rule)
    refused = pytest.raises((InternalError, ProgrammingError), match=r"append-only|refused")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def test_every_rules_defaults_are_valid_and_every_threshold_is_explained() -> None:
    for rule in rules:
        rule.settings()
        for name, field in rule.settings.model_fields.items():
            assert field.title, f"{rule.slug}.{name}"
            assert field.description, f"{rule.slug}.{name}"
