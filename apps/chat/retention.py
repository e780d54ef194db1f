"""How long what is kept: words, files, who wrote, sessions; each by the window that the policy in force gives it.

What is counted and decided stays. Conversations that somebody still works on are left alone, whatever their age. Each
run that did something stands in the decision log, with the version of the policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.chat import forgetting
from apps.chat.models import ChatSession, Conversation, Upload, Verification, Visitor
from apps.chat.policies import RETENTION, Retention, in_force
from apps.core.decisions import Entry, record, system

ACTOR = system("chat-retention")
BATCH = 500


@dataclass(frozen=True, slots=True)
class Due:
    """How many rows of each class are past their window."""

    transcripts: int
    files: int
    people: int
    sessions: int
    proofs: int

    def __bool__(self) -> bool:
        return any(asdict(self).values())


@dataclass(frozen=True, slots=True)
class _Rows:
    """What is past its window now, by class."""

    transcripts: QuerySet[Conversation]
    files: QuerySet[Upload]
    people: QuerySet[Visitor]
    sessions: QuerySet[ChatSession]
    proofs: QuerySet[Verification]


def preview(*, now: datetime, windows: Retention | None = None) -> Due:
    """What :func:`forget` would do now, by the policy in force or by other windows. Writes nothing."""
    rows = _rows(now, windows or in_force(RETENTION)[1])
    return Due(*(part.count() for part in (rows.transcripts, rows.files, rows.people, rows.sessions, rows.proofs)))


def forget(*, now: datetime) -> Due:
    """Delete or clear what is past its window, in batches of one transaction each; an interrupted run goes on next time."""
    version, windows = in_force(RETENTION)
    rows = _rows(now, windows)
    done = Due(
        transcripts=_each(rows.transcripts, lambda keys: _clear(keys, now)),
        files=_each(rows.files, lambda keys: forgetting.remove_files(keys, now)),
        proofs=_each(rows.proofs, lambda keys: Verification.objects.filter(pk__in=keys).delete()[0]),
        sessions=_each(rows.sessions, lambda keys: ChatSession.objects.filter(pk__in=keys).delete()[0]),
        people=_each(rows.people, lambda keys: forgetting.forget_person(keys, now)),
    )
    if done:
        facts = {**asdict(done), "policy": version.number, **windows.model_dump()}
        record(Entry(scope="chat", actor=ACTOR, action="chat_forgotten", subject="chat", payload=facts))
    return done


def _clear(keys: list[int], now: datetime) -> int:
    forgetting.clear_words(keys, now)
    return len(keys)


def _each(rows: QuerySet[Any], act: Callable[[list[int]], int]) -> int:
    count = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            count += act(keys)
    return count


def _rows(now: datetime, windows: Retention) -> _Rows:
    def before(days: int) -> datetime:
        return now - timedelta(days=days)

    still = Conversation.objects.filter(visitor=OuterRef("pk")).filter(
        ~Q(state=Conversation.State.RESOLVED) | Q(last_event_at__gte=before(windows.person_days))
    )
    closed = Conversation.objects.filter(state=Conversation.State.RESOLVED)
    sessions = before(windows.session_days)
    return _Rows(
        transcripts=closed.filter(cleared_at=None, last_event_at__lt=before(windows.transcript_days)),
        files=Upload.objects.filter(
            removed_at=None, created_at__lt=before(windows.file_days), conversation__state=Conversation.State.RESOLVED
        ),
        people=Visitor.objects.filter(~Exists(still), erased_at=None, seen_at__lt=before(windows.person_days)),
        sessions=ChatSession.objects.filter(Q(expires_at__lt=sessions) | Q(ended_at__lt=sessions)),
        proofs=Verification.objects.filter(created_at__lt=sessions),
    )
