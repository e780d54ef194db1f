"""The register as a paper: what an export writes, and what an import is compared with. Risks come in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any

from django.db.models import Prefetch

from apps.register.models import MatrixVersion, Mitigation, Provision, Rating, Risk, RiskAssessment
from apps.register.papers.shapes import (
    KINDS,
    Paper,
    PaperGate,
    PaperMitigation,
    PaperProvision,
    PaperRisk,
    PaperScore,
)

BATCH = 500
_SEPARATOR = " > "
# Marks the key of a risk that did not come from a document; see key_of.
_FOREIGN = "@"


@dataclass(frozen=True, slots=True)
class Held:
    """A risk of the register, with what it says as a paper, and its mitigations in the same order as there."""

    row: Any  # of rows_of, with what that reads ahead
    paper: PaperRisk
    mitigations: list[Mitigation]


def source_of(slug: str, key: str) -> str:
    """What a risk of a document names as its source."""
    return f"{slug}:{key}"


def key_of(slug: str, source: str) -> str:
    """The key of a risk within its assessment."""
    return source.removeprefix(f"{slug}:") if source.startswith(f"{slug}:") else f"{_FOREIGN}{source}"[:210]


def matrix_name(version: Any) -> str:
    """How papers name a matrix's version, such as ``low-medium-high v1``."""
    return f"{version.matrix.slug} v{version.number}"


def head_of(assessment: RiskAssessment) -> Paper:
    """The assessment without its risks."""
    provisions = _provisions(assessment)
    return Paper(
        shape="register",
        title=assessment.title,
        slug=assessment.slug,
        project=assessment.project,
        status=str(assessment.status),
        phase=str(assessment.phase),
        created=assessment.created_on.isoformat(),
        references=tuple(assessment.references),
        overview=assessment.overview,
        scope=assessment.scope.slug if assessment.scope else "",
        owner=assessment.owner.username if assessment.owner else "",
        matrix=matrix_name(assessment.matrix),
        cadence=assessment.cadence,
        next_review_on=_iso(assessment.next_review_on),
        every_days=tuple(sorted((phase, str(days)) for phase, days in assessment.review_every_days.items())),
        gates=tuple(PaperGate(gate.name, _iso(gate.due_on)) for gate in assessment.gates.order_by("id")),
        detection=provisions[Provision.Kind.DETECTION],
        procedures=provisions[Provision.Kind.PROCEDURE],
        ownership=provisions[Provision.Kind.OWNERSHIP],
        actions=tuple(mitigation_of(row) for row in actions_of(assessment)),
    )


def _provisions(assessment: RiskAssessment) -> dict[str, tuple[PaperProvision, ...]]:
    """Provisions by kind; those of one group stand together, groups in the order of their first."""
    found: dict[str, list[PaperProvision]] = {kind: [] for kind in Provision.Kind.values}
    for row in assessment.provisions.order_by("kind", "id"):
        found[row.kind].append(PaperProvision(row.group, row.text))
    return {kind: tuple(_gathered(rows, lambda row: row.group)) for kind, rows in found.items()}


def _gathered(rows: Iterable[Any], group: Any) -> list[Any]:
    groups: dict[Any, list[Any]] = {}
    for row in rows:
        groups.setdefault(group(row), []).append(row)
    return [row for gathered in groups.values() for row in gathered]


def _controls() -> Prefetch:
    """Controls as a plain list: a manager and a query set for each mitigation would cost more than its rows."""
    return Prefetch("controls", to_attr="all_controls")


def actions_of(assessment: RiskAssessment) -> list[Mitigation]:
    """Actions of the strategy: the immediate ones first, those of one priority together."""
    rows = Mitigation.objects.filter(assessment=assessment, risk=None).select_related("owner")
    rows = rows.prefetch_related(_controls()).order_by("horizon", "position", "id")
    return [
        row for _, part in groupby(rows, lambda row: row.horizon) for row in _gathered(part, lambda row: row.priority)
    ]


def rows_of(assessment: RiskAssessment) -> Any:
    """The assessment's risks in order, with all that a paper says of them."""
    return (
        Risk.objects.filter(assessment=assessment)
        .prefetch_related(
            # Categories, owners and matrices are few and come once; joined, each row would make its own of them.
            "category",
            "owner",
            Prefetch("ratings", Rating.objects.filter(latest=True).order_by(), "latest_ratings"),
            Prefetch(
                "mitigations",
                Mitigation.objects.prefetch_related("owner", _controls()).order_by("position", "id"),
                "all_mitigations",
            ),
            Prefetch("links", to_attr="all_links"),
        )
        .order_by("position", "id")
    )


def held(assessment: RiskAssessment) -> Iterator[Held]:
    """The assessment's risks in order, read in batches by one query for each kind of row."""
    matrices = {row.pk: row for row in MatrixVersion.objects.select_related("matrix")}
    for row in rows_of(assessment).iterator(chunk_size=BATCH):
        for rating in row.latest_ratings:
            if rating.matrix_id in matrices:  # else it was written after they were read, and is fetched on its own
                rating.matrix = matrices[rating.matrix_id]
        yield Held(row, risk_of(row, assessment.slug), row.all_mitigations)


def risk_of(row: Any, slug: str) -> PaperRisk:
    """What a row of :func:`rows_of` says as a paper."""
    ratings = {rating.kind: rating for rating in row.latest_ratings}
    return PaperRisk(
        key=key_of(slug, row.source),
        path=tuple(row.category.path.split(_SEPARATOR)) if row.category else (),
        title=row.title,
        number="" if row.position is None else str(row.position),
        reference=row.reference,
        description=row.description,
        cause=row.cause,
        consequence=row.consequence,
        status=row.status,
        treatment=row.treatment,
        proximity=row.proximity,
        owner_role=row.owner_role,
        owner=row.owner.username if row.owner else "",
        next_review_on=_iso(row.next_review_on),
        links=tuple(link.target for link in row.all_links),
        scores=tuple(score_of(ratings[kind]) for kind in KINDS if kind in ratings),
        mitigations=tuple(mitigation_of(mitigation) for mitigation in row.all_mitigations),
    )


def score_of(rating: Rating) -> PaperScore:
    """A score in the words of the matrix that it was made with."""
    data = rating.matrix.data
    return PaperScore(
        kind=rating.kind,
        probability=data["probability"][rating.probability - 1] if rating.probability else "",
        impact=data["impact"][rating.impact - 1] if rating.impact else "",
        level=rating.level,
        matrix=matrix_name(rating.matrix),
        reason=rating.reason,
    )


def mitigation_of(row: Any) -> PaperMitigation:
    """A mitigation, with its controls in ``all_controls``, with all that it states."""
    return PaperMitigation(
        title=row.title,
        description=row.description,
        horizon=row.horizon,
        priority=row.priority,
        owner_role=row.owner_role,
        owner=row.owner.username if row.owner else "",
        due_on=_iso(row.due_on),
        status=row.status,
        progress=str(row.progress),
        effect=row.effect,
        controls=tuple(sorted(control.slug for control in row.all_controls)),
    )


def _iso(value: date | datetime | None) -> str:
    return value.isoformat() if value else ""
