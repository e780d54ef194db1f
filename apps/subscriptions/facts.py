"""The facts by which subscriptions are judged, gathered for many at once.

One statement, whatever their number: evaluators get what they need as values and ask nothing themselves, so that one
subscription and a batch of thousands take the same path.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about one subscription.

    Attributes:
        price: amount of the next renewal, in ``currency``.
        consecutive_failures: renewals in a row, the newest first, of which no try succeeded. A renewal is all tries that
            share a renewal date.
        total_attempts: tries of all renewals.
        last_decline_kind: of the last try: ``soft``, ``hard`` or empty.
        balance_amount: what is there to pay with, in ``balance_currency``; None if nothing is known.
        approval_expires_at: end of the active renewal approval that ends last; None if there is none.
    """

    subscription_id: UUID
    owner_id: int
    scope_id: int | None
    price: Decimal
    currency: str
    renews_on: date
    status: str
    consecutive_failures: int
    total_attempts: int
    last_attempt_at: datetime | None
    last_decline_kind: str
    balance_amount: Decimal | None
    balance_currency: str | None
    balance_as_of: datetime | None
    approval_expires_at: datetime | None


# Approvals whose end has passed are gathered too: that one was there, and when it ended, is part of the reason.
# Only the newest try is read from the table; what else is asked of the tries stands in indexes.
_GATHER = """
    SELECT s.id, s.owner_id, s.scope_id, s.price, s.currency, s.renews_on, s.status,
           unpaid.failures, tried.total, newest.attempt_date, coalesce(newest.decline_kind, ''),
           balance.amount, balance.currency, balance.as_of, approval.expires_at
    FROM unnest(%s::uuid[]) AS wanted(id)
    JOIN subscriptions_subscription s ON s.id = wanted.id
    LEFT JOIN subscriptions_accountbalance balance ON balance.subscription_id = s.id
    CROSS JOIN LATERAL (
        SELECT count(*) AS total FROM subscription_renewal_attempts WHERE subscription_id = s.id
    ) tried
    CROSS JOIN LATERAL (
        SELECT max(renewal_on) AS renewal_on FROM subscription_renewal_attempts WHERE subscription_id = s.id AND success
    ) paid
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT renewal_on) AS failures FROM subscription_renewal_attempts
        WHERE subscription_id = s.id AND renewal_on > coalesce(paid.renewal_on, '-infinity')
    ) unpaid
    LEFT JOIN LATERAL (
        SELECT attempt_date, decline_kind FROM subscription_renewal_attempts
        WHERE subscription_id = s.id ORDER BY attempt_date DESC, number DESC LIMIT 1
    ) newest ON true
    LEFT JOIN LATERAL (
        SELECT max(expires_at) AS expires_at FROM subscription_approvals
        WHERE subscription_id = s.id AND status = 'active' AND approval_type = 'renewal'
    ) approval ON true
"""


def gather(ids: Collection[UUID], *, now: datetime) -> dict[UUID, Facts]:
    """The facts of these subscriptions as they are stored now, by one query; unknown ids are absent.

    Args:
        now: the moment that is judged. What is stored is taken as it is: nothing of it can lie in the future.
    """
    return {row[0]: Facts(*row) for row in rows(ids)}


def rows(ids: Collection[UUID]) -> list[tuple[Any, ...]]:
    """The same as plain rows, in the order of the fields of :class:`Facts`."""
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_GATHER, [uuid_array(ids)])
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def uuid_array(ids: Collection[UUID]) -> str:
    """Ids as the database reads an array; none of them needs quotes, for which a list of values would be searched."""
    return "{" + ",".join(map(str, ids)) + "}"
