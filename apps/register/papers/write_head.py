"""The assessment itself: its facts, gates and provisions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apps.core.models import Scope
from apps.register.models import Provision, ReviewGate, RiskAssessment
from apps.register.papers.work import Work, day, moment

_KINDS = {
    "detection": Provision.Kind.DETECTION,
    "procedures": Provision.Kind.PROCEDURE,
    "ownership": Provision.Kind.OWNERSHIP,
}
_TEXTS = ("title", "project", "status", "phase", "overview", "cadence")


def write_head(work: Work, assessment: RiskAssessment | None) -> RiskAssessment:
    """Make or change the assessment, and add what it provides."""
    assessment = _update(work, assessment) if assessment else _create(work)
    _provide(work, assessment)
    return assessment


def _values(work: Work, names: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in names:
        stated = getattr(work.paper, name)
        if name in _TEXTS:
            values[name] = stated
        elif name == "references":
            values["references"] = list(stated)
        elif name == "every_days":
            values["review_every_days"] = {phase: int(days) for phase, days in stated}
        elif name == "next_review_on":
            values["next_review_on"] = day(stated)
        elif name == "owner":
            values["owner"] = work.users.get(stated)
        elif name == "scope":
            values["scope"] = Scope.objects.filter(slug=stated).first()
        elif name == "matrix":
            values["matrix"] = work.scales.own
    return values


def _create(work: Work) -> RiskAssessment:
    names = (*_TEXTS, "references", "every_days", "next_review_on", "owner", "scope", "matrix")
    stated = [name for name in names if getattr(work.paper, name) not in (None, "")]
    values = _values(work, stated)
    return RiskAssessment.objects.create(
        slug=work.paper.slug, created_on=moment(work.paper.created) or work.now, **values
    )


def _update(work: Work, assessment: RiskAssessment) -> RiskAssessment:
    values = _values(work, [change.field for change in work.found.plan.head])
    if values:
        for name, value in values.items():
            setattr(assessment, name, value)
        assessment.version += 1
        assessment.save(update_fields=[*values, "version"])
    return assessment


def _provide(work: Work, assessment: RiskAssessment) -> None:
    """Add gates and provisions that are not there, and give gates the dates that are stated."""
    there = {gate.name: gate for gate in assessment.gates.all()}
    for gate in work.paper.gates:
        row = there.get(gate.name) or ReviewGate(assessment=assessment, name=gate.name)
        if row.pk is None or (gate.due_on is not None and row.due_on != day(gate.due_on)):
            row.due_on = day(gate.due_on) if gate.due_on is not None else row.due_on
            row.save()
            there[gate.name] = row
    for name, kind in _KINDS.items():
        _add_provisions(assessment, kind, [(item.group, item.text) for item in getattr(work.paper, name)])


def _add_provisions(assessment: RiskAssessment, kind: Provision.Kind, stated: list[tuple[str, str]]) -> None:
    rows = list(assessment.provisions.filter(kind=kind))
    known = {(row.group, row.text) for row in rows}
    last: dict[str, int] = {}
    for row in rows:
        last[row.group] = max(last.get(row.group, 0), row.position)
    for group, text in dict.fromkeys(stated):
        if (group, text) not in known:
            last[group] = last.get(group, 0) + 1
            Provision.objects.create(assessment=assessment, kind=kind, group=group, text=text, position=last[group])
