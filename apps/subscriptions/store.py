"""How scores are read and written for a batch: one statement each, whatever its size."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from apps.subscriptions.assess import Assessment

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

    owner_id: int
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
            and self.owner_id == result.owner_id
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
    SELECT subscription_id, user_id, risk_level, risk_factors::text, total_weight, last_calculated_at,
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
            cursor.execute(_LOCK_SUBSCRIPTIONS, [missing])
        found |= _read(missing)
    return found


def _read(ids: Collection[UUID]) -> dict[UUID, Stored]:
    with connection.cursor() as cursor:
        cursor.execute(_LOCKED, [list(ids)])
        return {row[0]: Stored(*row[1:]) for row in cursor.fetchall()}


_TOUCH = "UPDATE subscription_risk_scores SET last_calculated_at = %s WHERE subscription_id = ANY(%s::uuid[])"
_WRITE = """
    INSERT INTO subscription_risk_scores (id, subscription_id, user_id, risk_level, risk_factors, total_weight,
        last_calculated_at, last_notified_risk_level, rule_version, degraded, degraded_reason)
    SELECT gen_random_uuid(), subscription, owner, level, factors, weight, %s, '', version, degraded, reason
    FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::jsonb[], %s::numeric[], %s::text[], %s::boolean[], %s::text[])
        AS new(subscription, owner, level, factors, weight, version, degraded, reason)
    ON CONFLICT (subscription_id) DO UPDATE SET user_id = EXCLUDED.user_id, risk_level = EXCLUDED.risk_level,
        risk_factors = EXCLUDED.risk_factors, total_weight = EXCLUDED.total_weight,
        last_calculated_at = EXCLUDED.last_calculated_at, rule_version = EXCLUDED.rule_version,
        degraded = EXCLUDED.degraded, degraded_reason = EXCLUDED.degraded_reason
"""
_HISTORY = """
    INSERT INTO subscription_risk_score_history (subscription_id, calculated_at, risk_level, previous_level, risk_factors,
        total_weight, rule_version, degraded)
    SELECT subscription, %s, level, previous, factors, weight, version, degraded
    FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::jsonb[], %s::numeric[], %s::text[], %s::boolean[])
        AS new(subscription, level, previous, factors, weight, version, degraded)
"""


def write(
    touched: Sequence[UUID], written: Sequence[Result], history: Sequence[tuple[Result, str]], now: datetime
) -> None:
    """Store scores.

    Args:
        touched: subscriptions whose score is as before.
        written: scores that are new or changed.
        history: changes with the level before.
        now: when they were calculated.
    """
    texts = {one.subscription_id: json.dumps(one.found.factors, separators=(",", ":")) for one in written}
    with connection.cursor() as cursor:
        if touched:
            cursor.execute(_TOUCH, [now, list(touched)])
        if written:
            rows = [
                (s, owner, f.level, texts[s], f.total_weight, version, f.degraded, f.degraded_reason)
                for s, owner, f, version in written
            ]
            cursor.execute(_WRITE, [now, *_columns(rows)])
        if history:
            changes = [
                (one.subscription_id, one.found.level, previous, texts[one.subscription_id], one.found.total_weight,
                 one.version, one.found.degraded)
                for one, previous in history
            ]  # fmt: skip
            cursor.execute(_HISTORY, [now, *_columns(changes)])


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
