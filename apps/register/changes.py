"""What changed in the register between two moments, read from what is kept anyway: scores, the audit log, attestations,
results of checks.

The trail of one thing, back to its beginning, is told by :mod:`apps.register.trail`; here many risks are asked about at
once, in a number of statements that does not grow with them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q, QuerySet

from apps.register.differences import label, named, shown
from apps.register.models import (
    Acceptance,
    Attestation,
    CheckResult,
    Mitigation,
    Rating,
    RegisterReview,
    Risk,
    RiskAssessment,
)

NEW, SCORE, FIELD, MITIGATION, CONTROL, ACCEPTANCE = "new", "score", "field", "mitigation", "control", "acceptance"
_QUIET = frozenset({"version", "severity", "next_review_on", "seen", "digest", "warned_at", "id", "risk", "position"})


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed.

    Attributes:
        kind: new, score, field, mitigation, control or acceptance.
        risk: key of the risk; None for what belongs to the assessment itself.
        who: a person's name, or what did it.
        what: what changed, in words.
        before, after: both values as words; ``before`` is empty where something is new.
        why: the reason that was given.
    """

    at: datetime
    kind: str
    risk: int | None
    who: str
    what: str
    before: str = ""
    after: str = ""
    why: str = ""

    def __str__(self) -> str:
        if self.before:
            return f"{self.what}: {self.before} became {self.after or 'empty'}"
        return f"{self.what}: {self.after}" if self.after else self.what


def since_last_review(assessment: RiskAssessment, *, until: datetime) -> list[Change]:
    """What changed in an assessment since its last completed review, or since it was made if there was none."""
    return of_assessment(assessment, since=last_review(assessment) or assessment.created_on, until=until)


def last_review(assessment: RiskAssessment) -> datetime | None:
    """When the last review of an assessment was completed."""
    done = assessment.reviews.filter(status=RegisterReview.Status.COMPLETED)
    found: datetime | None = done.order_by("-completed_at").values_list("completed_at", flat=True).first()
    return found


def of_assessment(assessment: RiskAssessment, *, since: datetime, until: datetime) -> list[Change]:
    """What changed in an assessment and its risks after one moment and not after another, in the order of time."""
    own = _fields([assessment], since, until, FIELD, {assessment.pk: None}, "Assessment")
    actions = list(assessment.mitigations.filter(risk=None))
    found = [*own, *_mitigations(actions, since, until), *_risks(assessment.risks.all(), since, until)]
    return sorted(found, key=lambda one: one.at)


def of_risks(risks: QuerySet[Risk], *, since: datetime, until: datetime) -> list[Change]:
    """What changed about risks after one moment and not after another, in the order of time."""
    return sorted(_risks(risks, since, until), key=lambda one: one.at)


def _risks(risks: QuerySet[Risk], since: datetime, until: datetime) -> Iterator[Change]:
    rows = list(risks.select_related("recorded_by"))
    for row in rows:
        if since < row.recorded_at <= until:
            yield Change(row.recorded_at, NEW, row.pk, _who(row.recorded_by), "New risk", after=row.title)
    keys = {row.pk: row.pk for row in rows}
    yield from _scores(keys, since, until)
    yield from _fields(rows, since, until, FIELD, keys, "")
    mitigations = list(Mitigation.objects.filter(risk__in=keys))
    yield from _mitigations(mitigations, since, until)
    yield from _controls(mitigations, since, until)
    held = list(Acceptance.objects.filter(risk__in=keys))
    yield from _fields(held, since, until, ACCEPTANCE, {one.pk: one.risk_id for one in held}, "Acceptance")


def _scores(risks: Collection[int], since: datetime, until: datetime) -> Iterator[Change]:
    """Each score, with the one of its kind that it followed, which may be older."""
    before: dict[tuple[int, str], str] = {}
    rows = Rating.objects.filter(risk__in=risks, rated_at__lte=until).select_related("rated_by").order_by("pk")
    for row in rows:
        key = (row.risk_id, row.kind)
        if row.rated_at > since:
            what = f"{row.kind.capitalize()} score"
            yield Change(
                row.rated_at, SCORE, row.risk_id, _who(row.rated_by), what, before.get(key, ""), row.level, row.reason
            )
        before[key] = row.level


def _mitigations(rows: list[Mitigation], since: datetime, until: datetime) -> Iterator[Change]:
    yield from _fields(rows, since, until, MITIGATION, {row.pk: row.risk_id for row in rows}, "Mitigation")


def _fields(
    rows: Iterable[Model], since: datetime, until: datetime, kind: str, risks: Mapping[int, int | None], called: str
) -> Iterator[Change]:
    """What the audit log has of rows of one model."""
    known = {row.pk: row for row in rows}
    if not known:
        return
    model = type(next(iter(known.values())))
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(model), object_id__in=known, timestamp__gt=since,
        timestamp__lte=until,
    ).select_related("actor").order_by("timestamp", "pk")  # fmt: skip
    for entry in entries:
        row = known[entry.object_id]
        thing = f"{called} “{str(row)[:80]}”" if called else ""
        if entry.action == LogEntry.Action.CREATE and called:
            yield Change(entry.timestamp, kind, risks[row.pk], _by(entry), f"{thing} added", why=_why(entry))
        if entry.action == LogEntry.Action.UPDATE:
            yield from _values(entry, row, kind, risks[row.pk], thing)


def _values(entry: LogEntry, row: Model, kind: str, risk: int | None, thing: str) -> Iterator[Change]:
    for name, values in (entry.changes or {}).items():
        if name in _QUIET:
            continue
        what = f"{thing}: {label(row, name)}" if thing else label(row, name)
        if isinstance(values, list):
            before, after = (shown(row, name, one) for one in values)
        else:  # a relation to many rows
            objects = ", ".join(values.get("objects", []))
            before, after = ("", objects) if values.get("operation") == "add" else (objects, "")
        yield Change(entry.timestamp, kind, risk, _by(entry), what, before, after, _why(entry))


def _controls(mitigations: list[Mitigation], since: datetime, until: datetime) -> Iterator[Change]:
    """Words given for the controls of mitigations, and checks whose outcome became another one."""
    through = Mitigation.controls.through.objects.filter(mitigation__in=mitigations).order_by("pk")
    owners = {row.pk: row.risk_id for row in mitigations}
    risks: dict[int, int | None] = {}
    slugs: dict[str, tuple[str, int | None]] = {}
    for pair in through.select_related("control"):
        risk = owners[pair.mitigation_id]
        risks.setdefault(pair.control_id, risk)
        if pair.control.check_slug:
            slugs.setdefault(pair.control.check_slug, (pair.control.title, risk))
    words = Attestation.objects.filter(control__in=risks, attested_at__gt=since, attested_at__lte=until)
    for word in words.select_related("control", "attested_by"):
        what = f"Control “{word.control.title}” attested"
        outcome = word.get_outcome_display()
        yield Change(
            word.attested_at, CONTROL, risks[word.control_id], _who(word.attested_by), what, "", outcome, word.statement
        )
    yield from _turns(slugs, since, until)


def _turns(slugs: Mapping[str, tuple[str, int | None]], since: datetime, until: datetime) -> Iterator[Change]:
    turned = Q(since__gt=since, since__lte=until)
    rows = CheckResult.objects.filter(turned, check_slug__in=slugs).order_by("check_slug", "since", "pk")
    for row in rows.distinct("check_slug", "since"):
        title, risk = slugs[row.check_slug]
        what = f"Control “{title}” checked"
        yield Change(row.since, CONTROL, risk, "Riskdesk", what, "", row.get_outcome_display(), row.summary)


def _who(person: object | None) -> str:
    return named(person) if person is not None else "Riskdesk"


def _by(entry: LogEntry) -> str:
    return _who(entry.actor) if entry.actor else str(_told(entry).get("by") or "Riskdesk")


def _why(entry: LogEntry) -> str:
    return str(_told(entry).get("reason", ""))


def _told(entry: LogEntry) -> dict[str, Any]:
    return entry.additional_data if isinstance(entry.additional_data, dict) else {}
