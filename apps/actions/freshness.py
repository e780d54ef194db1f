"""How fresh a card's facts are: computed from when they were observed and when its rule last ran, never claimed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import connection

from apps.actions.models import ActionCard
from apps.actions.rules import Rule, rules

INTERVAL = timedelta(minutes=15)
"""How often rules are judged; the schedule is in config/celery.py."""

LATE = 2 * INTERVAL
"""After so long without a good run monitoring counts as down."""

_LAST_GOOD = """
    SELECT asked.rule, last.finished_at FROM unnest(%s::text[]) AS asked (rule) CROSS JOIN LATERAL (
        SELECT finished_at FROM actions_rulerun
        WHERE actions_rulerun.rule = asked.rule AND status = 'succeeded' AND trigger IN ('schedule', 'command')
        ORDER BY finished_at DESC LIMIT 1
    ) AS last
"""


def last_good_runs(slugs: Iterable[str]) -> dict[str, datetime]:
    """When rules last judged everything with success, in one query; a rule that never did is left out.

    Runs after events do not count, because they judge only what was touched.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LAST_GOOD, [sorted(set(slugs))])
        return dict(cursor.fetchall())


def allowed_silence(rule: Rule | None) -> timedelta:
    """How long a rule may go without a good run before its cards count as stale."""
    return timedelta(days=1) + LATE if rule and rule.once_a_day else LATE


def freshness(card: ActionCard, *, now: datetime, last_good: Mapping[str, datetime]) -> str:
    """A card's freshness label, such as ``2 minutes ago`` or ``stale: monitoring late, facts from 3 hours ago``.

    Args:
        card: with its ``scope`` loaded.
        last_good: from :func:`last_good_runs`, for all cards of a page at once.
    """
    facts = ago(now - card.observed_at)
    if card.status not in ActionCard.LIVE:
        return f"as decided, facts from {card.observed_at:%Y-%m-%d %H:%M} UTC"
    if card.scope is not None and card.scope.judged_as_of is not None:
        return f"as of {card.scope.judged_as_of:%Y-%m-%d %H:%M} UTC, a copy of that time"
    judged = last_good.get(card.rule)
    rule = next((rule for rule in rules if rule.slug == card.rule), None)
    if judged is None or now - judged > allowed_silence(rule):
        return f"stale: monitoring late, facts from {facts}"
    return facts


_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def ago(age: timedelta) -> str:
    """An age in words: the largest unit that fits."""
    seconds = max(0, int(age.total_seconds()))
    if seconds < 60:
        return "just now"
    unit, length = next((unit, length) for unit, length in _UNITS if seconds >= length)
    count = seconds // length
    return f"{count} {unit}{'' if count == 1 else 's'} ago"
