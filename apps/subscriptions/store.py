"""How scores are read and written for a batch: one statement each, whatever its size."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from apps.subscriptions.assess import Assessment
from apps.subscriptions.facts import uuid_array

NOTHING = Decimal(0)


class Result(NamedTuple):
    """A score to be stored; ``version`` names the factors it was computed with."""

    subscription_id: UUID
    owner_id: int
    found: Assessment
    version: str


@dataclass(slots=True)
class Stored:
    """A score as it is stored; ``told`` is the level last told."""

    level: str
    factors: str
    total_weight: Decimal
    calculated_at: datetime
    told: str
    version: str
    degraded: bool
    degraded_reason: str

    def says(self, result: Result) -> bool:
        """Whether the result is what is stored, so that only its time is new."""
        found = result.found
        return (
            self.level == found.level
            and self.degraded == found.degraded
            and self.version == result.version
            and self.degraded_reason == found.degraded_reason
            and json.loads(self.factors) == found.factors
        )

    def differs(self, found: Assessment) -> bool:
        """Whether the result belongs in the history: another level, other weights, or a failure come or gone."""
        return (
            self.level != found.level
            or self.degraded != found.degraded
            or _weights(json.loads(self.factors)) != _weights(found.factors)
        )


def _weights(factors: Any) -> list[tuple[Any, ...]]:
    """What of stored factors counts as a change. They may have been written by a former version, in another shape."""
    if not isinstance(factors, list) or not all(isinstance(one, dict) for one in factors):
        return [(factors,)]
    return [(one.get("factor_type"), one.get("weight"), one.get("weight_value")) for one in factors]


_LOCKED = """
    SELECT subscription_id, risk_level, risk_factors::text, total_weight, last_calculated_at,
           last_notified_risk_level, rule_version, degraded, degraded_reason
    FROM subscription_risk_scores WHERE subscription_id = ANY(%s::uuid[])
    ORDER BY subscription_id FOR NO KEY UPDATE
"""
_LOCK_SUBSCRIPTIONS = """
    SELECT FROM subscriptions_subscription WHERE id = ANY(%s::uuid[]) ORDER BY id FOR NO KEY UPDATE
"""


def locked(ids: Collection[UUID]) -> dict[UUID, Stored]:
    """The scores of these subscriptions, held until the transaction ends.

    Locks are taken in the order of the ids, so that two batches never wait for each other. A first score has no row to
    hold; its subscription's row is held in its place, and looked at again, for another may have written it meanwhile.
    """
    found = _read(ids)
    missing = [one for one in ids if one not in found]
    if missing:
        with connection.cursor() as cursor:
            cursor.execute(_LOCK_SUBSCRIPTIONS, [uuid_array(missing)])
        found |= _read(missing)
    return found


def _read(ids: Collection[UUID]) -> dict[UUID, Stored]:
    with connection.cursor() as cursor:
        cursor.execute(_LOCKED, [uuid_array(ids)])
        return {row[0]: Stored(*row[1:]) for row in cursor.fetchall()}


_TOUCH = "UPDATE subscription_risk_scores SET last_calculated_at = %s WHERE subscription_id = ANY(%s::uuid[])"
# The rows come as one JSON document: the server takes it apart in a fraction of the time that arrays of texts take to be
# escaped here. Rows that belong in the history too name the level before.
_WRITE = """
    WITH new AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%(rows)s::json) AS new(
            subscription uuid, owner bigint, level text, factors jsonb, weight numeric, version text, degraded boolean,
            reason text, previous text)
    ), past AS (
        INSERT INTO subscription_risk_score_history (subscription_id, calculated_at, risk_level, previous_level, risk_factors,
            total_weight, rule_version, degraded)
        SELECT subscription, %(now)s, level, previous, factors, weight, version, degraded FROM new
        WHERE previous IS NOT NULL
    )
    INSERT INTO subscription_risk_scores (id, subscription_id, user_id, risk_level, risk_factors, total_weight,
        last_calculated_at, last_notified_risk_level, rule_version, degraded, degraded_reason)
    SELECT gen_random_uuid(), subscription, owner, level, factors, weight, %(now)s, '', version, degraded, reason FROM new
    ON CONFLICT (subscription_id) DO UPDATE SET risk_level = EXCLUDED.risk_level,
        risk_factors = EXCLUDED.risk_factors, total_weight = EXCLUDED.total_weight,
        last_calculated_at = EXCLUDED.last_calculated_at, rule_version = EXCLUDED.rule_version,
        degraded = EXCLUDED.degraded, degraded_reason = EXCLUDED.degraded_reason
"""
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def write(touched: Collection[UUID], written: Collection[tuple[Result, str | None]], now: datetime) -> None:
    """Store scores.

    Args:
        touched: subscriptions whose score is as before.
        written: scores that are new or changed, each with the level before if the change belongs in the history.
        now: when they were calculated.
    """
    with connection.cursor() as cursor:
        if touched:
            cursor.execute(_TOUCH, [now, uuid_array(touched)])
        if written:
            cursor.execute(_WRITE, {"now": now, "rows": _encode([_row(one, previous) for one, previous in written])})


def _row(one: Result, previous: str | None) -> dict[str, Any]:
    found = one.found
    return {
        "subscription": str(one.subscription_id), "owner": one.owner_id, "level": found.level,
        "factors": found.factors, "weight": str(found.total_weight), "version": one.version, "degraded": found.degraded,
        "reason": found.degraded_reason, "previous": previous,
    }  # fmt: skip
