"""Failing control: a check of the register fails, so mitigations that people rely on do not hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Max
from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, Tier, detector
from apps.register.checking import checks
from apps.register.models import CheckResult, Control, Risk

_FIGURES = re.compile(r"\d+")


class Settings(RuleSettings):
    """When a failing check is worth a card."""

    patience_minutes: int = Field(
        0, ge=0, le=1440, title="Patience", description="Minutes for which a check must fail before a card opens."
    )
    policy_severity: int = Field(
        60,
        ge=1,
        le=100,
        title="Policy",
        description="Severity of the worst risk (1 to 100) from which the tier is policy.",
    )


@detector(
    slug="failing-control",
    title="Failing control",
    kind="monitoring-alert",
    settings=Settings,
    watch=True,
    mitigation="Do what the check says, then run it again under Checks, or by manage.py run_checks.",
    escalation="Escalate to the owner of the risks that rely on the control when it still fails the next day.",
    rollback="Nothing to roll back; the card resolves itself when the check passes.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Checks whose latest result fails, or that could not look at all, each with the risks that rely on it."""
    failing = CheckResult.objects.filter(
        latest=True, outcome__in=["fail", "error"], since__lte=now - timedelta(minutes=settings.patience_minutes)
    )
    for result in failing.order_by("check_slug"):
        if result.check_slug in checks:  # a check that was removed is nobody's to mend
            yield _hit(result, settings)


def _hit(result: CheckResult, settings: Settings) -> Hit:
    one = checks[result.check_slug]
    risks = _relying(result.check_slug)
    worst = risks.aggregate(worst=Max("severity"))["worst"] or 0
    count = risks.count()
    tier: Tier = "policy" if worst >= settings.policy_severity else "safety" if count else "low"
    relying = f"{count} open risks rely on it" if count != 1 else "One open risk relies on it"
    return Hit(
        subject=f"check:{one.slug}",
        scope_id=None,
        target=f"Check: {one.title}",
        draft=_first_said_so(result),
        rationale=f"It is not so that: {one.title[:1].lower()}{one.title[1:]}, since {result.since:%Y-%m-%d %H:%M} UTC. {relying}.",
        data=_data(result, risks, worst),
        source="riskdesk",
        operation="check-result",
        query=f"check {one.slug}",
        observed_at=result.checked_at,
        expected_impact=Decimal(0),
        currency="USD",
        confidence=Decimal(1) if result.outcome == "fail" else Decimal("0.5"),
        ease=3,
        tier=tier,
        can_execute=False,
        expected_loss=Decimal(10 * worst),
        mitigation=one.mitigation,
    )


def _first_said_so(result: CheckResult) -> str:
    """The summary with which the same was first found, so that a figure that grows with time is no change of the card."""
    streak = CheckResult.objects.filter(check_slug=result.check_slug, checked_at__gte=result.since).order_by("id")
    said = streak.values_list("summary", flat=True)[:500]
    same = _FIGURES.sub("", result.summary)
    return next((words for words in said if _FIGURES.sub("", words) == same), result.summary)


def _relying(slug: str) -> Any:
    controls = Control.objects.filter(check_slug=slug, active=True)
    return Risk.objects.open().filter(mitigations__controls__in=controls).distinct()


def _data(result: CheckResult, risks: Any, worst: int) -> dict[str, Any]:
    """The facts. The moment of the look is left out: an unchanged failure must not update the card every five minutes."""
    return {
        "check": result.check_slug,
        "outcome": result.outcome,
        "since": result.since.isoformat(),
        "risks": list(risks.order_by("-severity", "id").values_list("reference", flat=True)[:10]),
        "worstSeverity": worst,
    }
