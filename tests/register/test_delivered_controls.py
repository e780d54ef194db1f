"""The delivered controls: every mitigation of both delivered assessments has one, and every check is used."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.register.checking import checks
from apps.register.delivered import DATA, delivered, ensure_controls
from apps.register.models import Control, MatrixVersion, Mitigation, Risk, RiskAssessment
from apps.register.papers.markdown import read_markdown

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def mapped() -> dict[str, dict[str, Any]]:
    return {row["document"]: row for row in delivered()["assessment"]}


@pytest.mark.parametrize("document", ["chat_service.md", "payment_api.md"])
def test_every_mitigation_of_the_documents_is_mapped_and_nothing_else(document: str) -> None:
    paper = read_markdown((DATA / "assessments" / document).read_text())
    written = {risk.title: [one.title for one in risk.mitigations] for risk in paper.risks}
    assert {title: list(measures) for title, measures in mapped()[document]["risks"].items()} == written
    assert list(mapped()[document].get("actions", {})) == [one.title for one in paper.actions]


def test_every_mapped_control_is_there_once_and_every_control_is_used() -> None:
    slugs = [row["slug"] for row in delivered()["control"]]
    named = {
        slug
        for row in delivered()["assessment"]
        for measures in [*row["risks"].values(), row.get("actions", {})]
        for found in measures.values()
        for slug in found
    }
    assert len(slugs) == len(set(slugs))
    assert named == set(slugs)


def test_every_check_is_the_check_of_a_control_and_the_other_way_round() -> None:
    used = {row["check"] for row in delivered()["control"] if "check" in row}
    assert used == {one.slug for one in checks}


@pytest.mark.django_db
def test_controls_are_ensured_once_and_what_people_changed_is_kept() -> None:
    assessment = RiskAssessment.objects.create(
        slug="x", title="X", created_on=NOON, matrix=MatrixVersion.objects.get(matrix__slug="low-medium-high", number=1)
    )
    risk = Risk.objects.create(
        reference="R-1", source="x:1", title="Rate Limiting", assessment=assessment, recorded_at=NOON
    )
    throttled = Mitigation.objects.create(risk=risk, assessment=assessment, title="Request throttling")
    own = Mitigation.objects.create(risk=risk, assessment=assessment, title="IP blocking")
    own.controls.add(Control.objects.create(slug="ours", title="Ours", kind="attested"))
    action = Mitigation.objects.create(assessment=assessment, title="Training programs")
    Control.objects.create(slug="staff-trained", title="By our own words", kind="attested", every_days=7)
    first = ensure_controls()
    assert first.controls == len(delivered()["control"]) - 1
    assert first.mitigations == 2
    assert [one.check_slug for one in throttled.controls.all()] == ["rate-limits"]
    assert [one.slug for one in own.controls.all()] == ["ours"]
    assert [(one.title, one.every_days) for one in action.controls.all()] == [("By our own words", 7)]
    again = ensure_controls()
    assert (again.controls, again.mitigations) == (0, 0)
