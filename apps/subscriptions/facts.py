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
_GATHER = """
    SELECT s.id, s.owner_id, s.scope_id, s.price, s.currency, s.renews_on, s.status,
           tried.failures, tried.total, tried.last_at, coalesce(tried.kind, ''),
           balance.amount, balance.currency, balance.as_of, approval.expires_at
    FROM unnest(%s::uuid[]) AS wanted(id)
    JOIN subscriptions_subscription s ON s.id = wanted.id
    LEFT JOIN subscriptions_accountbalance balance ON balance.subscription_id = s.id
    LEFT JOIN LATERAL (
        SELECT count(*) AS total,
               count(DISTINCT renewal_on) FILTER (WHERE paid IS NULL OR renewal_on > paid) AS failures,
               max(attempt_date) AS last_at,
               (array_agg(decline_kind ORDER BY attempt_date DESC, number DESC))[1] AS kind
        FROM (
            SELECT renewal_on, attempt_date, number, decline_kind, max(renewal_on) FILTER (WHERE success) OVER () AS paid
            FROM subscription_renewal_attempts WHERE subscription_id = s.id
        ) attempt
    ) tried ON true
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
        cursor.execute(_GATHER, [list(ids)])
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
