"""Controlled documents: drafts, approval by somebody else, one version in force, and the next review."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from apps.core.decisions import Entry, record
from apps.core.errors import DomainError
from apps.core.models import User
from apps.escalation import levels
from apps.escalation.binding import SCOPE, MissingInformation, NotAllowed, said
from apps.escalation.models import Document, DocumentVersion

DRAFT = "escalation.add_documentversion"
APPROVE = "escalation.approve_documentversion"
State = DocumentVersion.State
_MOST = 200_000


class VersionNotDraft(DomainError):
    """Only a draft can be approved."""

    code = "not_draft"
    message = "This version is not a draft any more."
    status = 409


class OwnDraft(DomainError):
    """Whoever wrote a version may not approve it."""

    code = "own_draft"
    message = "Somebody else than the author has to approve it."
    status = 403


FIRST = "1.0"


@transaction.atomic
def protocol(*, now: datetime) -> Document:
    """The risk management protocol. When it is not there, it is made with the delivered text as its first version, a draft
    that somebody has to approve."""
    facts = {
        "title": "Customer Support Risk Management Protocol",
        "owner": "Support Manager and Risk Manager",
        "review_every_days": 365,
    }
    document, created = Document.objects.get_or_create(slug=levels.SLUG, defaults=facts)
    if created:
        DocumentVersion.objects.create(
            document=document, number=FIRST, body=levels.delivered_text(), changes="The text and table as delivered.",
            data=levels.delivered_data(), major=True, created_at=now,
        )  # fmt: skip
    return document


@transaction.atomic
def draft(
    *,
    document: Document,
    number: str,
    body: str,
    changes: str,
    actor: User,
    now: datetime,
    data: Mapping[str, Any] | None = None,
    major: bool = False,
) -> DocumentVersion:
    """Write a new version, which waits for approval.

    Args:
        data: what the system reads; for the protocol it is checked now, so that nobody approves what cannot be read.
        major: people need training after it.

    Raises:
        NotAllowed: the person does not write versions.
        MissingInformation: something is missing, or the number is taken.
        InvalidProtocol: the protocol's table is not complete.
    """
    if not actor.is_active or not actor.has_perm(DRAFT):
        raise NotAllowed
    body, changes = said(body, "body", "The text.", _MOST), said(changes, "changes", "What changes, and why.")
    _check(document, data or {})
    version = DocumentVersion(
        document=document, number=said(number, "number", "Such as 1.1.", 12), body=body, changes=changes,
        data=dict(data or {}), major=major, author=actor, created_at=now,
    )  # fmt: skip
    try:
        with transaction.atomic():
            version.save(force_insert=True)
    except IntegrityError:
        raise MissingInformation(fields={"number": ["There is a version of this number."]}) from None
    record(_entry(version, actor, "document_drafted", changes))
    return version


@transaction.atomic
def approve(*, version_id: int, actor: User, now: datetime) -> DocumentVersion:
    """Bring a draft into force; the version before it is superseded, and the next review counts from now.

    Raises:
        NotAllowed, OwnDraft, VersionNotDraft, MissingInformation, InvalidProtocol: nothing was done.
    """
    if not actor.is_active or not actor.has_perm(APPROVE):
        raise NotAllowed
    known = DocumentVersion.objects.filter(pk=version_id).values_list("document", flat=True).first()
    if known is None:
        raise MissingInformation("There is no such version.")
    # The document's row is locked, so that two approvals come one after the other.
    document = Document.objects.select_for_update(no_key=True).get(pk=known)
    version: DocumentVersion = DocumentVersion.objects.select_for_update(of=("self",), no_key=True).get(pk=version_id)
    if version.state == State.APPROVED and version.approved_by == actor:
        return version
    if version.state != State.DRAFT:
        raise VersionNotDraft
    if version.author == actor:
        raise OwnDraft
    _check(document, version.data)
    for before in document.versions.filter(state=State.APPROVED):
        before.state = State.SUPERSEDED
        before.save(update_fields=["state"])
    version.state, version.approved_by, version.approved_at = State.APPROVED, actor, now
    version.save(update_fields=["state", "approved_by", "approved_at"])
    _reviewed(document, now.date())
    record(_entry(version, actor, "document_approved", version.changes))
    return version


@transaction.atomic
def reviewed(*, document: Document, actor: User, now: datetime, note: str = "") -> Document:
    """Say that a document was reviewed and still holds; the next review counts from today.

    Raises:
        NotAllowed: the person does not approve documents.
    """
    if not actor.is_active or not actor.has_perm(APPROVE):
        raise NotAllowed
    _reviewed(document, now.date())
    record(
        Entry(scope=SCOPE, actor=actor, action="document_reviewed", subject=f"document:{document.pk}", rationale=note)
    )
    return document


def overdue(today: date) -> list[Document]:
    """Documents whose review should have been held."""
    return list(Document.objects.filter(next_review_on__lt=today))


def _reviewed(document: Document, today: date) -> None:
    document.last_reviewed_on = today
    document.next_review_on = today + timedelta(days=document.review_every_days)
    document.save(update_fields=["last_reviewed_on", "next_review_on"])


def _check(document: Document, data: Mapping[str, Any]) -> None:
    if document.slug == levels.SLUG:
        levels.validate(data)


def _entry(version: DocumentVersion, actor: User, action: str, rationale: str) -> Entry:
    return Entry(
        scope=SCOPE,
        actor=actor,
        action=action,
        subject=f"document:{version.document_id}",
        rationale=rationale,
        evidence_url=f"/admin/escalation/document/{version.document_id}/change/",
        payload={"version": version.number, "major": version.major},
    )
