"""Uploads: a file becomes a preview, and a preview that was looked at is applied."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

from auditlog.context import set_actor
from django.db import connection, transaction

from apps.core.decisions import Entry, record, record_many
from apps.core.models import User
from apps.register.models import RiskAssessment, RiskImport
from apps.register.papers.apply import Writer
from apps.register.papers.plan import CHANGED, NEW, Comparison, compare
from apps.register.papers.reading import read
from apps.register.papers.refusals import ImportClosed, RegisterChanged
from apps.register.papers.shapes import Paper, Unread, from_json
from apps.register.papers.work import Progress, Work


def preview(
    *,
    name: str,
    data: bytes,
    actor: User | None,
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
    """
    paper = read(name, data, mapping)
    if slug:
        paper = replace(paper, slug=slug)
    assessment = RiskAssessment.objects.filter(slug=paper.slug).first()
    found = compare(paper, assessment)
    return RiskImport.objects.create(
        file_name=name[-255:],
        digest=hashlib.sha256(data).hexdigest(),
        shape=paper.shape,
        mapping=mapping or {},
        assessment=assessment,
        document=paper.as_json(),
        uploaded_by=actor,
        uploaded_at=now,
        **_seen(paper, found),
    )


def _seen(paper: Paper, found: Comparison) -> dict[str, Any]:
    unread = (*paper.not_understood, *found.plan.notes)
    return {
        "plan": found.plan.as_json(),
        "not_understood": [_plain(item) for item in unread],
        "register_version": found.plan.version,
    }


def _plain(item: Unread) -> dict[str, Any]:
    return {"line": item.line, "text": item.text, "why": item.why}


def refresh(row: RiskImport) -> RiskImport:
    """Compare a preview's document again with the register as it is now."""
    paper = from_json(row.document)
    row.assessment = RiskAssessment.objects.filter(slug=paper.slug).first()
    for name, value in _seen(paper, compare(paper, row.assessment)).items():
        setattr(row, name, value)
    row.save(update_fields=["assessment", "plan", "not_understood", "register_version"])
    return row


@transaction.atomic
def apply(
    *, import_id: int, seen: str, actor: User | str, now: datetime, progress: Progress = lambda done, total: None
) -> RiskImport:
    """Do what a preview showed. A second call for the same preview changes nothing.

    Args:
        seen: the ``register_version`` of the preview that was looked at.
        progress: called with risks written so far, and of how many.

    Raises:
        RegisterChanged: if the register is not as it was; the preview is to be made anew, see :func:`refresh`.
        ImportClosed: if the preview was discarded.
    """
    row = RiskImport.objects.select_for_update().get(pk=import_id)
    if row.state == RiskImport.State.APPLIED:
        return row
    if row.state == RiskImport.State.DISCARDED:
        raise ImportClosed
    paper = from_json(row.document)
    _lock(paper.slug)
    assessment = RiskAssessment.objects.select_for_update(no_key=True).filter(slug=paper.slug).first()
    found = compare(paper, assessment)
    if found.plan.version != seen:
        raise RegisterChanged
    person = actor if isinstance(actor, User) else None
    work = Work.of(found, actor=person, now=now, reason=f"As in {row.file_name}.", progress=progress)
    writer = Writer(work)
    with set_actor(person) if person else nullcontext():
        row.assessment = writer.write(assessment)
    row.state, row.applied_at = RiskImport.State.APPLIED, now
    for name, value in _seen(paper, found).items():
        setattr(row, name, value)
    row.save()
    _record(row, found, writer, actor)
    return row


def _lock(slug: str) -> None:
    """Imports of one assessment come one after the other; the lock ends with the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"register import {slug}"])


def _record(row: RiskImport, found: Comparison, writer: Writer, actor: User | str) -> None:
    """One decision for the import, and one for each risk that it made or changed."""
    assert row.assessment is not None
    label = f"risk_import:{row.pk}"
    record_many(
        Entry(
            scope="register",
            actor=actor,
            action="risk_imported",
            subject=f"risk:{writer.keys[risk.index]}",
            rationale=f"Import of {row.file_name}",
            payload={"import": label, "label": risk.label, "fields": [change.field for change in risk.changes]},
        )
        for risk in found.plan.risks
        if risk.label in (NEW, CHANGED) and risk.index is not None
    )
    record(
        Entry(
            scope="register",
            actor=actor,
            action="imported",
            subject=f"risk_assessment:{row.assessment.pk}",
            rationale=f"Import of {row.file_name}",
            payload={
                "import": label, "digest": row.digest, "shape": row.shape, **found.plan.counts(),
                "not_understood": len(row.not_understood),
            },
        )
    )  # fmt: skip


def discard(*, import_id: int) -> None:
    """Lay a preview aside; it cannot be applied any more."""
    RiskImport.objects.filter(pk=import_id, state=RiskImport.State.PREVIEW).update(state=RiskImport.State.DISCARDED)
