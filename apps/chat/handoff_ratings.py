"""What whoever took a hand-off says about it: it feeds what is asked before the next one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from apps.chat.binding import AREA, authorise
from apps.chat.models import Handoff, HandoffRating
from apps.chat.refusals import NoSuchHandoff, NotAllowed
from apps.core.decisions import Entry, record
from apps.core.models import User
from apps.core.redaction import redact

RATE = "chat.add_handoffrating"
MISSING = {
    "requester_name": "Name",
    "requester_contact": "E-mail or phone",
    "order_reference": "Order number",
    "summary": "What it is about",
    "tried": "What was tried already",
    "wish": "What the customer wants",
    "when": "Since when it happens",
    "screenshot": "A picture of it",
}
"""What can have been missing, with the words of the form. The first four are fields that a category can require."""


@transaction.atomic
def rate(
    handoff_id: int, user: User, *, useful: bool, missing: Sequence[str] = (), comment: str = "", now: datetime
) -> HandoffRating:
    """Say whether a hand-off was useful, and what was missing; the last word counts.

    Args:
        missing: keys of :data:`MISSING`; others are left out.
        comment: redacted and cut before it is kept.

    Raises:
        NotAllowed: the role does not rate hand-offs.
        NoSuchHandoff: there is none that this person accepted.
    """
    authorise(user)
    if not user.has_perm(RATE):
        raise NotAllowed
    handoff = Handoff.objects.select_for_update(of=("self",)).filter(pk=handoff_id, accepted_by=user).first()
    if handoff is None:
        raise NoSuchHandoff
    facts = {
        "useful": useful,
        "missing": [key for key in MISSING if key in missing],
        "comment": redact(comment.strip().replace("\x00", "")).text[:500],
        "by": user,
        "at": now,
    }
    rating, _ = HandoffRating.objects.update_or_create(handoff=handoff, defaults=facts)
    record(
        Entry(
            scope=AREA, actor=user, action="handoff_rated", subject=f"conversation:{handoff.conversation_id}",
            payload={"handoff": handoff.pk, "useful": useful, "missing": facts["missing"]},
        )
    )  # fmt: skip
    return rating
