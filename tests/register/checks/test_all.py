"""What is demanded of every check: words, a cadence, an explained limit, a test, a control."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from apps.register.checking import Check, checks, described
from apps.register.delivered import delivered

HERE = Path(__file__).parent
TESTS = "\n".join(file.read_text() for file in sorted(HERE.glob("test_*.py")) if file.name != "test_all.py")


@pytest.mark.parametrize("one", list(checks), ids=lambda one: one.slug)
def test_every_check_says_what_it_looks_at_and_what_to_do(one: Check) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one.slug)
    assert one.title[0].isupper()
    assert not one.title.endswith(".")
    assert len(one.description) > 40
    assert one.mitigation.endswith(".")
    for name, field in one.settings.model_fields.items():
        assert field.description, name
        assert field.title, name
    assert one.settings() is not None


@pytest.mark.parametrize("one", list(checks), ids=lambda one: one.slug)
def test_every_check_is_seen_passing_and_failing(one: Check) -> None:
    """Its tests ask for it by name and name both outcomes; which they are is for the tests themselves."""
    blocks = [block for block in TESTS.split("\n\n\n") if f'look("{one.slug}"' in block]
    text = "\n".join(blocks)
    assert '"pass"' in text
    assert re.search(r'"fail"|in look\(|\.summary', text)


@pytest.mark.parametrize("one", list(checks), ids=lambda one: one.slug)
def test_every_check_belongs_to_a_control(one: Check) -> None:
    assert one.slug in {row.get("check") for row in delivered()["control"]}


@pytest.mark.django_db
def test_checks_are_listed_with_their_limits() -> None:
    out = StringIO()
    call_command("list_rules", "backup-age", stdout=out)
    assert "A backup was taken lately (check)" in out.getvalue()
    assert "hours" in out.getvalue()
    assert described(checks["backup-age"])[1] == "runs: every 1 hour"
