"""Incidents: the response procedure as a record, its messages, and what is learnt from it.

An incident goes from the initial assessment by containment and resolution to resolved, one stage at a time, and is closed
when its review has been held and every change that the review proposed is decided. Its timeline is append-only. Each write
is bound to the version that the person saw.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from apps.core.decisions import Entry, record
from apps.core.errors import DomainError
from apps.core.home import address
from apps.core.models import Scope, User
from apps.core.notifications import notify
from apps.core.roles import Role, people_with
from apps.core.scope import may_work_in
from apps.register.models import CommunicationTemplate, Incident, IncidentEvent, PostIncidentReview, Risk
from apps.register.rights import kept

Stage, Kind = Incident.Stage, IncidentEvent.Kind
HANDLE = "register.change_incident"
OPEN = "register.add_incident"
NEXT = {Stage.ASSESSMENT: Stage.CONTAINMENT, Stage.CONTAINMENT: Stage.RESOLUTION, Stage.RESOLUTION: Stage.RESOLVED}
TARGET = re.compile(r"[a-z_]{1,40}:[0-9]{1,18}")
PLACE = re.compile(r"\{(reference|title|stage|summary|next_update)\}")
MAX_TEXT = 10_000


class IncidentNotFound(DomainError):
    """There is no such incident, or it is outside the person's scope; which of the two is not told."""

    code = "not_found"
    message = "There is no such incident."
    status = 404


class NotYours(DomainError):
    """The person's role does not include this."""

    code = "not_allowed"
    message = "Your role does not include this."
    status = 403


class IncidentChanged(DomainError):
    """The incident is not what the person looked at. ``version`` is the incident's now."""

    code = "incident_changed"
    message = "The incident changed since you looked at it."
    status = 409

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__()


class NotInThisStage(DomainError):
    """The incident is in a stage in which this makes no sense."""

    code = "not_in_this_stage"
    message = "The incident is in a stage in which this is not possible."
    status = 409


class IncompleteIncident(DomainError):
    """Something that this needs was not said; ``fields`` tells what."""

    code = "missing_information"
    message = "Something is missing."
    status = 422


@transaction.atomic
def open_incident(
    *,
    title: str,
    description: str,
    severity: int,
    started_at: datetime,
    actor: User,
    now: datetime,
    scope: Scope | None = None,
    lead: User | None = None,
    risks: Iterable[Risk] = (),
    links: Sequence[str] = (),
) -> Incident:
    """Open an incident and tell risk management; the initial assessment begins.

    Args:
        severity: 1 (Minimal) to 5 (Critical).
        started_at: when it began to do harm, as far as known.
        links: flags, cards and tickets, such as ``risk_flag:4``.

    Raises:
        NotYours: the person opens no incidents, or does not work in the scope.
        IncompleteIncident: title or description is missing, or the severity, a time or a link is none.
    """
    title = kept(title)
    if not actor.has_perm(OPEN) or not may_work_in(actor, scope):
        raise NotYours
    _check_facts(title, severity, started_at, now, links)
    incident = Incident.objects.create(
        reference=_next_reference(), title=title, description=said(description, "description", "Describe it."),
        severity=severity, scope=scope, lead=lead or actor, started_at=started_at, opened_at=now, opened_by=actor,
        links=list(dict.fromkeys(links)),
    )  # fmt: skip
    incident.risks.set(_seen(risks, actor))
    write_event(incident, Kind.STAGE, actor, now, f"{Stage.ASSESSMENT.label} begins.", stage=Stage.ASSESSMENT)
    notify(
        kind="incidents", recipients=[one for one in people_with(Role.RISK_MANAGER) if one.pk != actor.pk],
        title=f"Incident {incident.reference}: {incident.title}", body=incident.description,
        url=address("admin:register_incident_change", incident.pk), dedupe_key=f"incident:{incident.pk}",
        urgent=severity >= 4,
    )  # fmt: skip
    _record(incident, actor, "incident_opened", incident.description, severity=severity)
    return incident


def _check_facts(title: str, severity: int, started_at: datetime, now: datetime, links: Sequence[str]) -> None:
    if not 0 < len(title) <= 200:
        raise IncompleteIncident(fields={"title": ["Say what happened, in at most 200 characters."]})
    if not 1 <= severity <= 5:
        raise IncompleteIncident(fields={"severity": ["From 1 (Minimal) to 5 (Critical)."]})
    if started_at > now:
        raise IncompleteIncident(fields={"started_at": ["It cannot have begun in the future."]})
    if wrong := [one for one in links if not TARGET.fullmatch(one)]:
        raise IncompleteIncident(fields={"links": [f"{wrong[0]!r} is not like risk_flag:4."]})


@transaction.atomic
def advance(*, incident_id: int, seen_version: int, text: str, actor: User, now: datetime) -> Incident:
    """Go on to the next stage; past resolution the incident is resolved, and its review is to be held.

    Args:
        text: what was found or done in the stage that ends.

    Raises:
        IncidentNotFound, NotYours, IncidentChanged: it is not there, not the person's, or not what was seen.
        NotInThisStage: there is no next stage.
        IncompleteIncident: the text is missing.
    """
    incident = locked(incident_id, actor, seen_version)
    text = said(text, "text", "Say what was found or done.")
    before = Stage(incident.stage)
    if before not in NEXT:
        raise NotInThisStage
    incident.stage = NEXT[before]
    if incident.stage == Stage.RESOLVED:
        incident.resolved_at = now
    write_event(incident, Kind.STAGE, actor, now, text, before=before, stage=incident.stage)
    _keep(incident, ["stage", "resolved_at"])
    _record(incident, actor, "incident_stage", text, before=before, stage=incident.stage)
    return incident


@transaction.atomic
def add_entry(
    *, incident_id: int, kind: str, text: str, actor: User, now: datetime, happened_at: datetime | None = None
) -> IncidentEvent:
    """Add an action or a finding to the timeline; also what happened earlier and was noted late.

    Raises:
        IncidentNotFound, NotYours: it is not there, or not the person's.
        IncompleteIncident: the text is missing, the kind is none of both, or the time is in the future.
    """
    incident = locked(incident_id, actor, None)
    if kind not in (Kind.ACTION, Kind.FINDING):
        raise IncompleteIncident(fields={"kind": ["An action or a finding."]})
    if happened_at and happened_at > now:
        raise IncompleteIncident(fields={"happened_at": ["It cannot have happened in the future."]})
    event = write_event(
        incident, Kind(kind), actor, now, said(text, "text", "Say what happened."), happened_at=happened_at
    )
    _keep(incident, [])
    return event


@transaction.atomic
def change(
    *, incident_id: int, seen_version: int, changes: dict[str, Any], actor: User, now: datetime, reason: str
) -> Incident:
    """Change severity, lead, what is linked, or the risks; what changed stands on the timeline.

    Args:
        changes: of ``severity``, ``lead`` (a person), ``links`` and ``risks``.

    Raises:
        IncidentNotFound, NotYours, IncidentChanged: it is not there, not the person's, or not what was seen.
        IncompleteIncident: the reason is missing or a value is wrong.
    """
    incident = locked(incident_id, actor, seen_version)
    reason = said(reason, "reason", "Say why.")
    _check_facts(
        incident.title, changes.get("severity", incident.severity), incident.started_at, now, changes.get("links", [])
    )
    words = []
    for name in ("severity", "lead", "links"):
        if name in changes and changes[name] != getattr(incident, name):
            words.append(f"{name}: {getattr(incident, name) or 'none'} to {changes[name] or 'none'}")
            setattr(incident, name, changes[name])
    if "risks" in changes:
        chosen = _seen(changes["risks"], actor)
        if {one.pk for one in chosen} != set(incident.risks.values_list("pk", flat=True)):
            words.append("risks: " + (", ".join(one.reference for one in chosen) or "none"))
            incident.risks.set(chosen)
    if words:
        write_event(incident, Kind.CHANGE, actor, now, f"{'; '.join(words)}. {reason}")
        _keep(incident, ["severity", "lead", "links"])
    return incident


def render(template: CommunicationTemplate, incident: Incident, *, summary: str, next_update: str) -> tuple[str, str]:
    """Subject and body of a message; only the known places are filled, and what is filled in is never read again."""
    values = {
        "reference": incident.reference, "title": incident.title, "stage": incident.get_stage_display(),
        "summary": summary, "next_update": next_update,
    }  # fmt: skip
    filled = [PLACE.sub(lambda found: values[found[1]], text) for text in (template.subject, template.body)]
    return filled[0], filled[1]


@transaction.atomic
def send_message(
    *,
    incident_id: int,
    template: CommunicationTemplate,
    recipients: Sequence[User],
    summary: str,
    actor: User,
    now: datetime,
    next_update: str = "",
) -> IncidentEvent:
    """Tell people by a template; the words as they were sent stand on the timeline.

    Raises:
        IncidentNotFound, NotYours: it is not there, or not the person's.
        IncompleteIncident: nobody is told, or the summary is missing.
    """
    incident = locked(incident_id, actor, None)
    summary, next_update = said(summary, "summary", "Say where it stands."), kept(next_update)
    if len(next_update) > 300:
        raise IncompleteIncident(fields={"next_update": ["At most 300 characters."]})
    told = [one for one in recipients if may_work_in(one, incident.scope)]
    if not told:
        raise IncompleteIncident(fields={"recipients": ["Choose somebody who works in the incident's scope."]})
    subject, body = render(template, incident, summary=summary, next_update=next_update)
    event = write_event(
        incident, Kind.MESSAGE, actor, now, f"{subject}\n\n{body}", template=template.slug, step=template.step,
        recipients=[one.username for one in told],
    )  # fmt: skip
    notify(
        kind="incidents", recipients=told, title=subject, body=body, url=address("admin:register_incident_change", incident.pk),
        dedupe_key=f"incident:{incident.pk}:message:{event.pk}", urgent=incident.severity >= 4, insist=True,
    )  # fmt: skip
    _keep(incident, [])
    return event


@transaction.atomic
def close(*, incident_id: int, seen_version: int, actor: User, now: datetime) -> Incident:
    """Close a resolved incident whose review was held.

    Raises:
        IncidentNotFound, NotYours, IncidentChanged: it is not there, not the person's, or not what was seen.
        NotInThisStage: it is not resolved, has no review yet, or a proposed change waits for a decision.
    """
    incident = locked(incident_id, actor, seen_version)
    review = PostIncidentReview.objects.filter(incident=incident).first()
    if incident.stage != Stage.RESOLVED or review is None:
        raise NotInThisStage("The review comes first: an incident is closed when what it taught is written down.")
    if review.changes.filter(state="proposed").exists():
        raise NotInThisStage("A change that the review proposed waits for a decision.")
    incident.stage, incident.closed_at = Stage.CLOSED, now
    write_event(incident, Kind.STAGE, actor, now, "Closed.", before=Stage.RESOLVED, stage=Stage.CLOSED)
    _keep(incident, ["stage", "closed_at"])
    _record(incident, actor, "incident_closed", "")
    return incident


# ----- what writes have in common


def locked(incident_id: int, actor: User, seen_version: int | None) -> Incident:
    """The incident, locked until the transaction ends, and still what was seen (where that matters).

    Raises:
        NotYours, IncidentNotFound, IncidentChanged: as they say.
    """
    if not actor.is_active or not actor.has_perm(HANDLE):
        raise NotYours
    rows = Incident.objects.visible_to(actor).select_for_update(of=("self",), no_key=True)
    incident: Incident | None = rows.filter(pk=incident_id).first()
    if incident is None:
        raise IncidentNotFound
    if seen_version is not None and incident.version != seen_version:
        raise IncidentChanged(incident.version)
    return incident


def said(text: str, field: str, needed: str) -> str:
    """A text that has to be there, as it may be kept.

    Raises:
        IncompleteIncident: it is empty or too long.
    """
    text = kept(text)
    if not text or len(text) > MAX_TEXT:
        raise IncompleteIncident(fields={field: [f"At most {MAX_TEXT} characters." if text else needed]})
    return text


def write_event(
    incident: Incident, kind: IncidentEvent.Kind, actor: User, now: datetime, text: str,
    *, happened_at: datetime | None = None, **data: Any,
) -> IncidentEvent:  # fmt: skip
    """Write on the timeline."""
    return IncidentEvent.objects.create(
        incident=incident, kind=kind, text=text, data=data, actor=actor, happened_at=happened_at or now, recorded_at=now
    )


def _keep(incident: Incident, fields: list[str]) -> None:
    incident.version += 1
    incident.save(update_fields=[*fields, "version"])


def _seen(risks: Iterable[Risk], actor: User) -> list[Risk]:
    """Of some risks those that the person sees; the others cannot be linked."""
    return list(Risk.objects.visible_to(actor).filter(pk__in=[one.pk for one in risks]).order_by("pk"))


def _record(incident: Incident, actor: User, action: str, rationale: str, **payload: Any) -> None:
    record(
        Entry(
            scope="register", actor=actor, action=action, subject=f"incident:{incident.pk}", rationale=rationale,
            evidence_url=address("admin:register_incident_change", incident.pk),
            payload={"reference": incident.reference, "version": incident.version, **payload},
        )
    )  # fmt: skip


def _next_reference() -> str:
    """The next number of incidents; a number that a rolled-back transaction drew is never used."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('register_incident_reference')")
        return f"I-{cursor.fetchone()[0]:04d}"
