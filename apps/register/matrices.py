"""Matrices: what level, and what severity, a probability and an impact make together.

A **severity** makes scores of different matrices comparable: 0 to 100, where a matrix with n levels gives each an equal
band. The worst cells of level r (counted from 1) have ``round(100 * r / n)``; the other cells of the level divide its
band by their product of steps, so that a higher step never lowers the severity. A score that states a level alone gets
the worst of that level, for nothing is known that would make it better.

Versions are never changed and scores keep theirs, so a new version rewrites no score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from django.db import connection, transaction
from django.utils import timezone
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from apps.core.decisions import Entry, record
from apps.register.builtin_matrices import BUILTIN
from apps.register.models import Matrix, MatrixVersion
from apps.register.refusals import InvalidMatrix, InvalidScore, MissingInformation, WrongState
from apps.register.rights import LOG, Actor, demand, person, said

ADD = "register.add_matrixversion"
THREE = "low-medium-high"
FIVE = "five-by-five"
PROTOCOL = "protocol-levels"
Steps = list[str]


class MatrixData(BaseModel):
    """The scales of a matrix and the level of each cell.

    Attributes:
        probability, impact: names of the steps, from the lowest up.
        levels: names of the levels, from the lowest up.
        cells: for each step of probability, from the lowest up, the level that each impact makes with it.
        review_every_days: how many days after a review a risk of a level is looked at again; none for other levels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    probability: Steps = Field(min_length=2, max_length=10)
    impact: Steps = Field(min_length=2, max_length=10)
    levels: Steps = Field(min_length=2, max_length=10)
    cells: list[Steps]
    review_every_days: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name, steps in (("probability", self.probability), ("impact", self.impact), ("levels", self.levels)):
            if len({step.casefold() for step in steps}) < len(steps) or not all(0 < len(step) <= 40 for step in steps):
                raise ValueError(f"{name}: each name has 1 to 40 characters and stands once")
        if [len(row) for row in self.cells] != [len(self.impact)] * len(self.probability):
            raise ValueError("cells: one row for each probability, in it one level for each impact")
        strange = {level for row in self.cells for level in row} - set(self.levels)
        if strange:
            raise ValueError(f"cells: no such level as {', '.join(sorted(strange))}")
        self._rising()
        if not all(level in self.levels and 0 < days <= 3660 for level, days in self.review_every_days.items()):
            raise ValueError("review_every_days: 1 to 3660 days for levels of this matrix")
        return self

    def _rising(self) -> None:
        ranks = [[self.levels.index(level) for level in row] for row in self.cells]
        rows = [*ranks, *(list(column) for column in zip(*ranks, strict=True))]
        if any(sorted(row) != row for row in rows):
            raise ValueError("cells: a higher step may not make a lower level")


@dataclass(frozen=True, slots=True)
class Score:
    """What a matrix makes of two steps, or of a level that was stated. ``severity`` is 0 to 100."""

    level: str
    severity: int


def validated(data: Mapping[str, Any]) -> MatrixData:
    """The data as a matrix.

    Raises:
        InvalidMatrix: with what is wrong, by field.
    """
    try:
        return MatrixData.model_validate(dict(data))
    except ValidationError as error:
        fields: dict[str, list[str]] = {}
        for one in error.errors():
            where = ".".join(str(part) for part in one["loc"]) or "data"
            fields.setdefault(where, []).append(one["msg"].removeprefix("Value error, "))
        raise InvalidMatrix(fields=fields) from None


def data_of(version: MatrixVersion) -> MatrixData:
    """The scales of a version."""
    return validated(version.data)


def score(version: MatrixVersion, probability: int, impact: int) -> Score:
    """What two steps, each counted from 1, make together.

    Raises:
        InvalidScore: the scales have no such step.
    """
    return score_in(data_of(version), probability, impact)


def score_in(data: MatrixData, probability: int, impact: int) -> Score:
    """As :func:`score`, of scales that are not stored.

    Raises:
        InvalidScore: the scales have no such step.
    """
    if not (1 <= probability <= len(data.probability) and 1 <= impact <= len(data.impact)):
        raise InvalidScore
    level = data.cells[probability - 1][impact - 1]
    products = {
        (row + 1) * (column + 1)
        for row, levels in enumerate(data.cells)
        for column, other in enumerate(levels)
        if other == level
    }
    part = sum(1 for product in products if product <= probability * impact) / len(products)
    return Score(level, round(100 * (data.levels.index(level) + part) / len(data.levels)))


def score_level(version: MatrixVersion, level: str) -> Score:
    """What a level alone makes, as where a document states nothing more.

    Args:
        level: its name in any case, or its number from 1.

    Raises:
        InvalidScore: the matrix has no such level.
    """
    names = data_of(version).levels
    for rank, name in enumerate(names, start=1):
        if level.strip().casefold() in (name.casefold(), str(rank)):
            return Score(name, round(100 * rank / len(names)))
    raise InvalidScore


def review_days(version: MatrixVersion, level: str) -> int | None:
    """Days from one review of a risk of this level to the next; None if the matrix says nothing about it."""
    return data_of(version).review_every_days.get(level)


def in_force(slug: str) -> MatrixVersion:
    """The newest version of a matrix; one of the built-in matrices is made if it is not there.

    Raises:
        MissingInformation: there is no such matrix.
    """
    version = MatrixVersion.objects.filter(matrix__slug=slug).order_by("-number").select_related("matrix").first()
    if version is not None:
        return version
    if slug not in BUILTIN:
        raise MissingInformation(fields={"matrix": ["There is no such matrix."]})
    return _make_builtin(slug)


def ensure_builtin(**_: Any) -> None:
    """Make the built-in matrices that are missing; runs after each migration. What is there is left as it is.

    A migration to a state without the table has nothing to make.
    """
    there = MatrixVersion._meta.db_table in connection.introspection.table_names()
    for slug in BUILTIN if there else ():
        in_force(slug)


@transaction.atomic
def new_version(
    *,
    slug: str,
    data: Mapping[str, Any],
    reason: str,
    actor: Actor,
    now: datetime,
    title: str = "",
    seen_number: int | None = None,
) -> MatrixVersion:
    """Write a new version of a matrix, or the first one of a new matrix. Scores that were given stay as they are.

    Args:
        title: of a new matrix.
        seen_number: the newest version that the person looked at; None if there was none.

    Raises:
        InvalidMatrix, MissingInformation, NotAllowed: nothing was done.
        WrongState: somebody wrote a version in the meantime.
    """
    demand(actor, ADD)
    reason, checked = said(reason, "reason", "Why the matrix changes.", 300), validated(data)
    matrix, _ = Matrix.objects.get_or_create(slug=slug, defaults={"title": title or slug.replace("-", " ").title()})
    # Two writers of one matrix come one after the other; the second finds that the number it saw is not the newest.
    Matrix.objects.select_for_update(no_key=True).get(pk=matrix.pk)
    newest = matrix.versions.order_by("-number").first()
    if seen_number is not None and newest is not None and newest.number != seen_number:
        raise WrongState("Somebody wrote another version of this matrix in the meantime.")
    if newest is not None and validated(newest.data) == checked:
        raise MissingInformation(fields={"data": ["Nothing is different from the newest version."]})
    version = MatrixVersion.objects.create(
        matrix=matrix, number=newest.number + 1 if newest else 1, data=checked.model_dump(), reason=reason,
        created_by=person(actor), created_at=now,
    )  # fmt: skip
    record(
        Entry(
            scope=LOG,
            actor=actor,
            action="matrix_versioned",
            subject=f"matrix:{matrix.pk}",
            rationale=reason,
            payload={"matrix": slug, "version": version.number},
        )
    )
    return version


def _make_builtin(slug: str) -> MatrixVersion:
    title, data = BUILTIN[slug]
    matrix, _ = Matrix.objects.get_or_create(slug=slug, defaults={"title": title})
    facts = {"data": validated(data).model_dump(), "reason": "Built in.", "created_at": timezone.now()}
    version, _ = MatrixVersion.objects.get_or_create(matrix=matrix, number=1, defaults=facts)
    return version
