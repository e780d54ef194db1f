"""Mitigations of risks, and actions of assessments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from apps.register.models import Mitigation, Risk, RiskAssessment
from apps.register.papers.plan import CHANGED, NEW, MitigationPlan
from apps.register.papers.register import actions_of
from apps.register.papers.shapes import PaperMitigation
from apps.register.papers.work import Work, day

_TEXTS = ("title", "description", "horizon", "priority", "owner_role", "status", "effect")
_EMPTY_MEANS_LEFT = ("title", "horizon", "status")


def write_mitigations(
    work: Work,
    plans: Iterable[MitigationPlan],
    papers: Sequence[PaperMitigation],
    *,
    risk: Risk | None = None,
    assessment: RiskAssessment | None = None,
) -> None:
    """Add the new ones, and change what differs."""
    plans = [one for one in plans if one.label in (NEW, CHANGED)]
    if not plans:
        return
    rows = work.found.rows[risk.pk].mitigations if risk else actions_of(assessment) if assessment else []
    last = max((row.position for row in rows), default=0)
    added = []
    for one in plans:
        assert one.index is not None
        paper = papers[one.index]
        if one.row is not None:
            _change(work, rows[one.row], paper, [change.field for change in one.changes])
            continue
        last += 1
        added.append((new_mitigation(work, paper, last, risk=risk, assessment=assessment), paper.controls or ()))
    store(work, added)


def new_mitigation(
    work: Work,
    paper: PaperMitigation,
    position: int,
    *,
    risk: Risk | None = None,
    assessment: RiskAssessment | None = None,
) -> Mitigation:
    """A row to be stored; what the paper leaves open gets the register's default."""
    stated = _values(work, paper, [name for name in _FIELDS if getattr(paper, name) is not None])
    return Mitigation(risk=risk, assessment=assessment, position=position, **stated)


_FIELDS = (*_TEXTS, "owner", "due_on", "progress")


def _values(work: Work, paper: PaperMitigation, names: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in names:
        stated = getattr(paper, name)
        if name in _TEXTS and (stated or name not in _EMPTY_MEANS_LEFT):
            values[name] = stated
        elif name == "owner":
            values["owner"] = work.users.get(stated)
        elif name == "due_on":
            values["due_on"] = day(stated)
        elif name == "progress":
            values["progress"] = int(stated or 0)
    return values


def store(work: Work, added: Sequence[tuple[Mitigation, Sequence[str]]]) -> None:
    """Store new mitigations, each with the controls of these slugs."""
    rows = Mitigation.objects.bulk_create(row for row, _ in added)
    through = Mitigation.controls.through
    through._default_manager.bulk_create(
        through(mitigation_id=row.pk, control_id=work.controls[slug])
        for row, (_, slugs) in zip(rows, added, strict=True)
        for slug in slugs
    )


def _change(work: Work, row: Mitigation, paper: PaperMitigation, names: Sequence[str]) -> None:
    values = _values(work, paper, names)
    for name, value in values.items():
        setattr(row, name, value)
    row.version += 1
    row.save(update_fields=[*values, "version"])
    if "controls" in names:
        row.controls.set(work.controls[slug] for slug in paper.controls or ())
