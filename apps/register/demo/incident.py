"""The demonstration's incidents: one that was resolved and taught something, and one under way."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.core.models import User
from apps.register import incidents, lessons
from apps.register.models import CommunicationTemplate, Rating, Risk

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STORY = (
    ("Errors began with the release of 14:02; 212 sessions ended early.", 0.4),
    ("The release was taken back; new sessions work, old ones have to be begun again.", 1.1),
    ("The retry that repeated each message is bounded now; released with a test that shows it.", 5.0),
)
WORDS = (
    (
        "stakeholder-notification", "notification", "{reference}: {title}",
        "We are working on an incident.\n\nStage: {stage}\n{summary}\n\nNext update: {next_update}",
    ),
    (
        "status-update", "update", "Update on {reference}: {title}",
        "Stage: {stage}\n{summary}\n\nNext update: {next_update}",
    ),
    (
        "resolution-confirmation", "confirmation", "Resolved: {reference} {title}",
        "The incident is resolved.\n\n{summary}\n\nA review follows; what it teaches goes into the risk register.",
    ),
)  # fmt: skip


def load_incident(people: dict[str, User], now: datetime) -> None:
    """Load both, with templates for their messages."""
    templates = [
        CommunicationTemplate.objects.get_or_create(
            slug=slug, defaults={"step": step, "subject": subject, "body": body}
        )[0]
        for slug, step, subject, body in WORDS
    ]
    grave = list(Risk.objects.filter(assessment__isnull=False).order_by("-severity", "pk")[:3])
    began, manager = now - 9 * DAY, people["manager"]
    incident = incidents.open_incident(
        title="Chat sessions end early", description="Customers are thrown out of running conversations.", severity=4,
        started_at=began, actor=manager, now=began + HOUR / 4, risks=grave[:2],
    )  # fmt: skip
    incidents.send_message(
        incident_id=incident.pk, template=templates[0], recipients=[people["risk"], people["director"]],
        summary="Running conversations end; the cause is looked for.", next_update="within the hour", actor=manager,
        now=began + HOUR / 3,
    )  # fmt: skip
    for text, hours in STORY:
        incident.refresh_from_db()
        at = began + hours * HOUR
        incidents.advance(incident_id=incident.pk, seen_version=incident.version, text=text, actor=manager, now=at)
    incident.refresh_from_db()
    lessons.hold_review(
        incident_id=incident.pk, seen_version=incident.version, actor=people["director"], now=began + 2 * DAY,
        summary="A release repeated each message; the service ended sessions to protect itself.",
        cause="The retry had no bound, and the load test sends each message once.",
        went_well="The release was taken back within half an hour.", went_badly="Nobody was told for twenty minutes.",
    )  # fmt: skip
    lessons.propose(
        incident_id=incident.pk, kind="rescore", risk=grave[0], actor=people["director"], now=began + 2 * DAY,
        content={"kind": Rating.Kind.CURRENT, "probability": 3, "impact": 3}, reason="It came true within weeks.",
    )  # fmt: skip
    lessons.propose(
        incident_id=incident.pk, kind="new_mitigation", risk=grave[0], actor=people["director"], now=began + 2 * DAY,
        content={"title": "Load test that sends each message twice", "owner_role": "Support Manager"},
        reason="The load test would have found it.",
    )  # fmt: skip
    incidents.open_incident(
        title="Payment provider answers slowly", description="Renewals take up to 20 s since this morning.", severity=3,
        started_at=now - 3 * HOUR, actor=people["risk"], now=now - 2 * HOUR, risks=grave[2:],
    )  # fmt: skip
