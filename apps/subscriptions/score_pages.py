"""Scores as the API shows them: found, ordered, counted and written as JSON by one statement of PostgreSQL.

By hand, for programs ask it all day: to build the statements by the ORM and the JSON from rows took longer than all the
rest of a request (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID

from apps.core.models import User
from apps.core.prepared import prepared
from apps.core.scope import scope_ids_of, sees_every_scope
from apps.subscriptions.querysets import PLACES, WORST_FIRST

MERGED = 12
"""Organisations whose lists are merged; with more of them it is cheaper to pass by the scores of the others."""

_JSON = """row_to_json((SELECT one FROM (SELECT
    s.subscription_id, s.risk_level, s.risk_factors, s.total_weight::text,
    (to_json(s.last_calculated_at AT TIME ZONE 'UTC') #>> '{}') || 'Z' AS last_calculated_at,
    s.rule_version, s.degraded, s.degraded_reason
) one))::text"""
_PAGE = """
    SELECT {json}, s.risk_level, s.total_weight, s.id, (SELECT count(*) FROM ({counted}) c)
    FROM ({page}) s ORDER BY s.place, s.id LIMIT {most}
"""
_ONE = "SELECT {json} FROM subscription_risk_scores s WHERE {where}"
_PART = "(SELECT * FROM subscription_risk_scores WHERE {where} ORDER BY place, id LIMIT {most})"
_FEW = "(SELECT FROM subscription_risk_scores WHERE {where} LIMIT {most})"


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on scores, with the values for its ``%s``."""

    sql: str = "TRUE"
    values: tuple[Any, ...] = ()

    def __and__(self, other: Where) -> Where:
        return Where(f"({self.sql}) AND ({other.sql})", self.values + other.values)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which scores a list is to have.

    Attributes:
        levels: some of ``WORST_FIRST``.
        degraded: None for both.
        scope: slug of an organisation; None for all.
    """

    levels: frozenset[str] = frozenset(WORST_FIRST)
    degraded: bool | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class ScorePage:
    """A page of scores.

    Attributes:
        rows: each as JSON.
        last: level, sum of weights and id of the last one; None if no page follows.
        counted: rows of all pages, up to the bound that was asked for.
    """

    rows: Sequence[str]
    last: tuple[str, Decimal, UUID] | None
    counted: int


def page(
    user: User, filters: Filters, *, size: int, after: tuple[Decimal, UUID] | None, most_counted: int
) -> ScorePage:
    """Scores that a person may see: HIGH before MEDIUM before LOW, and by the sum of weights within a level.

    Args:
        size: rows at most.
        after: place and id of the score that the page begins behind.
        most_counted: rows are counted up to this number.
    """
    wanted = [part & one for part in seen_by(user) for one in _chosen(filters)]
    behind = Where("(place, id) > (%s, %s)", after) if after else Where()
    parts = [part & behind for part in wanted]
    counted = " UNION ALL ".join(_FEW.format(where=part.sql, most=most_counted) for part in wanted)
    statement = _PAGE.format(
        json=_JSON,
        counted=f"SELECT FROM ({counted}) few LIMIT {most_counted}",
        page=" UNION ALL ".join(_PART.format(where=part.sql, most=size + 1) for part in parts),
        most=size + 1,
    )
    found = prepared(statement, list(chain(*(part.values for part in (*wanted, *parts)))))
    if not found and after:  # behind the last one, so there is no row that says how many there are
        return page(user, filters, size=0, after=None, most_counted=most_counted)
    last = found[size - 1][1:4] if len(found) > size > 0 else None
    return ScorePage([row[0] for row in found[:size]], last, found[0][4] if found else 0)


def one(user: User, subscription_id: UUID) -> str | None:
    """The score of a subscription as JSON; None if there is none, or the person may not see it."""
    parts = seen_by(user)
    seen = Where(" OR ".join(f"({part.sql})" for part in parts), tuple(chain(*(part.values for part in parts))))
    where = Where("subscription_id = %s", (subscription_id,)) & seen
    found = prepared(_ONE.format(json=_JSON, where=where.sql), where.values)
    return found[0][0] if found else None


def seen_by(user: User) -> list[Where]:
    """What a person may see, as parts without overlap that an index has in the order of the list.

    It is what ``RiskScoreQuerySet.visible_to`` says.
    """
    if not user.is_active or not user.is_authenticated:
        return [Where("FALSE")]
    own = Where("user_id = %s", (user.pk,))
    if not user.has_perm("subscriptions.view_subscription"):
        return [own]
    if sees_every_scope(user):
        return [Where()]
    scopes = scope_ids_of(user)
    if len(scopes) > MERGED:
        return [Where("scope_id IS NULL OR scope_id = ANY(%s::bigint[]) OR user_id = %s", (scopes, user.pk))]
    elsewhere = Where("scope_id IS NOT NULL AND scope_id <> ALL(%s::bigint[])", (scopes,))
    return [*(Where("scope_id = %s", (scope,)) for scope in scopes), Where("scope_id IS NULL"), own & elsewhere]


def _chosen(filters: Filters) -> list[Where]:
    """The filters; levels that are no neighbours are a part each."""
    rest = Where()
    if filters.degraded is not None:
        rest = Where("degraded" if filters.degraded else "NOT degraded")  # not as a value: an index has this condition
    if filters.scope is not None:
        rest &= Where("scope_id = (SELECT id FROM core_scope WHERE slug = %s)", (filters.scope,))
    levels = sorted(map(WORST_FIRST.index, filters.levels))
    ranges = [[0], [2]] if levels == [0, 2] else [levels]  # places of neighbouring levels are one range
    return [_at(one[0], one[-1]) & rest for one in ranges]


def _at(first: int, last: int) -> Where:
    """The levels from one to another, by the range of places that these have."""
    above = Where(f"place > {(first - 1) * PLACES}") if first > 0 else Where()
    return above & Where(f"place <= {last * PLACES}") if last < len(WORST_FIRST) - 1 else above
