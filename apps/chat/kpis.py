"""How well the chat does: what the pilot is judged by.

A context is one matter from its first message to its end. It was contained if the bot alone brought it to an end, said so
by the customer (confirmed) or taken from their silence (assumed). Who comes back within three days was not helped: an
assumed or confirmed end is taken back then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from apps.chat.policies import PILOT, Pilot, in_force
from apps.core.models import Scope, User
from apps.core.scope import scope_ids_of, sees_every_scope

BACK_WITHIN = timedelta(days=3)

_ENDS = """
WITH mine AS MATERIALIZED (
    SELECT id, opened_at FROM chat_conversation WHERE scope_id = ANY(%(scopes)s)
), ends AS (
    SELECT e.conversation_id, e.seq, e.at, e.data->>'resolution' AS how,
        coalesce(lag(e.seq) OVER (PARTITION BY e.conversation_id ORDER BY e.seq), 0) AS former
    FROM chat_event e JOIN mine ON mine.id = e.conversation_id
    WHERE e.kind = 'state' AND e.data->>'what' = 'resolved'
), told AS (
    SELECT ends.*, EXISTS (
        SELECT FROM chat_event c WHERE c.conversation_id = ends.conversation_id AND c.seq > ends.seq
            AND c.author = 'customer' AND c.kind = 'message' AND c.at < ends.at + %(back)s
    ) AS came_back, (
        SELECT min(c.at) FROM chat_event c WHERE c.conversation_id = ends.conversation_id
            AND c.seq > ends.former AND c.seq < ends.seq AND c.author = 'customer'
    ) AS begun
    FROM ends WHERE ends.at >= %(since)s AND ends.at < %(until)s
)
SELECT count(*) FILTER (WHERE begun IS NOT NULL),
    count(*) FILTER (WHERE begun IS NOT NULL AND how = 'confirmed' AND NOT came_back),
    count(*) FILTER (WHERE begun IS NOT NULL AND how = 'assumed' AND NOT came_back),
    count(*) FILTER (WHERE begun IS NOT NULL AND how IN ('confirmed', 'assumed') AND came_back),
    extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY at - begun))
FROM told
"""
_WAITS = """
SELECT count(*), extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY answered - requested_at)),
    extract(epoch FROM percentile_cont(0.9) WITHIN GROUP (ORDER BY answered - requested_at)), count(*) - count(answered)
FROM (
    SELECT h.requested_at, (
        SELECT min(e.at) FROM chat_event e WHERE e.conversation_id = h.conversation_id AND e.seq > h.transcript_to_seq
            AND e.author = 'agent' AND e.kind = 'message' AND NOT e.internal
    ) AS answered
    FROM chat_handoff h JOIN chat_conversation c ON c.id = h.conversation_id
    WHERE c.scope_id = ANY(%(scopes)s) AND h.requested_at >= %(since)s AND h.requested_at < %(until)s
        AND h.reason <> 'transfer' AND h.ticket_id IS NULL
) AS waits
"""
_BOT = """
SELECT count(*) FILTER (WHERE t.outcome = 'answered'),
    count(*) FILTER (WHERE t.outcome = 'answered' AND q.outcome = 'unhelpful'),
    count(*) FILTER (WHERE t.outcome = 'not_sure')
FROM chat_botturn t JOIN chat_conversation c ON c.id = t.conversation_id
LEFT JOIN knowledge_askedquestion q ON q.id = t.asked_id
WHERE c.scope_id = ANY(%(scopes)s) AND t.finished_at >= %(since)s AND t.finished_at < %(until)s
"""
_OPINIONS = """
SELECT (SELECT count(*) FROM chat_rating r JOIN chat_conversation c ON c.id = r.conversation_id
        WHERE c.scope_id = ANY(%(scopes)s) AND r.at >= %(since)s AND r.at < %(until)s),
    (SELECT avg(r.score)::float FROM chat_rating r JOIN chat_conversation c ON c.id = r.conversation_id
        WHERE c.scope_id = ANY(%(scopes)s) AND r.at >= %(since)s AND r.at < %(until)s),
    count(*), count(*) FILTER (WHERE v.useful)
FROM chat_handoffrating v JOIN chat_handoff h ON h.id = v.handoff_id
JOIN chat_conversation c ON c.id = h.conversation_id
WHERE c.scope_id = ANY(%(scopes)s) AND v.at >= %(since)s AND v.at < %(until)s
"""
_WAYS = """
SELECT count(*), count(*) FILTER (WHERE e.data->>'via' = 'http')
FROM chat_event e JOIN chat_conversation c ON c.id = e.conversation_id
WHERE c.scope_id = ANY(%(scopes)s) AND e.at >= %(since)s AND e.at < %(until)s
    AND e.author = 'customer' AND e.kind = 'message'
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts, and seconds of a period; None where there was nothing to measure."""

    contexts: int
    confirmed: int
    assumed: int
    taken_back: int
    resolution_seconds: float | None
    waits: int
    response_seconds: float | None
    response_seconds_90: float | None
    unanswered: int
    answers: int
    wrong: int
    not_sure: int
    ratings: int
    csat: float | None
    handoff_ratings: int
    useful: int
    messages: int
    polled: int

    @property
    def containment(self) -> float | None:
        """Share of contexts that the bot alone brought to an end."""
        return _share(self.confirmed + self.assumed, self.contexts)

    @property
    def wrong_answers(self) -> float | None:
        """Share of the bot's answers that the customer said did not help."""
        return _share(self.wrong, self.answers)

    @property
    def useful_handoffs(self) -> float | None:
        """Share of rated hand-offs that were useful to who took them."""
        return _share(self.useful, self.handoff_ratings)

    @property
    def polling(self) -> float | None:
        """Share of customers' messages that came by the fallback instead of a socket."""
        return _share(self.polled, self.messages)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One threshold of the pilot and how it stands.

    Attributes:
        value: in the unit of the threshold; None where there was nothing to measure.
        of: how many cases the value is made of.
        passed: None where there are too few to judge.
    """

    name: str
    value: float | None
    threshold: float
    at_least: bool
    of: int
    passed: bool | None


def figures(*, user: User, since: datetime, until: datetime) -> Figures:
    """The chat's figures of a period, of the sites in a person's scopes. A query for each group."""
    every = Scope.objects.values_list("pk", flat=True)
    scopes = list(every) if sees_every_scope(user) else scope_ids_of(user)
    given = {"scopes": scopes, "since": since, "until": until, "back": BACK_WITHIN}
    return Figures(*(value for sql in (_ENDS, _WAITS, _BOT, _OPINIONS, _WAYS) for value in _numbers(sql, given)))


def _numbers(sql: str, given: dict[str, Any]) -> Iterator[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        row = cursor.fetchone()
    for value in row:
        yield float(value) if value is not None and not isinstance(value, int) else value


def verdicts(found: Figures, pilot: Pilot) -> list[Verdict]:
    """Each threshold of the pilot against the figures."""
    minutes = None if found.response_seconds_90 is None else found.response_seconds_90 / 60
    table = [
        ("Containment", found.containment, pilot.containment, True, found.contexts),
        ("Satisfaction", found.csat, pilot.csat, True, found.ratings),
        ("First response", minutes, pilot.first_response_minutes, False, found.waits),
        ("Wrong answers", found.wrong_answers, pilot.wrong_answers, False, found.answers),
        ("Useful hand-offs", found.useful_handoffs, pilot.useful_handoffs, True, found.handoff_ratings),
        ("Polling", found.polling, pilot.polling, False, found.messages),
    ]
    return [_verdict(*row, least=pilot.least) for row in table]


def pilot_now(*, user: User, now: datetime) -> tuple[Figures, list[Verdict], Pilot]:
    """The figures of the pilot's period that ends now, and how each threshold stands."""
    pilot: Pilot = in_force(PILOT)[1]
    found = figures(user=user, since=now - timedelta(days=pilot.days), until=now)
    return found, verdicts(found, pilot), pilot


def _verdict(name: str, value: float | None, threshold: float, at_least: bool, of: int, *, least: int) -> Verdict:
    passed = None
    if value is not None and of >= least:
        passed = value >= threshold if at_least else value <= threshold
    return Verdict(name, value, threshold, at_least, of, passed)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
