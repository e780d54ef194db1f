"""Controls: kept by who keeps the register, attested by people on a cadence or checked by the system, linked to mitigations.

What a control says now is the latest result of its check, or the last attestation while that holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.core.validators import URLValidator
from django.db import IntegrityError, transaction

from apps.core.audit import said_by
from apps.core.decisions import Entry, record
from apps.core.models import User
from apps.core.notifications import News, notify_many
from apps.core.redaction import redact
from apps.register import evidence
from apps.register.binding import apply_changes, check_fields
from apps.register.differences import differences_since
from apps.register.models import Attestation, CheckResult, Control, Mitigation, Risk
from apps.register.refusals import ControlChanged, MissingInformation, NotAllowed, NotFound, WrongState
from apps.register.rights import LOG, Actor, demand, kept, may_attest, may_with_mitigation, said

ADD = "register.add_control"
CHANGE = "register.change_control"
EDITABLE = ("title", "description", "check_slug", "kind", "every_days", "owner_role", "owner", "active")
MACHINE, PERSON, FAILING, NOBODY = "machine", "person", "failing", "nobody"
Kind = Control.Kind
LONGEST_DAYS = 3660


@transaction.atomic
def add(*, slug: str, title: str, kind: str, actor: Actor, now: datetime, **fields: Any) -> Control:
    """Add a control.

    Args:
        fields: further fields, of :data:`EDITABLE`; ``check_slug`` for one that the system checks.

    Raises:
        NotAllowed, MissingInformation: nothing was done.
    """
    demand(actor, ADD)
    control = Control(slug=slug)
    apply_changes(control, {"title": said(title, "title", "What it shows.", 200), "kind": kind, **fields}, EDITABLE)
    check_fields(control, ("slug", "kind", "every_days"))
    _fits(control)
    try:
        with transaction.atomic(), said_by(actor, "Added."):
            control.save(force_insert=True)
    except IntegrityError:
        raise MissingInformation(fields={"slug": ["There is a control of this name."]}) from None
    return control


@transaction.atomic
def edit(
    *,
    control_id: int,
    changes: Mapping[str, Any],
    actor: Actor,
    now: datetime,
    reason: str,
    seen_version: int | None = None,
) -> Control:
    """Change a control. Nothing different, nothing done.

    Args:
        changes: new values by name, of :data:`EDITABLE`.
        seen_version: the version that the person looked at; None for a job, which looked at none.

    Raises:
        ControlChanged: there is a newer version; it tells what differs.
        NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    demand(actor, CHANGE)
    control = _locked(control_id)
    if seen_version is not None and control.version != seen_version:
        raise ControlChanged(control.version, differences_since(control, seen_version))
    changed = apply_changes(control, changes, EDITABLE)
    if not changed:
        return control
    reason = said(reason, "reason", "Why the control changes.")
    _fits(control)
    control.version += 1
    with said_by(actor, reason):
        control.save(update_fields=[*changed, "version"])
    return control


def _fits(control: Control) -> None:
    if not 1 <= control.every_days <= LONGEST_DAYS:
        raise MissingInformation(fields={"every_days": [f"From 1 to {LONGEST_DAYS} days."]})
    if (control.kind == Kind.CHECKED) != bool(control.check_slug):
        raise MissingInformation(fields={"check_slug": ["A checked control names its check, an attested one none."]})


@transaction.atomic
def link(*, control_id: int, mitigation_id: int, actor: Actor, reason: str = "") -> None:
    """Say that a control shows that a mitigation holds; said again, nothing more happens.

    Raises:
        NotFound, NotAllowed: nothing was done.
    """
    mitigation, control = _pair(control_id, mitigation_id, actor)
    with said_by(actor, kept(reason)):
        mitigation.controls.add(control)


@transaction.atomic
def unlink(*, control_id: int, mitigation_id: int, actor: Actor, reason: str) -> None:
    """Say that a control does not show that a mitigation holds.

    Raises:
        NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    mitigation, control = _pair(control_id, mitigation_id, actor)
    with said_by(actor, said(reason, "reason", "Why.")):
        mitigation.controls.remove(control)


def _pair(control_id: int, mitigation_id: int, actor: Actor) -> tuple[Mitigation, Control]:
    rows = Mitigation.objects.all() if isinstance(actor, str) else Mitigation.objects.visible_to(actor)
    mitigation = rows.select_related("risk", "assessment").filter(pk=mitigation_id).first()
    control = Control.objects.filter(pk=control_id).first()
    if mitigation is None or control is None:
        raise NotFound
    if not may_with_mitigation(actor, mitigation, "register.change_mitigation"):
        raise NotAllowed
    return mitigation, control


@transaction.atomic
def attest(
    *,
    control_id: int,
    outcome: str,
    statement: str,
    actor: User,
    now: datetime,
    link: str = "",
    file: File[Any] | None = None,
) -> Attestation:
    """Give one's word for a control, with evidence: a file or a link. It holds for the control's number of days.

    Args:
        outcome: pass, warn or fail.
        link: an http or https address.
        file: see :mod:`apps.register.evidence`.

    Raises:
        WrongState: the system checks this control, or it is not in use.
        EvidenceRefused, NotFound, NotAllowed, MissingInformation: nothing was done.
    """
    control = _locked(control_id)
    if not may_attest(actor, control):
        raise NotAllowed
    if control.kind != Kind.ATTESTED or not control.active:
        raise WrongState("This control is checked by the system, or not in use.")
    statement = said(statement, "statement", "What you saw.")
    if outcome not in Attestation.Outcome.values:
        raise MissingInformation(fields={"outcome": ["In place, partly, or not in place."]})
    link = _checked_link(link)
    if not link and file is None:
        raise MissingInformation(fields={"evidence_link": ["A link or a file that shows it."]})
    word = Attestation(
        control=control, outcome=outcome, statement=statement, evidence_link=link, attested_by=actor, attested_at=now,
        valid_until=now.date() + timedelta(days=control.every_days),
    )  # fmt: skip
    if file is not None:
        word.evidence_file.save(evidence.checked(file), file, save=False)
    word.save(force_insert=True)
    control.reminded_at = None
    control.save(update_fields=["reminded_at"])
    record(
        Entry(
            scope=LOG, actor=actor, action="control_attested", subject=f"control:{control.pk}", rationale=statement,
            evidence_url=f"/admin/register/control/{control.pk}/change/",
            payload={"outcome": outcome, "attestation": word.pk, "valid_until": word.valid_until.isoformat()},
        )
    )  # fmt: skip
    return word


def _checked_link(link: str) -> str:
    link = link.strip()
    if link:
        if not link.isprintable():
            raise MissingInformation(fields={"evidence_link": ["An http or https address."]})
        try:
            URLValidator(schemes=["http", "https"])(link)
        except ValidationError:
            raise MissingInformation(fields={"evidence_link": ["An http or https address."]}) from None
        if urlsplit(link).username is not None or redact(link, "contact").masked:
            raise MissingInformation(
                fields={"evidence_link": ["An address without a password or another secret in it."]}
            )
        if len(link) > 500:
            raise MissingInformation(fields={"evidence_link": ["At most 500 characters."]})
    return link


def _locked(control_id: int) -> Control:
    control: Control | None = (
        Control.objects.select_for_update(of=("self",), no_key=True)
        .select_related("owner")
        .filter(pk=control_id)
        .first()
    )
    if control is None:
        raise NotFound
    return control


@dataclass(frozen=True, slots=True)
class Word:
    """What a control says now.

    Attributes:
        outcome: pass, warn, fail or error; empty while nothing was said, or what was said no longer holds.
        words: what the check found, or what the person stated; why there is none.
        at: when it was said.
    """

    control: Control
    outcome: str
    words: str
    at: datetime | None

    @property
    def verifies(self) -> bool:
        """Whether somebody or something looked and found it in place, if only partly."""
        return self.outcome in (Attestation.Outcome.IN_PLACE, Attestation.Outcome.PARTLY)

    @property
    def fails(self) -> bool:
        """Whether somebody or something looked and found it missing; a check that could not look says neither."""
        return self.outcome == Attestation.Outcome.MISSING


@dataclass(frozen=True, slots=True)
class Line:
    """A mitigation with what its active controls say."""

    mitigation: Mitigation
    controls: tuple[Word, ...]

    @property
    def by(self) -> str:
        """How it is verified: by machine, by a person, or not at all. One control that fails and it is none of these:
        what is shown not to hold is not verified by what else was looked at.
        """
        if any(one.fails for one in self.controls):
            return FAILING
        kinds = {one.control.kind for one in self.controls if one.verifies}
        if Kind.CHECKED in kinds:
            return MACHINE
        return PERSON if kinds else NOBODY


@dataclass(frozen=True, slots=True)
class Verified:
    """How many of a risk's mitigations are verified how; dropped ones do not count.

    Attributes:
        failing: mitigations of which a control says that it fails.
        controls: how many controls fail, or could not be checked.
    """

    lines: tuple[Line, ...]
    machine: int
    person: int
    failing: int
    nobody: int
    controls: int

    @property
    def total(self) -> int:
        return self.machine + self.person + self.failing + self.nobody


def words_of(controls: Sequence[Control], now: datetime) -> dict[int, Word]:
    """What controls say now, by their keys; two statements for all of them."""
    slugs = [one.check_slug for one in controls if one.check_slug]
    results = {row.check_slug: row for row in CheckResult.objects.filter(latest=True, check_slug__in=slugs)}
    last = Attestation.objects.filter(control__in=controls).order_by("control_id", "-pk").distinct("control_id")
    attested = {row.control_id: row for row in last}
    return {one.pk: _word(one, results.get(one.check_slug), attested.get(one.pk), now) for one in controls}


def _word(control: Control, result: CheckResult | None, word: Attestation | None, now: datetime) -> Word:
    if control.kind == Kind.CHECKED:
        if result is None:
            return Word(control, "", "Has not run yet.", None)
        return Word(control, result.outcome, result.summary, result.checked_at)
    if word is None:
        return Word(control, "", "Nobody has attested it yet.", None)
    if word.valid_until < now.date():
        return Word(control, "", f"The attestation ended on {word.valid_until:%-d %b %Y}.", word.attested_at)
    return Word(control, word.outcome, word.statement, word.attested_at)


def verified(risk: Risk, *, now: datetime) -> Verified:
    """What shows that a risk's mitigations hold."""
    return verify(risk.mitigations.select_related("owner").prefetch_related("controls"), now=now)


def verify(mitigations: Iterable[Mitigation], *, now: datetime) -> Verified:
    """As :func:`verified`, of any mitigations."""
    rows = list(mitigations)
    controls = {one.pk: one for row in rows for one in row.controls.all() if one.active}
    words = words_of(list(controls.values()), now)
    lines = tuple(Line(row, tuple(words[one.pk] for one in row.controls.all() if one.pk in words)) for row in rows)
    counted = [line for line in lines if line.mitigation.status != Mitigation.Status.DROPPED]
    by = [line.by for line in counted]
    wrong = {one.control.pk for line in counted for one in line.controls if one.outcome in ("fail", "error")}
    machine, person, failing, nobody = (by.count(one) for one in (MACHINE, PERSON, FAILING, NOBODY))
    return Verified(lines, machine, person, failing, nobody, controls=len(wrong))


def remind(*, now: datetime) -> int:
    """Remind owners of attested controls 14 days before an attestation ends, on its day, and each week after.

    Returns:
        How many reminders had not been given before.
    """
    rows = Control.objects.filter(active=True, kind=Kind.ATTESTED, owner__isnull=False).select_related("owner")
    last = {
        row.control_id: row.valid_until
        for row in Attestation.objects.filter(control__in=rows).order_by("control_id", "-pk").distinct("control_id")
    }
    news = []
    for control in rows:
        until = last.get(control.pk)
        left = (until - now.date()).days if until else -1
        if left <= 14:
            step = "soon" if left > 0 else f"late:{-left // 7}" if until else f"never:{now.date().isocalendar()[:2]}"
            words = f"Its attestation ends on {until}." if until else "Nobody has attested it yet."
            url = f"/admin/register/control/{control.pk}/change/"
            assert control.owner is not None  # the query asked for one
            title = f"Please attest: {control.title}"
            news.append(News(control.owner, title, words, f"control:{control.pk}:{until}:{step}", url))
    return notify_many(kind="register", news=news)
