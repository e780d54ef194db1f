"""The desk's lists: mine, those that wait, those nobody has, and all in scope."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from apps.chat.binding import OPEN, State, called
from apps.chat.models import Conversation, Event, Handoff
from apps.chat.querysets import ConversationQuerySet
from apps.chat.status import first_answer_due
from apps.core.business_time import Calendar
from apps.core.business_time.opening import BusinessTimeError
from apps.core.models import User
from apps.escalation import calendars

ALARMING = (Handoff.Reason.RISK, Handoff.Reason.ANGER)
"""Why a conversation was handed over, where its line says so."""
PAGE = 50
SNIPPET = 90
"""Characters of the last words that a line shows."""
LISTS = ("mine", "waiting", "unassigned", "all")


def chosen(which: str, user: User, query: str = "") -> ConversationQuerySet:
    """The conversations of one of :data:`LISTS`, in the order in which they want attention.

    Args:
        query: words of a name, an e-mail address or a subject.
    """
    rows = Conversation.objects.visible_to(user)
    if which == "mine":
        # Whose customers spoke last come first, the longest waiting before the others.
        rows = (
            rows.of(user)
            .annotate(_since=_unanswered_since())
            .order_by(F("_since").asc(nulls_last=True), "-last_event_at")
        )
    elif which == "waiting":
        rows = rows.waiting()
    elif which == "unassigned":
        rows = rows.filter(state__in=OPEN, assignee=None).order_by(
            F("waiting_since").asc(nulls_last=True), "-last_event_at"
        )
    else:
        rows = rows.order_by("-last_event_at", "-pk")
    for word in query.split()[:5]:
        rows = rows.filter(
            Q(visitor__name__icontains=word) | Q(visitor__email__icontains=word) | Q(subject__icontains=word)
        )
    return rows


def counts(user: User) -> dict[str, int]:
    """How many are mine, wait, and are nobody's."""
    rows = Conversation.objects.visible_to(user)
    return {
        "mine": rows.of(user).count(),
        "waiting": rows.waiting().count(),
        "unassigned": rows.filter(state__in=OPEN, assignee=None).count(),
    }


def lines(rows: ConversationQuerySet, user: User, now: datetime, limit: int = PAGE) -> list[dict[str, Any]]:
    """What a list shows of conversations, in a constant number of statements."""
    said = Event.objects.said().filter(conversation=OuterRef("pk")).order_by("-seq")
    asked = Handoff.objects.filter(conversation=OuterRef("pk"), context=OuterRef("context")).order_by("requested_at")
    found = list(
        rows.select_related("visitor", "assignee", "team", "category", "site__team")
        .annotate(
            last_text=Subquery(said.values("text")[:1]),
            last_author=Subquery(said.values("author")[:1]),
            last_kind=Subquery(said.values("kind")[:1]),
            customer_seq=Subquery(said.filter(author=Event.Author.CUSTOMER).values("seq")[:1]),
            asked_at=Subquery(asked.values("requested_at")[:1]),
            why=Subquery(asked.filter(reason__in=ALARMING).values("reason")[:1]),
        )
        .order_by(*rows.query.order_by)[:limit]
    )
    hours = _hours(found)
    return [_line(one, hours.get(one.pk), user, now) for one in found]


def _line(one: Any, hours: Calendar | None, user: User, now: datetime) -> dict[str, Any]:
    unanswered = one.last_author == Event.Author.CUSTOMER and one.state in (State.WAITING, State.PERSON)
    due = first_answer_due(one, hours, one.waiting_since or one.asked_at)
    return {
        "id": str(one.public_id),
        "state": one.state,
        "state_words": one.get_state_display(),
        "who": str(one.visitor),
        "subject": one.subject,
        "last": {
            "author": one.last_author or "",
            "text": "File"
            if one.last_kind == Event.Kind.FILE and not one.last_text
            else (one.last_text or "")[:SNIPPET],
            "at": one.last_event_at,
        },
        "unanswered": unanswered,
        "since": one.waiting_since or (one.last_customer_at if unanswered else None),
        "due_at": due,
        "unread": one.state == State.PERSON
        and one.assignee_id == user.pk
        and (one.customer_seq or 0) > one.staff_read_seq,
        "assignee": shown_person(one.assignee) if one.assignee else None,
        "team": one.team.name if one.team else "",
        "alarm": Handoff.Reason(one.why).label if one.why and one.state in (State.WAITING, State.PERSON) else "",
        "category": one.category.name if one.category else "",
        "language": one.language,
        "seq": one.seq,
        "version": one.version,
    }


def shown_person(user: User) -> dict[str, Any]:
    """A member of staff as the desk shows them to others."""
    name = user.get_full_name() or user.get_username()
    return {"id": user.pk, "name": name, "first": called(user), "initials": initials(name)}


def initials(name: str) -> str:
    """One or two letters for a name."""
    words = name.replace("@", " ").split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


def _unanswered_since() -> Subquery:
    """When the customer spoke last, if nobody of the company spoke after that."""
    last = Event.objects.said().filter(conversation=OuterRef("pk")).order_by("-seq")
    return Subquery(
        last.filter(author=Event.Author.CUSTOMER, seq__gt=Coalesce(_answered_seq(), Value(0))).values("at")[:1]
    )


def _answered_seq() -> Subquery:
    answers = Event.objects.said().filter(conversation=OuterRef("conversation")).exclude(author=Event.Author.CUSTOMER)
    return Subquery(answers.order_by("-seq").values("seq")[:1])


def _hours(rows: Sequence[Conversation]) -> dict[int, Calendar]:
    """The calendar of each conversation's team, read together; without those that cannot be read."""
    teams = {row.pk: row.team or row.site.team for row in rows}
    if not teams:
        return {}
    fallback = calendars.business().pk if None in teams.values() else None
    of_rows = {pk: team.calendar_id if team else fallback for pk, team in teams.items()}
    known = calendars.Calendars(pk for pk in of_rows.values() if pk)
    read = _readable(known, {pk for pk in of_rows.values() if pk})
    return {row: read[pk] for row, pk in of_rows.items() if pk in read}


def _readable(known: calendars.Calendars, keys: Iterable[int]) -> dict[int, Calendar]:
    found = {}
    for pk in keys:
        try:
            found[pk] = known[pk]
        except BusinessTimeError:
            continue
    return found
