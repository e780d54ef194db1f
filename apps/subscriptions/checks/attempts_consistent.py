"""Subscriptions agree with their renewal attempts and balances."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from pydantic import Field

from apps.core.numbers import plural
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site
from apps.subscriptions.models import AccountBalance, Subscription

MOST_NAMED = 10


class Settings(CheckSettings):
    """What is looked at."""

    days: int = Field(90, ge=1, le=3650, title="Days", description="Attempts and retries of so many days.")


_WRONG = {
    "attempts without the one before": """
        SELECT a.subscription_id FROM subscription_renewal_attempts a WHERE a.attempt_date > %(since)s AND a.number > 1
            AND NOT EXISTS (SELECT FROM subscription_renewal_attempts b WHERE b.subscription_id = a.subscription_id
                AND b.renewal_on = a.renewal_on AND b.number = a.number - 1)
    """,
    "charged again after it was paid": """
        SELECT a.subscription_id FROM subscription_renewal_attempts a
            JOIN subscription_renewal_attempts b ON b.subscription_id = a.subscription_id AND b.renewal_on = a.renewal_on
        WHERE a.attempt_date > %(since)s AND b.success AND a.number > b.number
    """,
    "attempts from the future": """
        SELECT a.subscription_id FROM subscription_renewal_attempts a WHERE a.attempt_date > %(now)s + interval '1 hour'
    """,
    "paid retries without their attempt": """
        SELECT r.subscription_id FROM subscriptions_paymentretry r
        WHERE r.created_at > %(since)s AND r.status = 'paid' AND NOT EXISTS (
            SELECT FROM subscription_renewal_attempts a WHERE a.subscription_id = r.subscription_id
                AND a.renewal_on = r.renewal_on AND a.number = r.number AND a.success AND a.amount = r.amount)
    """,
    "retries that nobody settles": """
        SELECT r.subscription_id FROM subscriptions_paymentretry r
        WHERE r.status = 'running' AND r.created_at < %(now)s - interval '1 day'
            AND (r.next_try_at IS NULL OR r.next_try_at < %(now)s - interval '1 hour')
    """,
}
_DOUBTFUL = {
    "balances in another currency": """
        SELECT b.subscription_id FROM {balance} b JOIN {subscription} s ON s.id = b.subscription_id
        WHERE b.currency <> s.currency
    """,
}


@check(
    slug="attempts-consistent",
    title="Subscriptions agree with their renewal attempts and balances",
    every=timedelta(hours=6),
    settings=Settings,
    mitigation="Compare the named subscriptions with the payment provider, and record what is missing.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Looks for attempts, retries and balances that contradict each other or their subscription."""
    asked: dict[str, Any] = {"now": now, "since": now - timedelta(days=settings.days)}
    wrong = {words: _subscriptions(question, asked) for words, question in _WRONG.items()}
    doubtful = {words: _subscriptions(question, asked) for words, question in _DOUBTFUL.items()}
    found = {words: {"count": len(ids), "ids": ids[:MOST_NAMED]} for words, ids in (wrong | doubtful).items() if ids}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM subscription_renewal_attempts WHERE attempt_date > %(since)s", asked)
        count = cursor.fetchone()[0]
    return concluded(
        f"{plural(count, 'attempt')} of {settings.days} days agree{'s' if count == 1 else ''} with their subscriptions, retries and balances.",
        failures=[f"{plural(len(ids), 'subscription')}: {words}." for words, ids in wrong.items() if ids],
        warnings=[f"{plural(len(ids), 'subscription')}: {words}." for words, ids in doubtful.items() if ids],
        facts={"attempts": count, "contradictions": found},
        query="attempts, retries and balances against subscriptions",
    )


def _subscriptions(question: str, asked: dict[str, Any]) -> list[str]:
    text = question.format(balance=AccountBalance._meta.db_table, subscription=Subscription._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT found.id::text FROM ({text}) AS found(id) ORDER BY 1", asked)  # noqa: S608 - constants
        return [key for (key,) in cursor.fetchall()]
