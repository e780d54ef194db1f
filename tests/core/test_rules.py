"""Discovery of rules."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.core.exceptions import ImproperlyConfigured

from apps.core.rules import Registry


@dataclass(frozen=True)
class Example:
    slug: str
    title: str = "An example"


def test_two_rules_of_one_slug_stop_start_up() -> None:
    registry: Registry[Example] = Registry("example")
    registry.add(Example("late"))
    with pytest.raises(ImproperlyConfigured, match="'late'"):
        registry.add(Example("late"))


def test_rules_are_listed_by_slug() -> None:
    registry: Registry[Example] = Registry("example")
    for slug in ("b", "a"):
        registry.add(Example(slug))
    assert [rule.slug for rule in registry] == ["a", "b"]
    assert "a" in registry
    assert registry["b"].slug == "b"
    assert len(registry) == 2


def test_a_package_that_is_missing_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        Registry("example").discover("apps.orders.no_such_package")
