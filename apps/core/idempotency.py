"""Requests that may be sent twice: the same idempotency key gets the first answer again.

The key's row is inserted in the transaction of what the request does. A second request with the key therefore waits on
the unique constraint until the first is over: after a commit it gets the stored answer, after a rollback it is the first.
A refused request stores nothing, because it did nothing; its key may be used again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from psycopg import errors as pg

from apps.core.errors import DomainError
from apps.core.models import StoredAnswer, User

KEPT = timedelta(days=7)
WAIT_MS = 5_000
KEY = re.compile(r"[\x21-\x7e]{1,200}")


class KeyMalformed(DomainError):
    """The key is no key."""

    code = "idempotency_key_invalid"
    message = "An idempotency key is 1 to 200 visible ASCII characters, best a UUID."


class KeyMissing(DomainError):
    """A request that must not be done twice says no key."""

    code = "idempotency_key_required"
    message = "Send the header Idempotency-Key with a key of your own, such as a UUID, and the same one when you retry."


class KeyReused(DomainError):
    """The key belongs to another request."""

    code = "idempotency_key_reused"
    message = "This idempotency key was used for another request. Take a new one."
    status = 409


class KeyBusy(DomainError):
    """The first request with the key is not over yet."""

    code = "idempotency_key_busy"
    message = "A request with this idempotency key is being worked on. Try again in a moment."
    status = 409
    retry_after = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered.

    Attributes:
        body: JSON.
        replayed: whether it was the answer to an earlier request.
    """

    status: int
    body: Any
    replayed: bool = False


def fingerprint(method: str, path: str, body: bytes) -> str:
    """What makes two requests the same."""
    return hashlib.sha256(b"\n".join([method.encode(), path.encode(), body])).hexdigest()


def once(key: str | None, *, user: User, mark: str, now: datetime, work: Callable[[], Answer]) -> Answer:
    """Do a request's work once per key, in one transaction with the key's row.

    Args:
        key: the idempotency key; None does the work each time.
        user: keys of different people never meet.
        mark: the :func:`fingerprint` of the request.
        now: the moment.
        work: what the request does; its answer's body must be JSON.

    Raises:
        KeyMalformed: the key is no key.
        KeyReused: the key was used for another request.
        KeyBusy: another request with the key took too long.
        DomainError: what the work refuses; nothing is kept then.
    """
    if key is not None and not KEY.fullmatch(key):
        raise KeyMalformed
    with transaction.atomic():
        if key is None:
            return work()
        row = StoredAnswer(user=user, key=key, fingerprint=mark, created_at=now)
        if not _claim(row):
            return _again(StoredAnswer.objects.get(user=user, key=key), mark)
        answer = work()
        StoredAnswer.objects.filter(user=user, key=key).update(status=answer.status, body=answer.body)
        return answer


def _claim(row: StoredAnswer) -> bool:
    """Insert the key's row, waiting for others who are at it; False if it is there already.

    Raises:
        KeyBusy: they take too long.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{WAIT_MS}ms"])
        try:
            cursor.execute(
                "INSERT INTO core_storedanswer (user_id, key, fingerprint, status, created_at) "
                "VALUES (%s, %s, %s, 0, %s) ON CONFLICT DO NOTHING",
                [row.user_id, row.key, row.fingerprint, row.created_at],
            )
        except OperationalError as error:
            if isinstance(error.__cause__, pg.LockNotAvailable):
                raise KeyBusy from None
            raise
        claimed = cursor.rowcount == 1
        cursor.execute("SELECT set_config('lock_timeout', '0', true)")  # what follows waits as ever
    return claimed


def _again(stored: StoredAnswer, mark: str) -> Answer:
    if stored.fingerprint != mark:
        raise KeyReused
    return Answer(stored.status, stored.body, replayed=True)


def forget_old(*, now: datetime) -> int:
    """Delete answers that are not given again any more; returns how many."""
    return StoredAnswer.objects.filter(created_at__lt=now - KEPT).delete()[0]
