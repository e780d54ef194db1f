"""Matrices: levels and severities, versions that are never changed, and data that make no matrix."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from hypothesis import given
from hypothesis import strategies as st

from apps.core.models import Decision
from apps.core.roles import Role
from apps.register import matrices
from apps.register.builtin_matrices import BUILTIN
from apps.register.matrices import MatrixData, score_in
from apps.register.models import Matrix, MatrixVersion, Rating
from apps.register.refusals import InvalidMatrix, InvalidScore, MissingInformation, NotAllowed, WrongState
from apps.register.services import record_risk
from tests.core.factories import person
from tests.escalation.factories import NOON

THREE = dict(BUILTIN["low-medium-high"][1])


@st.composite
def scales(draw: st.DrawFn) -> MatrixData:
    """Any matrix whose levels rise with both steps."""
    rows, columns = draw(st.integers(2, 6)), draw(st.integers(2, 6))
    edges = sorted(draw(st.lists(st.integers(2, rows * columns), min_size=1, max_size=6, unique=True)))
    levels = [f"L{number}" for number in range(len(edges) + 1)]
    cells = [[levels[sum(p * i >= edge for edge in edges)] for i in range(1, columns + 1)] for p in range(1, rows + 1)]
    names = {"probability": [f"p{n}" for n in range(rows)], "impact": [f"i{n}" for n in range(columns)]}
    return MatrixData(**names, levels=levels, cells=cells)


@given(scales())
def test_a_higher_step_never_lowers_the_severity(data: MatrixData) -> None:
    rows, columns = len(data.probability), len(data.impact)
    severity = {(p, i): score_in(data, p, i).severity for p in range(1, rows + 1) for i in range(1, columns + 1)}
    for (p, i), value in severity.items():
        assert 0 < value <= 100
        assert value <= severity.get((p + 1, i), 100)
        assert value <= severity.get((p, i + 1), 100)


@given(scales())
def test_a_worse_level_is_more_severe_than_the_worst_of_a_better_one(data: MatrixData) -> None:
    found: dict[int, set[int]] = {}
    for p in range(1, len(data.probability) + 1):
        for i in range(1, len(data.impact) + 1):
            score = score_in(data, p, i)
            found.setdefault(data.levels.index(score.level), set()).add(score.severity)
    ranks = sorted(found)
    for lower, higher in itertools.pairwise(ranks):
        assert max(found[lower]) < min(found[higher])
    for rank, severities in found.items():
        assert max(severities) == round(100 * (rank + 1) / len(data.levels))


@pytest.mark.parametrize(
    ("steps", "level"), [((1, 1), "Low"), ((2, 3), "High"), ((2, 2), "Medium"), ((1, 3), "Medium")]
)
def test_levels_of_the_built_in_matrix(steps: tuple[int, int], level: str) -> None:
    assert score_in(MatrixData.model_validate(THREE), *steps).level == level


@pytest.mark.parametrize("steps", [(0, 1), (1, 0), (4, 1), (1, 4), (-1, 2)])
def test_steps_off_the_scale_are_refused(steps: tuple[int, int]) -> None:
    with pytest.raises(InvalidScore):
        score_in(MatrixData.model_validate(THREE), *steps)


@pytest.mark.parametrize(
    "change",
    [
        {"cells": [["Low", "Low", "Low"]]},
        {"cells": [["Low", "Low", "Grave"], ["Low"] * 3, ["Low"] * 3]},
        {"cells": [["High", "Low", "Low"], ["Low"] * 3, ["Low"] * 3]},
        {"levels": ["Low", "low", "High"]},
        {"probability": ["Low", "", "High"]},
        {"review_every_days": {"Grave": 3}},
        {"review_every_days": {"High": 0}},
        {"colours": ["red"]},
        {"levels": 3},
    ],
)
def test_data_that_make_no_matrix_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidMatrix) as refused:
        matrices.validated({**THREE, **change})
    assert refused.value.fields


@pytest.mark.django_db
def test_built_in_matrices_are_there_after_migration() -> None:
    assert set(BUILTIN) <= set(Matrix.objects.values_list("slug", flat=True))
    before = MatrixVersion.objects.count()
    matrices.ensure_builtin()
    assert MatrixVersion.objects.count() == before


@pytest.mark.django_db
@pytest.mark.parametrize(("level", "severity"), [("high", 100), ("2", 67), (" LOW ", 33)])
def test_a_level_alone_is_the_worst_of_that_level(level: str, severity: int) -> None:
    assert matrices.score_level(matrices.in_force("low-medium-high"), level).severity == severity


@pytest.mark.django_db
def test_an_unknown_level_and_an_unknown_matrix_are_refused() -> None:
    with pytest.raises(InvalidScore):
        matrices.score_level(matrices.in_force("low-medium-high"), "4")
    with pytest.raises(MissingInformation):
        matrices.in_force("of-my-own")


def flipped() -> dict[str, Any]:
    """The built-in matrix, stricter."""
    return {**THREE, "cells": [["Low", "Medium", "High"], ["Medium", "High", "High"], ["High", "High", "High"]]}


@pytest.mark.django_db
def test_a_new_version_rewrites_no_score() -> None:
    manager = person(Role.RISK_MANAGER)
    risk = record_risk(
        reference_source="x:1", title="Sparks", description="Why.", level=2, evidence=[], owner_role=Role.RISK_MANAGER,
        actor=manager, now=NOON,
    )  # fmt: skip
    before = list(Rating.objects.filter(risk=risk).values())
    for slug in BUILTIN:
        data = {**BUILTIN[slug][1], "review_every_days": {}}
        made = matrices.new_version(slug=slug, data=data, reason="Stricter.", actor=manager, now=NOON)
        assert (made.number, made.created_by, matrices.in_force(slug)) == (2, manager, made)
    assert list(Rating.objects.filter(risk=risk).values()) == before
    assert Decision.objects.filter(action="matrix_versioned", actor_id=manager.pk).count() == len(BUILTIN)


@pytest.mark.django_db
def test_the_second_of_two_writers_is_refused() -> None:
    manager = person(Role.RISK_MANAGER)
    facts: dict[str, Any] = {"slug": "low-medium-high", "reason": "Stricter.", "actor": manager, "now": NOON}
    matrices.new_version(data=flipped(), seen_number=1, **facts)
    with pytest.raises(WrongState):
        matrices.new_version(data=THREE, seen_number=1, **facts)
    with pytest.raises(MissingInformation):
        matrices.new_version(data=flipped(), **facts | {"now": NOON + timedelta(days=1)})


@pytest.mark.django_db
@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.RISK_MANAGER, Role.ADMINISTRATOR}])
def test_only_who_keeps_the_register_writes_matrices(role: Role) -> None:
    with pytest.raises(NotAllowed):
        matrices.new_version(slug="low-medium-high", data=flipped(), reason="Mine.", actor=person(role), now=NOON)


@pytest.mark.django_db
def test_a_version_cannot_be_changed() -> None:
    version = matrices.in_force("low-medium-high")
    with pytest.raises(DatabaseError), transaction.atomic():
        MatrixVersion.objects.filter(pk=version.pk).update(reason="Other.")
