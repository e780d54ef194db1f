"""Running detectors by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.actions.management.commands.run_detectors import moment
from apps.actions.models import ActionCard, RuleRun, RuleVersion
from apps.actions.rules import Hit, rules
from apps.core.models import Decision
from tests.actions.factories import CardFactory, example_rule, example_version, hit

pytestmark = pytest.mark.django_db


def run(*args: str) -> str:
    out = StringIO()
    call_command("run_detectors", *args, stdout=out, stderr=out)
    return out.getvalue()


def test_it_judges_by_the_rules_named_and_says_what_it_did() -> None:
    with example_rule([hit("order:1"), hit("order:2")]):
        text = run("--rule", "example")
    assert "2 hits" in text
    assert "2 opened" in text
    assert RuleRun.objects.get().trigger == "command"


def test_without_names_it_judges_by_all_that_a_sweep_judges() -> None:
    run()
    assert set(RuleRun.objects.values_list("rule", flat=True)) == {rule.slug for rule in rules if not rule.watch}


def test_as_of_is_the_moment_that_is_judged() -> None:
    asked: list[datetime] = []

    def detect(*, now: datetime, **_: Any) -> Iterator[Hit]:
        asked.append(now)
        yield hit()

    with example_rule(detect):
        text = run("--rule", "example", "--as-of", "2018-02-01")
    assert asked == [datetime(2018, 2, 1, tzinfo=UTC)]
    assert "As of 2018-02-01 00:00 UTC" in text
    assert ActionCard.objects.get().evidence[0]["requestId"].startswith("shopify-order-query-20180201-")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-02-01", datetime(2018, 2, 1, tzinfo=UTC)),
        ("2018-02-01T12:30", datetime(2018, 2, 1, 12, 30, tzinfo=UTC)),
        ("2018-02-01T12:30+02:00", datetime(2018, 2, 1, 10, 30, tzinfo=UTC)),
    ],
)
def test_moments(text: str, expected: datetime) -> None:
    assert moment(text) == expected


@pytest.mark.parametrize("text", ["yesterday", "2018-13-01", "2018-02-30T10:00", "12"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="--as-of"):
        run("--as-of", text)


def test_a_dry_run_writes_nothing_at_all() -> None:
    example_version()
    CardFactory(subject="order:9")
    with example_rule([hit("order:1")]):
        text = run("--rule", "example", "--dry-run")
    assert "nothing was written" in text
    assert "1 opened" in text
    assert "1 resolved" in text
    assert list(ActionCard.objects.values_list("subject", "status")) == [("order:9", "open")]
    assert not RuleRun.objects.exists()
    assert not Decision.objects.exists()


def test_a_dry_run_makes_no_first_version() -> None:
    with example_rule([hit()]):
        run("--rule", "example", "--dry-run")
    assert not RuleVersion.objects.filter(rule="example").exists()


def test_a_failing_rule_is_named_and_the_others_are_done() -> None:
    def broken(**_: Any) -> Iterator[Hit]:
        raise ZeroDivisionError("no orders")
        yield

    out = StringIO()
    with (
        example_rule(broken, slug="broken"),
        example_rule([hit()], slug="works"),
        pytest.raises(CommandError, match="Some rules failed"),
    ):
        call_command("run_detectors", "--rule", "broken", "--rule", "works", stdout=out, stderr=out)
    assert "broken: ZeroDivisionError: no orders" in out.getvalue()
    assert ActionCard.objects.get().rule == "works"


def test_an_unknown_rule_is_refused_with_the_list() -> None:
    with pytest.raises(CommandError, match=r"no rule 'nothing'.*order-ageing"):
        run("--rule", "nothing")
