"""Judges the invented past a day at a time, as the daily runs would have."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from apps.subscriptions.assess import Assessment, assess
from apps.subscriptions.demo.lives import DAYS, Life
from apps.subscriptions.factors import factor_set
from apps.subscriptions.facts import Facts
from apps.subscriptions.models import LevelCount, RiskLevel, RiskScore, RiskScoreHistory, Subscription

Pairs = list[tuple[Subscription, Life]]


def judge(pairs: Pairs, *, now: datetime) -> None:
    """Store the history, the counts of each day and the scores of yesterday."""
    factors = factor_set(None)
    last: dict[UUID, Assessment] = {}
    history: list[RiskScoreHistory] = []
    counts: dict[tuple[date, int | None, str], int] = {}
    for back in range(DAYS, 0, -1):
        at = datetime.combine(now.date() - timedelta(days=back), time(2), UTC)
        for one, life in pairs:
            found = assess(facts_on(one, life, at), factors, now=at)
            before = last.get(one.pk)
            if before is None or _differs(before, found):
                history.append(_row(one, found, before, at, factors.label))
            last[one.pk] = found
            if one.status == "active":
                for level in RiskLevel.values:
                    key = (at.date(), one.scope_id, level)
                    counts[key] = counts.get(key, 0) + (level == found.level)
    RiskScoreHistory.objects.bulk_create(history)
    LevelCount.objects.bulk_create(
        [
            LevelCount(day=day, scope_id=scope, risk_level=level, subscriptions=n)
            for (day, scope, level), n in counts.items()
        ]
    )
    RiskScore.objects.bulk_create(
        [
            RiskScore(
                subscription=one, user_id=one.owner_id, risk_level=last[one.pk].level, risk_factors=last[one.pk].factors,
                total_weight=last[one.pk].total_weight, last_calculated_at=at, rule_version=factors.label,
            )
            for one, _ in pairs
        ]
    )  # fmt: skip


def _differs(before: Assessment, found: Assessment) -> bool:
    return before.level != found.level or before.total_weight != found.total_weight


def _row(
    one: Subscription, found: Assessment, before: Assessment | None, at: datetime, version: str
) -> RiskScoreHistory:
    return RiskScoreHistory(
        subscription=one,
        calculated_at=at,
        risk_level=found.level,
        previous_level=before.level if before else "",
        risk_factors=found.factors,
        total_weight=found.total_weight,
        rule_version=version,
    )


def facts_on(one: Subscription, life: Life, at: datetime) -> Facts:
    """What was known of a subscription at a moment."""
    known = [each for each in life.tries if each.at <= at]
    paid = max((each.renewal_on for each in known if each.paid), default=None)
    failed = {each.renewal_on for each in known if paid is None or each.renewal_on > paid}
    newest = max(known, key=lambda each: each.at, default=None)
    balance = max(((when, amount) for when, amount in life.balances if when <= at), default=None)
    kind = "" if newest is None or newest.paid else "hard" if newest.code == "expired_card" else "soft"
    return Facts(
        subscription_id=one.pk, owner_id=one.owner_id, scope_id=one.scope_id, price=one.price, currency=one.currency,
        renews_on=one.renews_on, status=one.status, consecutive_failures=len(failed), total_attempts=len(known),
        last_attempt_at=newest.at if newest else None, last_decline_kind=kind,
        balance_amount=balance[1] if balance else Decimal(life.price * 3), balance_currency=one.currency,
        balance_as_of=balance[0] if balance else at, approval_expires_at=life.approval_ends,
    )  # fmt: skip
