"""Orders agree with their lines, refunds and transactions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from pydantic import Field

from apps.core.numbers import plural
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site

MOST_NAMED = 10


class Settings(CheckSettings):
    """What is looked at, and what is bearable."""

    days: int = Field(90, ge=1, le=3650, title="Days", description="Orders that changed within so many days.")
    tolerance: float = Field(
        0.01, ge=0, le=0.5, title="Tolerance", description="Share of an order's total by which sums may differ."
    )


# Each question finds orders that contradict themselves. Sums are compared within one currency only.
_QUESTIONS = {
    "paid back more than the total": """
        SELECT o.id FROM looked_at o JOIN orders_refund r ON r.order_id = o.id AND r.currency = o.currency
        GROUP BY o.id, o.total HAVING sum(r.amount) > o.total * (1 + %(tolerance)s::numeric)
    """,
    "charged more than the total": """
        SELECT o.id FROM looked_at o JOIN orders_transaction t ON t.order_id = o.id AND t.currency = o.currency
        WHERE t.kind IN ('sale', 'capture') AND t.status = 'success'
        GROUP BY o.id, o.total HAVING sum(t.amount) > o.total * (1 + %(tolerance)s::numeric)
    """,
    "refunds of another store or currency": """
        SELECT o.id FROM looked_at o JOIN orders_refund r ON r.order_id = o.id
        WHERE r.store_id <> o.store_id OR r.currency <> o.currency
    """,
    "refunded without a refund": """
        SELECT o.id FROM looked_at o WHERE o.financial_status = 'refunded'
            AND NOT EXISTS (SELECT FROM orders_refund r WHERE r.order_id = o.id)
    """,
    "more given back than was ordered": """
        SELECT o.id FROM looked_at o JOIN orders_orderline l ON l.order_id = o.id
            JOIN orders_refundline g ON g.order_line_id = l.id
        GROUP BY o.id, l.id, l.quantity HAVING sum(g.quantity) > l.quantity
    """,
}
_DOUBTS = {
    "no lines": "SELECT o.id FROM looked_at o WHERE NOT EXISTS (SELECT FROM orders_orderline l WHERE l.order_id = o.id)",
    "lines far above the total": """
        SELECT o.id FROM looked_at o JOIN orders_orderline l ON l.order_id = o.id
        GROUP BY o.id, o.total HAVING sum(l.quantity * l.price) > 5 * o.total AND o.total > 0
    """,
}
_LOOKED_AT = """
    WITH looked_at AS (
        SELECT o.* FROM orders_order o WHERE o.deleted_at IS NULL AND o.synced_at BETWEEN %(since)s AND %(now)s
    )
"""


@check(
    slug="orders-consistent",
    title="Orders agree with their lines, refunds and transactions",
    every=timedelta(hours=6),
    settings=Settings,
    mitigation="Compare the named orders with the store; reconcile the store to read them again.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Compares sums of lines, refunds and transactions with the totals of the orders that changed lately."""
    asked: dict[str, Any] = {"now": now, "since": now - timedelta(days=settings.days), "tolerance": settings.tolerance}
    wrong = {words: _orders(question, asked) for words, question in _QUESTIONS.items()}
    doubtful = {words: _orders(question, asked) for words, question in _DOUBTS.items()}
    with connection.cursor() as cursor:
        cursor.execute(f"{_LOOKED_AT} SELECT count(*) FROM looked_at", asked)  # noqa: S608 - constants
        count = cursor.fetchone()[0]
    found = {words: {"orders": len(ids), "ids": ids[:MOST_NAMED]} for words, ids in (wrong | doubtful).items() if ids}
    return concluded(
        f"{plural(count, 'order agrees', 'orders agree')} with their lines, refunds and transactions.",
        failures=[f"{plural(len(ids), 'order')}: {words}." for words, ids in wrong.items() if ids],
        warnings=[f"{plural(len(ids), 'order')}: {words}." for words, ids in doubtful.items() if ids],
        facts={"orders": count, "contradictions": found},
        query="orders that changed lately, against their parts",
    )


def _orders(question: str, asked: dict[str, Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(f"{_LOOKED_AT} SELECT DISTINCT found.id FROM ({question}) AS found ORDER BY 1", asked)  # noqa: S608 - constants
        return [key for (key,) in cursor.fetchall()]
