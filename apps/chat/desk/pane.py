"""One conversation on the desk: how it stands, what was said, who else looks, and what this person may do with it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import reverse

from apps.chat import live, readings
from apps.chat.binding import OPEN, TALK, State
from apps.chat.bot.summary import beside_fields
from apps.chat.desk.lists import shown_person
from apps.chat.desk.ticketing import MAKE
from apps.chat.handoff_ratings import MISSING, RATE
from apps.chat.models import Conversation, Handoff
from apps.chat.reading import events_after, shown
from apps.chat.status import first_answer_due, hours_of, status_of, waits_since
from apps.core.models import User
from apps.escalation.details import RAISE

PLACE = "desk"
VIEW_FLAG = "escalation.view_riskflag"


def head(conversation: Conversation, user: User, now: datetime) -> dict[str, Any]:
    """How a conversation stands, and what this person may do."""
    stands = status_of(conversation, now)
    mine = conversation.state == State.PERSON and conversation.assignee_id == user.pk
    return {
        "id": str(conversation.public_id),
        "subject": conversation.subject,
        "who": str(conversation.visitor),
        "state": conversation.state,
        "state_words": conversation.get_state_display(),
        "resolution": conversation.get_resolution_display() if conversation.resolution else "",
        "assignee": shown_person(conversation.assignee) if conversation.assignee else None,
        "mine": mine,
        "team": conversation.team.name if conversation.team else "",
        "category": conversation.category.name if conversation.category else "",
        "version": conversation.version,
        "seq": conversation.seq,
        "customer_read_seq": conversation.customer_read_seq,
        "customer_got_seq": conversation.customer_got_seq,
        "cleared": conversation.cleared_at is not None,
        "position": stands.queue_position,
        "expected_minutes": stands.expected_wait_minutes,
        "clock": _clock(conversation, stands.open, stands.opens_at),
        "may": may_do(conversation, user, mine=mine),
        "flag_url": _flag_url(conversation, user),
        "handoff": _handoff(conversation, user),
    }


def may_do(conversation: Conversation, user: User, *, mine: bool) -> list[str]:
    """The acts that this person is offered; each is refused again where it is done."""
    if not user.has_perm(TALK):
        return []
    if conversation.state not in OPEN:
        return ["note", "reopen"]
    ticket = ["ticket"] if user.has_perm(MAKE) else []
    return ["note", "assign", "transfer", "resolve", *ticket, "reply" if mine else "take"]


def news(conversation: Conversation, user: User, after: int, now: datetime) -> dict[str, Any]:
    """Events after ``after``, and how the conversation stands; that they were read is recorded.

    Args:
        after: the last event that the page has; 0 for all.
    """
    events, seq = events_after(conversation, after, customer=False)
    if events:
        readings.note(conversation, user, up_to=seq, place=PLACE, now=now)
    return {
        "head": head(conversation, user, now),
        "events": [_shown(event) for event in events],
        "seq": seq,
        "viewers": others(conversation, user),
        "now": now,
    }


def others(conversation: Conversation, user: User) -> list[dict[str, Any]]:
    """Who else of the staff looks at it now, and who of them writes."""
    return [
        {"id": key, "name": one["name"], "typing": one["doing"] == "typing"}
        for key, one in sorted(live.viewers(conversation).items())
        if key != user.pk
    ]


def _shown(event: Any) -> dict[str, Any]:
    """An event with the page of a flag that it tells of."""
    facts = shown(event, customer=False)
    flag = event.data.get("flag")
    if isinstance(flag, int):
        facts["data"] = {**facts["data"], "flag_url": reverse("admin:escalation_riskflag_change", args=[flag])}
    return facts


def _clock(conversation: Conversation, is_open: bool | None, opens_at: datetime | None) -> dict[str, Any]:
    """The first-response clock: running until it is answered, then how long it took."""
    since = waits_since(conversation)
    return {
        "since": since,
        "due_at": first_answer_due(conversation, hours_of(conversation), since),
        "answered_at": conversation.first_response_at,
        "open": is_open,
        "opens_at": opens_at,
    }


def _flag_url(conversation: Conversation, user: User) -> str:
    may = user.has_perms([VIEW_FLAG, RAISE])
    return f"{reverse('admin:escalation_riskflag_raise')}?source=conversation:{conversation.pk}" if may else ""


def _handoff(conversation: Conversation, user: User) -> dict[str, Any] | None:
    """The latest hand-off of the present context, and how it was rated."""
    found = conversation.handoffs.filter(context=conversation.context).select_related("category", "rating").first()
    if found is None:
        return None
    rating = getattr(found, "rating", None)
    return {
        "id": found.pk,
        "reason": found.get_reason_display(),
        "summary": beside_fields(found.summary, found.reason, found.fields),
        "category": found.category.name if found.category else "",
        "fields": [[MISSING.get(key) or _words(key), str(value)] for key, value in found.fields.items() if value],
        "missing": [MISSING.get(key) or _words(key) for key in found.missing],
        "at": found.requested_at,
        "may_rate": _may_rate(found, user),
        "rating": {"useful": rating.useful, "missing": rating.missing, "comment": rating.comment} if rating else None,
    }


def _may_rate(handoff: Handoff, user: User) -> bool:
    return handoff.accepted_by_id == user.pk and user.has_perms([TALK, RATE])


def _words(key: str) -> str:
    return key.replace("_", " ").capitalize()
