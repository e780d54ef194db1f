"""Document control of assessments: versions are submitted, approved by somebody else, and compared.

A version holds the whole assessment with its risks, as it is exported. An approval is bound to what was submitted: when the
register says something else meanwhile, it is refused with what differs, and a new version is submitted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.core.audit import said_by
from apps.core.decisions import record
from apps.core.models import User
from apps.core.notifications import notify
from apps.core.roles import Role, people_with
from apps.register.assessments import entry, locked
from apps.register.models import AssessmentVersion, RiskAssessment
from apps.register.papers.register import head_of, held
from apps.register.refusals import Difference, MissingInformation, NotFound, OwnRequest, VersionOutdated, WrongState
from apps.register.rights import kept, said

SUBMIT = "register.add_assessmentversion"
APPROVE = "register.approve_riskassessment"
State = AssessmentVersion.State
# When something is reviewed next follows from reviews, which change nothing that was approved.
_FOLLOWS = frozenset({"next_review_on", "line", "shape", "not_understood"})
_KEYS = {"risks": "reference", "mitigations": "title", "actions": "title", "scores": "kind", "gates": "name"}
_LONGEST = 200


def content_of(assessment: RiskAssessment) -> dict[str, Any]:
    """The whole assessment with its risks as plain data."""
    paper = replace(head_of(assessment), risks=tuple(one.paper for one in held(assessment)))
    found: dict[str, Any] = json.loads(json.dumps(paper.as_json()))
    return found


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of a content, as hexadecimal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@transaction.atomic
def submit(*, assessment_id: int, seen_version: int, changes: str, actor: User, now: datetime) -> AssessmentVersion:
    """Submit the assessment as it is now for approval; a version that still waited is superseded. Approvers are told.

    Args:
        seen_version: of the assessment, as the person looked at it.
        changes: what changed since the version before, in words.

    Raises:
        AssessmentChanged, NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    row = locked(assessment_id, actor, SUBMIT, seen_version)
    changes = said(changes, "changes", "What changed since the version before.")
    content = content_of(row)
    last = row.versions.order_by("-number").first()
    if last is not None and last.state != State.SUPERSEDED and not compare(last.content, content):
        if last.state == State.DRAFT and last.author == actor:
            return last
        raise MissingInformation(fields={"changes": [f"Nothing is different from version {last.number}."]})
    with said_by(actor, changes):
        for draft in row.versions.filter(state=State.DRAFT):
            draft.state = State.SUPERSEDED
            draft.save(update_fields=["state"])
        version = AssessmentVersion.objects.create(
            assessment=row, number=last.number + 1 if last else 1, content=content, digest=digest(content),
            changes=changes, author=actor, created_at=now,
        )  # fmt: skip
    _tell(version, [one for one in people_with(Role.RISK_MANAGER) if one != actor], "waits for approval", changes)
    record(entry(row, actor, "assessment_submitted", changes, number=version.number, digest=version.digest))
    return version


@transaction.atomic
def approve(
    *, version_id: int, actor: User, now: datetime, reason: str = "", seen_digest: str = ""
) -> AssessmentVersion:
    """Approve a version; the one before is superseded. Approved again by the same person, nothing more happens.

    Args:
        seen_digest: of the version on the page that the person decided on, if a page says it.

    Raises:
        VersionOutdated: the register says something else meanwhile; it tells the difference.
        OwnRequest: the person submitted it.
        NotFound, NotAllowed, WrongState: nothing was done.
    """
    known = AssessmentVersion.objects.filter(pk=version_id).values_list("assessment", flat=True).first()
    if known is None:
        raise NotFound
    # The assessment's row is locked, so that two approvals come one after the other.
    row = locked(known, actor, APPROVE)
    version: AssessmentVersion = AssessmentVersion.objects.select_for_update(of=("self",)).get(pk=version_id)
    if version.state == State.APPROVED and version.approved_by == actor:
        return version
    if version.state != State.DRAFT:
        raise WrongState(f"This version is not waiting any more: {version.get_state_display()}.")
    if version.author == actor:
        raise OwnRequest
    found = compare(version.content, content_of(row))
    if found or seen_digest not in ("", version.digest):
        raise VersionOutdated(row.version, found)
    reason = kept(reason)
    with said_by(actor, reason):
        for before in row.versions.filter(state=State.APPROVED):
            before.state = State.SUPERSEDED
            before.save(update_fields=["state"])
        version.state, version.approved_by, version.approved_at = State.APPROVED, actor, now
        version.save(update_fields=["state", "approved_by", "approved_at"])
    if version.author is not None:
        _tell(version, [version.author], "approved", reason)
    record(
        entry(
            row, actor, "assessment_approved", reason or version.changes, number=version.number, digest=version.digest
        )
    )
    return version


def diff(version: AssessmentVersion) -> list[Difference]:
    """What a version changes of the one before it that was approved; nothing if it is the first."""
    before = version.assessment.versions.filter(number__lt=version.number).exclude(approved_at=None).first()
    return compare(before.content, version.content) if before else []


def diff_to_now(version: AssessmentVersion) -> list[Difference]:
    """How the register differs now from a version."""
    return compare(version.content, content_of(version.assessment))


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """How two contents differ, in the order in which an assessment is read."""
    return list(_compared("", before, after))


def _compared(where: str, before: Any, after: Any) -> Iterator[Difference]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*before, *(name for name in after if name not in before)]:
            if name not in _FOLLOWS:
                yield from _field(where, name, before.get(name), after.get(name))
        return
    yield Difference(where, _words(before), _words(after))


def _field(where: str, name: str, before: Any, after: Any) -> Iterator[Difference]:
    if name in _KEYS:
        ones, others = _keyed(before or [], _KEYS[name]), _keyed(after or [], _KEYS[name])
        for key in [*ones, *(key for key in others if key not in ones)]:
            path = _path(where, _called(key, others.get(key) or ones[key]))
            if key not in others:
                yield Difference(path, "there", "gone")
            elif key not in ones:
                yield Difference(path, "", "new")
            else:
                yield from _compared(path, ones[key], others[key])
        return
    yield from _compared(_path(where, name.replace("_", " ")), before or None, after or None)


def _keyed(rows: list[Mapping[str, Any]], key: str) -> dict[str, Mapping[str, Any]]:
    """Rows by what tells them apart; where it is there twice, with a number."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        name = label = str(row.get(key) or row.get("key", ""))
        number = 1
        while label in found:
            number += 1
            label = f"{name} ({number})"
        found[label] = row
    return found


def _called(key: str, row: Mapping[str, Any]) -> str:
    """How a row is called: a risk by its reference and title, anything else by what tells it apart."""
    return f"{key} {row['title']}" if "reference" in row else key


def _path(where: str, name: str) -> str:
    return f"{where}, {name[:_LONGEST]}" if where else name[:_LONGEST]


def _words(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    return text[:_LONGEST]


def _tell(version: AssessmentVersion, people: list[User], news: str, body: str) -> None:
    row = version.assessment
    notify(
        kind="register",
        recipients=people,
        title=f"Version {version.number} {news}: {row.title}",
        body=body,
        url=f"/admin/register/riskassessment/{row.pk}/change/",
        dedupe_key=f"assessment_version:{version.pk}:{news}",
    )
