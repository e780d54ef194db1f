"""Idempotence: a request that is sent twice is done once."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from uuid import uuid4

from apps.escalation.models import Ticket
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Reply, Site, Visitor, in_process, visitor

PATH = "/api/tickets"


@check(
    slug="repeated-requests",
    title="A request that is sent twice is done once",
    every=timedelta(hours=6),
    mitigation="See apps/core/idempotency.py: the key's row and what the request does belong into one transaction.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Opens a ticket twice with one idempotency key, and once more with another body; what is made is taken back."""
    guest, key = visitor(), f"check-{uuid4().hex}"
    subject = f"Check {key}"
    first, second = (_opened(guest, key, subject) for _ in range(2))
    made = Ticket.objects.filter(subject=subject).count()
    other = _opened(guest, key, f"{subject} again")
    failures = []
    if first.status != 201:
        failures.append(f"A ticket could not be opened: {first.status} {first.text[:200]}")
    elif (second.status, json.loads(second.text)) != (first.status, json.loads(first.text)):
        failures.append(f"The repetition was answered otherwise: {second.status}.")
    if made > 1:
        failures.append(f"The request was done {made} times.")
    if other.status != 409:
        failures.append(f"Another request with the same key was answered {other.status}, not 409.")
    return concluded(
        "The second request got the first one's answer, and one ticket was made; another body was refused.",
        failures=failures,
        facts={"answers": [first.status, second.status, other.status], "made": made},
        query=f"POST {PATH} ×3 with one Idempotency-Key, in this process",
    )


def _opened(guest: Visitor, key: str, subject: str) -> Reply:
    body = {"subject": subject, "summary": "Opened by a check, and taken back."}
    return in_process("POST", PATH, headers={**guest.headers, "Idempotency-Key": key}, body=json.dumps(body).encode())
