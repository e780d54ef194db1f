"""Rows of the register for tests."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

from apps.core.decisions import system
from apps.register import matrices
from apps.register.models import Category, Control, MatrixVersion, Mitigation, Rating, Risk, RiskAssessment
from apps.register.risks import create_risk, rate

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TESTS = system("tests")
_numbers = itertools.count(1)


def three() -> MatrixVersion:
    """Low, Medium, High."""
    return matrices.in_force(matrices.THREE)


def an_assessment(**fields: Any) -> RiskAssessment:
    """An assessment with the scales of three steps, reviewed each week while it is built."""
    number = next(_numbers)
    facts = {
        "slug": f"assessment-{number}", "title": f"Assessment {number}", "created_on": NOON, "matrix": three(),
        "review_every_days": {"build": 7, "pilot": 14, "live": 90},
    }  # fmt: skip
    assessment: RiskAssessment = RiskAssessment.objects.create(**{**facts, **fields})
    return assessment


def a_risk(**fields: Any) -> Risk:
    """A risk, recorded at noon."""
    facts: dict[str, Any] = {"title": "Sparks", "source": f"test:{next(_numbers)}", "actor": TESTS, "now": NOON}
    return create_risk(**{**facts, **fields})


def a_scored_risk(probability: int = 2, impact: int = 3, kind: str = "current", **fields: Any) -> Risk:
    """A risk with a score of three steps."""
    risk = a_risk(**fields)
    score(risk, probability, impact, kind)
    return Risk.objects.get(pk=risk.pk)


def score(risk: Risk, probability: int, impact: int, kind: str = "current", **fields: Any) -> Rating:
    """Another score of a risk as it is now."""
    facts: dict[str, Any] = {
        "seen_version": Risk.objects.get(pk=risk.pk).version, "reason": "Seen.", "actor": TESTS, "now": NOON,
        "matrix": three(),
    }  # fmt: skip
    return rate(risk_id=risk.pk, kind=kind, probability=probability, impact=impact, **{**facts, **fields})


def a_category(*names: str) -> Category:
    """A category by the names of its way from the root."""
    found: Category | None = None
    for depth, name in enumerate(names, start=1):
        path = " > ".join(names[:depth])
        found, _ = Category.objects.get_or_create(path=path, defaults={"name": name, "parent": found})
    assert found is not None
    return found


def a_mitigation(risk: Risk | None = None, **fields: Any) -> Mitigation:
    """Something to be done about a risk."""
    mitigation: Mitigation = Mitigation.objects.create(**{"title": "Sweep the floor", "risk": risk, **fields})
    return mitigation


def a_control(**fields: Any) -> Control:
    """A control that a person attests each 90 days."""
    number = next(_numbers)
    facts = {"slug": f"control-{number}", "title": f"Control {number}", "kind": Control.Kind.ATTESTED}
    control: Control = Control.objects.create(**{**facts, **fields})
    return control
