"""Storing the messages of many sockets in one transaction.

The rules are those of :mod:`apps.chat.saying`: the row locks, the order of ``seq``, the redaction, one event for each
``client_id``; a message is acknowledged only after its commit. A conversation that somebody else holds just now is left
for the next turn, so that one that is slow does not stop the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import DataError, IntegrityError, connection, transaction

from apps.chat.bot import hearing, owing
from apps.chat.models import ChatSession, Conversation, Event
from apps.chat.reading import rendered, shown
from apps.chat.refusals import BadRequest, SessionOver
from apps.chat.saying import kept, say
from apps.core.errors import DomainError

CUSTOMER, MESSAGE = Event.Author.CUSTOMER, Event.Kind.MESSAGE

_BEFORE = """
    SELECT e.conversation_id, e.client_id, e.seq, e.kind, e.author, e.text, e.data, e.at
    FROM unnest(%s::bigint[], %s::uuid[]) AS w(conversation_id, client_id)
    JOIN chat_event e ON e.conversation_id = w.conversation_id AND e.client_id = w.client_id
"""
# The events, and what their conversations remember of them.
_STORE = """
    WITH stored AS (
        INSERT INTO chat_event (conversation_id, seq, kind, author, client_id, text, data, internal, at)
        SELECT w.conversation_id, w.seq, 'message', 'customer', w.client_id, w.text, w.data, false, w.at
        FROM unnest(%s::bigint[], %s::int[], %s::uuid[], %s::text[], %s::jsonb[], %s::timestamptz[])
            AS w(conversation_id, seq, client_id, text, data, at)
    )
    UPDATE chat_conversation c
    SET seq = n.seq, turn = n.turn, last_event_at = n.at, last_customer_at = n.at
    FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::timestamptz[]) AS n(id, seq, turn, at)
    WHERE c.id = n.id
"""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a customer sent through a socket. ``session_id`` is asked again: it may have ended since the socket opened."""

    session_id: int
    conversation_id: int
    client_id: UUID
    text: str
    data: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """An utterance that is stored.

    Attributes:
        event: as it is sent to customers.
        repeated: it was stored before.
        public_id, scope_id, team_id: of its conversation.
        answer_in: the bot answers it after so many seconds, and a worker is to be told.
    """

    event: dict[str, Any]
    repeated: bool
    public_id: UUID
    scope_id: int
    team_id: int | None
    answer_in: float | None = None


Answer = Stored | Exception | None


def store(batch: Sequence[Utterance]) -> list[Answer]:
    """Store utterances; an answer for each, in their order, and None for those whose conversation is held elsewhere.

    Raises:
        OperationalError, InterfaceError: the database is away. What was stored is known by sending it again.
    """
    try:
        return _store(batch)
    except (DataError, IntegrityError):
        if len(batch) == 1:
            return [BadRequest()]
    return [store([each])[0] for each in batch]  # one of them is to blame, and the others are not


def _store(batch: Sequence[Utterance]) -> list[Answer]:
    answers: list[Answer] = [None] * len(batch)
    words: dict[int, tuple[str, dict[str, Any]]] = {}
    for at, each in enumerate(batch):
        try:
            words[at] = kept(each.text, each.data)
        except DomainError as refusal:
            answers[at] = refusal
    slowly: list[int] = []
    waiting: set[int] = set()  # conversations with one in `slowly`: what was said after it comes after it
    with transaction.atomic():
        rows = _locked({batch[at].conversation_id for at in words})
        # After the locks: whoever ends the sessions of a person who is forgotten holds these rows.
        alive = _alive({batch[at].session_id for at in words})
        before = _before([batch[at] for at in words if batch[at].conversation_id in rows])
        new: list[tuple[int, Conversation]] = []
        for at in words:
            each = batch[at]
            row = rows.get(each.conversation_id)
            if each.session_id not in alive:
                answers[at] = SessionOver()
            elif row is None:
                continue
            elif found := before.get((row.pk, each.client_id)):
                answers[at] = Stored(found, True, row.public_id, row.scope_id, row.team_id)
            elif row.pk in waiting or row.state == Conversation.State.RESOLVED or hearing.may_matter(row, each.text):
                slowly.append(at)
                waiting.add(row.pk)
            else:
                row.seq, row.turn = row.seq + 1, row.turn + 1
                row.last_event_at = row.last_customer_at = each.at
                text, data = words[at]
                event = rendered(row.seq, MESSAGE, CUSTOMER, "", text, data, each.at, each.client_id)
                before[row.pk, each.client_id] = event
                answers[at] = Stored(event, False, row.public_id, row.scope_id, row.team_id)
                new.append((at, row))
        _write(batch, words, answers, new)
    for at in slowly:
        answers[at] = _alone(batch[at])
    return answers


def _write(
    batch: Sequence[Utterance],
    words: dict[int, tuple[str, dict[str, Any]]],
    answers: list[Answer],
    new: Sequence[tuple[int, Conversation]],
) -> None:
    if not new:
        return
    seqs = [answer.event["seq"] for at, _row in new if isinstance(answer := answers[at], Stored)]
    changed = {row.pk: row for _at, row in new}.values()
    events: list[list[Any]] = [
        [row.pk for _at, row in new],
        seqs,
        [batch[at].client_id for at, _row in new],
        [words[at][0] for at, _row in new],
        [json.dumps(words[at][1]) for at, _row in new],
        [batch[at].at for at, _row in new],
    ]
    heads: list[list[Any]] = [
        [row.pk for row in changed],
        [row.seq for row in changed],
        [row.turn for row in changed],
        [row.last_event_at for row in changed],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_STORE, [*events, *heads])
    last = {row.pk: at for at, row in new}
    for row in changed:
        at = last[row.pk]
        answer = answers[at]
        assert isinstance(answer, Stored)
        answers[at] = replace(answer, answer_in=owing.noted(row, row.last_event_at, words[at][0]))


def _alone(each: Utterance) -> Answer:
    """The usual way, for what needs more than storing."""
    try:
        said = say(
            conversation_id=each.conversation_id,
            author=CUSTOMER,
            text=each.text,
            now=each.at,
            client_id=each.client_id,
            data=each.data,
            session_id=each.session_id,
        )
    except DomainError as refusal:
        return refusal
    conversation = said.event.conversation
    return Stored(shown(said.event), said.repeated, conversation.public_id, conversation.scope_id, conversation.team_id)


def _alive(sessions: Iterable[int]) -> set[int]:
    """Those that have not ended, whose site is in use and whose visitor is not erased."""
    rows = ChatSession.objects.filter(pk__in=sessions, ended_at=None, site__is_active=True, visitor__erased_at=None)
    return set(rows.values_list("pk", flat=True))


def _locked(keys: Iterable[int]) -> dict[int, Conversation]:
    rows = Conversation.objects.select_for_update(of=("self",), skip_locked=True).filter(pk__in=keys).order_by("pk")
    return {row.pk: row for row in rows}


def _before(utterances: Sequence[Utterance]) -> dict[tuple[int, UUID], dict[str, Any]]:
    """What is stored under these ids already."""
    if not utterances:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            _BEFORE, [[each.conversation_id for each in utterances], [each.client_id for each in utterances]]
        )
        rows = cursor.fetchall()
    return {
        (pk, client_id): rendered(seq, kind, author, "", text, data, at, client_id)
        for pk, client_id, seq, kind, author, text, data, at in rows
    }
