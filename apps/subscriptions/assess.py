"""From facts to a level: the only way a score is computed, for one subscription and for a batch alike."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from apps.subscriptions import metrics
from apps.subscriptions.factors import Evaluator, FactorSet, evaluators, number
from apps.subscriptions.facts import Facts
from apps.subscriptions.models import RiskLevel

logger = structlog.get_logger(__name__)

HIGH_FROM = Decimal(10)
MEDIUM_FROM = Decimal(5)
REASON_LENGTH = 300
_ALWAYS_STORABLE = frozenset({str, int, bool, type(None)})
_encode = json.JSONEncoder(allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Assessment:
    """What was found about a subscription.

    Attributes:
        level: by the heaviest factor.
        factors: one dict for each evaluator, as they are stored.
        total_weight: sum of all weights, the order within a level.
        degraded: something failed; ``degraded_reason`` says what.
        failed: all of it failed, and the level is a default.
    """

    level: str
    factors: list[dict[str, Any]]
    total_weight: Decimal
    degraded: bool = False
    degraded_reason: str = ""
    failed: bool = False


def level_of(weights: Collection[Decimal]) -> str:
    """The level by the heaviest weight: HIGH from 10, MEDIUM from 5, else LOW."""
    heaviest = max(weights, default=Decimal(0))
    if heaviest >= HIGH_FROM:
        return RiskLevel.HIGH.value
    return RiskLevel.MEDIUM.value if heaviest >= MEDIUM_FROM else RiskLevel.LOW.value


def assess(facts: Facts, factors: FactorSet, *, now: datetime) -> Assessment:
    """Judge one subscription. It raises nothing but the end of a task's time.

    An evaluator that fails weighs nothing; if the calculation itself fails, the level is LOW. Both are marked, counted
    and logged.
    """
    try:
        return _assess(facts, factors, now)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # a calculation may fail in any way, and must not stop the others of its batch
        logger.exception("risk_calculation_failed", subscription=str(getattr(facts, "subscription_id", None)))
        metrics.degraded.labels("calculation").inc()
        reason = f"The calculation failed: {type(error).__name__}: {error}"
        return Assessment(RiskLevel.LOW.value, [], Decimal(0), True, reason[:REASON_LENGTH], failed=True)


def _assess(facts: Facts, factors: FactorSet, now: datetime) -> Assessment:
    found: list[dict[str, Any]] = []
    weights: list[Decimal] = []
    problems: list[str] = []
    for slug, by_name in factors.weights.items():
        factor, weight, problem = _evaluate(evaluators[slug], facts, by_name, now)
        found.append(factor)
        weights.append(weight)
        if problem:
            problems.append(problem)
    reason = "; ".join(problems)[:REASON_LENGTH]
    return Assessment(level_of(weights), found, sum(weights, Decimal(0)), bool(problems), reason)


def _evaluate(
    one: Evaluator, facts: Facts, by_name: Mapping[str, Decimal], now: datetime
) -> tuple[dict[str, Any], Decimal, str]:
    """The factor of one evaluator, its weight, and what went wrong."""
    try:
        finding = one.evaluate(now=now, facts=facts)
        weight = by_name[finding.weight]
        name, details, problem = finding.weight, dict(finding.details), ""
        if not _ALWAYS_STORABLE.issuperset(map(type, (*details, *details.values()))):
            _encode(details)  # what cannot be stored is this evaluator's fault, not its batch's
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # an evaluator may fail in any way; it then weighs nothing, and the others count
        logger.exception("risk_evaluator_failed", evaluator=one.slug, subscription=str(facts.subscription_id))
        metrics.degraded.labels(one.slug).inc()
        weight, name, details = Decimal(0), "NONE", {"error": type(error).__name__}
        problem = f"{one.title} failed: {type(error).__name__}: {error}"
    factor = {"factor_type": one.slug, "weight": name, "weight_value": number(weight), "details": details}
    return factor, weight, problem
