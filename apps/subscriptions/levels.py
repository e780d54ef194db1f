"""How many subscriptions are at each level: the overall trend."""

from __future__ import annotations

from collections import Counter
from datetime import date

from django.db import connection, transaction

from apps.subscriptions.models import LevelCount, RiskLevel

_COUNT = """
    SELECT s.scope_id, r.risk_level, count(*)
    FROM subscriptions_subscription s JOIN subscription_risk_scores r ON r.subscription_id = s.id
    WHERE s.status = 'active' GROUP BY s.scope_id, r.risk_level
"""


@transaction.atomic
def count(*, day: date) -> dict[str, int]:
    """Count the active subscriptions by organisation and level, as the figures of a day; those of an earlier count go.

    Returns:
        The sums of all organisations by level.
    """
    with connection.cursor() as cursor:
        cursor.execute(_COUNT)
        found = {(scope, level): number for scope, level, number in cursor.fetchall()}
    LevelCount.objects.filter(day=day).delete()
    sums = Counter({level: 0 for level in RiskLevel.values})
    rows = []
    for scope in {scope for scope, _ in found}:
        for level in RiskLevel.values:  # a level that nobody is at is counted too: the plot has no gaps
            number = found.get((scope, level), 0)
            sums[level] += number
            rows.append(LevelCount(day=day, scope_id=scope, risk_level=level, subscriptions=number))
    LevelCount.objects.bulk_create(rows)
    return dict(sums)
