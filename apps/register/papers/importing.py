"""Uploads: a file becomes a preview, and a preview that was looked at is applied.

A foreign table waits for its mapping first; it is kept with its import until it is applied, so that the mapping can be
changed after the preview was seen.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from apps.core.audit import said_by
from apps.core.decisions import Entry, record, record_many
from apps.core.models import Scope, User
from apps.core.scope import may_work_in
from apps.register.delivered import ensure_controls
from apps.register.models import MatrixVersion, Risk, RiskAssessment, RiskImport
from apps.register.papers.apply import Writer
from apps.register.papers.foreign import Mapping, MappingNeeded, Suggestion, suggest
from apps.register.papers.guards import check
from apps.register.papers.plan import CHANGED, NEW, Comparison, compare
from apps.register.papers.reading import read
from apps.register.papers.refusals import ImportClosed, RegisterChanged
from apps.register.papers.register import matrix_name
from apps.register.papers.rows import rows
from apps.register.papers.shapes import Paper, Unread, from_json
from apps.register.papers.work import Progress, Work
from apps.register.querysets import EDIT_ANY
from apps.register.refusals import NotAllowed
from apps.register.rights import LOG, Actor, demand, person

ADD = "register.add_riskimport"
State = RiskImport.State


def preview(
    *,
    name: str,
    data: bytes,
    actor: Actor,
    now: datetime,
    mapping: dict[str, Any] | None = None,
    slug: str = "",
) -> RiskImport:
    """Read a file and keep what it would do. Nothing else is written.

    Args:
        slug: of the assessment, if it is not the one that the document names.

    Raises:
        BadPaper: if the file cannot be read; nothing was written.
        MappingNeeded: if it is a foreign table without a mapping.
        NotAllowed: if the role does not include it, or the assessment is not in sight.
    """
    _demand(actor)
    paper = read(name, data, mapping)
    return _keep(_new(name, data, actor, now), replace(paper, slug=slug or paper.slug), actor, data, mapping)


def upload(*, name: str, data: bytes, actor: Actor, now: datetime, slug: str = "") -> RiskImport:
    """As :func:`preview`; a foreign table is kept until it is told what its columns are, see :func:`waits`.

    Raises:
        BadPaper, NotAllowed: nothing was written.
    """
    try:
        return preview(name=name, data=data, actor=actor, now=now, slug=slug)
    except MappingNeeded as needed:
        row = _new(name, data, actor, now)
        row.shape, row.plan, row.register_version = check(name, data).kind, {}, ""
        row.mapping = needed.suggestion.mapping.as_json()
        row.document = {"table": base64.b64encode(data).decode(), "slug": slug}
        row.save()
        return row


def waits(row: RiskImport) -> bool:
    """Whether an import waits for its mapping."""
    return not row.register_version


def has_mapping(row: RiskImport) -> bool:
    """Whether it is a foreign table that can still be mapped another way."""
    return "table" in row.document and row.state == State.PREVIEW


def suggestion(row: RiskImport, *, sheet: str = "", matrix: MatrixVersion | None = None) -> Suggestion:
    """The mapping that was given for it, and what its table's words suggest for the rest.

    Args:
        sheet, matrix: others than those of the mapping that was given.
    """
    said = Mapping.of(row.mapping)
    if matrix is None and not waits(row):
        matrix = next((one for one in newest_matrices() if matrix_name(one) == said.matrix), None)
    return suggest(list(rows(check(row.file_name, _table(row)))), sheet or said.sheet, matrix, said)


def newest_matrices() -> list[MatrixVersion]:
    """The versions in force, one of each matrix."""
    rows_ = MatrixVersion.objects.select_related("matrix").order_by("matrix__title", "matrix_id", "-number")
    return list(rows_.distinct("matrix__title", "matrix_id"))


def remap(*, import_id: int, mapping: dict[str, Any], actor: Actor) -> RiskImport:
    """Read a foreign table by a mapping.

    Raises:
        BadPaper: if the mapping does not fit.
        ImportClosed: if the import is done or discarded.
    """
    _demand(actor)
    row = RiskImport.objects.get(pk=import_id)
    if not has_mapping(row):
        raise ImportClosed
    data = _table(row)
    paper = read(row.file_name, data, mapping)
    return _keep(row, replace(paper, slug=row.document.get("slug") or paper.slug), actor, data, mapping)


def _table(row: RiskImport) -> bytes:
    return base64.b64decode(row.document["table"])


def _new(name: str, data: bytes, actor: Actor, now: datetime) -> RiskImport:
    digest = hashlib.sha256(data).hexdigest()
    return RiskImport(file_name=name[-255:], digest=digest, uploaded_by=person(actor), uploaded_at=now)


def _keep(row: RiskImport, paper: Paper, actor: Actor, data: bytes, mapping: dict[str, Any] | None) -> RiskImport:
    row.assessment = _assessment(paper, actor)
    row.shape, row.mapping = paper.shape, mapping or {}
    row.document = paper.as_json() | ({"table": base64.b64encode(data).decode()} if mapping else {})
    _note(row, paper, compare(paper, row.assessment))
    row.save()
    return row


def _demand(actor: Actor) -> None:
    for permission in (ADD, "register.add_risk", EDIT_ANY):
        demand(actor, permission)


def _assessment(paper: Paper, actor: Actor) -> RiskAssessment | None:
    """The assessment that is there already.

    Raises:
        NotAllowed: it, or the scope that the document names, is not in this person's sight.
    """
    found = RiskAssessment.objects.filter(slug=paper.slug).select_related("scope", "owner", "matrix__matrix").first()
    if isinstance(actor, User):
        scopes = [found.scope if found else None, Scope.objects.filter(slug=paper.scope or "").first()]
        if not all(may_work_in(actor, scope) for scope in scopes):
            raise NotAllowed
    return found


def _note(row: RiskImport, paper: Paper, found: Comparison) -> None:
    row.plan = found.plan.as_json()
    row.not_understood = [_plain(item) for item in (*paper.not_understood, *found.plan.notes)]
    row.register_version = found.plan.version


def _plain(item: Unread) -> dict[str, Any]:
    return {"line": item.line, "text": item.text, "why": item.why}


def refresh(row: RiskImport, actor: Actor) -> RiskImport:
    """Compare a preview's document again with the register as it is now."""
    paper = from_json(row.document)
    row.assessment = _assessment(paper, actor)
    _note(row, paper, compare(paper, row.assessment))
    row.save(update_fields=["assessment", "plan", "not_understood", "register_version"])
    return row


@transaction.atomic
def apply(
    *, import_id: int, seen: str, actor: Actor, now: datetime, progress: Progress = lambda done, total: None
) -> RiskImport:
    """Do what a preview showed. A second call for the same preview changes nothing.

    Args:
        seen: the ``register_version`` of the preview that was looked at.
        progress: called with risks written so far, and of how many.

    Raises:
        RegisterChanged: if the register is not as it was; the preview is to be made anew, see :func:`refresh`.
        ImportClosed: if the preview was discarded, or waits for its mapping.
        NotAllowed: if the role does not include it, or the assessment is not in sight.
    """
    _demand(actor)
    row = RiskImport.objects.select_for_update(of=("self",)).get(pk=import_id)
    if row.state == State.APPLIED:
        return row
    if row.state == State.DISCARDED or waits(row):
        raise ImportClosed
    paper = from_json(row.document)
    _lock(paper.slug)
    found = compare(paper, _assessment(paper, actor))
    if found.plan.version != seen:
        raise RegisterChanged
    writer = Writer(Work.of(found, actor=actor, now=now, reason=f"As in {row.file_name}.", progress=progress))
    with said_by(actor, f"Import of {row.file_name}"):
        row.assessment = writer.write(RiskAssessment.objects.filter(slug=paper.slug).first())
        ensure_controls()
    row.state, row.applied_at = State.APPLIED, now
    row.document.pop("table", None)
    _note(row, paper, found)
    row.save()
    _record(row, found, writer, actor)
    return row


def _lock(slug: str) -> None:
    """Imports of one assessment come one after the other, and its risks wait; the locks end with the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"register import {slug}"])
    # Evaluated for its locks: what is compared next is what is changed.
    list(Risk.objects.select_for_update(no_key=True).filter(assessment__slug=slug).order_by("pk").values_list("pk"))


def _record(row: RiskImport, found: Comparison, writer: Writer, actor: Actor) -> None:
    """One decision for the import, and one for each risk that it made or changed."""
    assert row.assessment is not None
    label = f"risk_import:{row.pk}"
    record_many(
        Entry(
            scope=LOG,
            actor=actor,
            action="risk_imported",
            subject=f"risk:{writer.keys[risk.index]}",
            rationale=f"Import of {row.file_name}",
            payload={"import": label, "label": risk.label, "fields": [change.field for change in risk.changes]},
        )
        for risk in found.plan.risks
        if risk.label in (NEW, CHANGED) and risk.index is not None
    )
    counts = found.plan.counts() | {"not_understood": len(row.not_understood)}
    record(
        Entry(
            scope=LOG,
            actor=actor,
            action="imported",
            subject=f"risk_assessment:{row.assessment.pk}",
            rationale=f"Import of {row.file_name}",
            payload={"import": label, "digest": row.digest, "shape": row.shape, **counts},
        )
    )


def discard(*, import_id: int, actor: Actor) -> None:
    """Lay a preview aside; it cannot be applied any more.

    Raises:
        NotAllowed: the role does not include it.
    """
    _demand(actor)
    RiskImport.objects.filter(pk=import_id, state=State.PREVIEW).update(state=State.DISCARDED)
