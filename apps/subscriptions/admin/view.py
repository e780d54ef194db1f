"""What the page of one subscription shows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.actions.models import ActionCard
from apps.core.models import User
from apps.subscriptions.admin.shared import (
    LEVEL_TONES,
    STATUS_TONES,
    WEIGHT_TONES,
    approval_state,
    level_badge,
)
from apps.subscriptions.factors import advice
from apps.subscriptions.forms import FORMS
from apps.subscriptions.models import RenewalAttempt, RiskLevel, RiskScore, RiskScoreHistory, Subscription
from apps.subscriptions.reasons import contributing, reasons
from apps.subscriptions.templatetags.risk_plots import Step

MOST_ATTEMPTS, MOST_CHANGES, MOST_APPROVALS, MOST_CARDS = 24, 200, 10, 5
OFFERS = (("attempt", "Record an attempt", "card"), ("approval", "Set an approval", "check-circle"),
          ("balance", "Set the balance", "money"), ("edit", "Change", "edit"))  # fmt: skip


def page_context(subscription: Subscription, user: User, now: datetime) -> dict[str, Any]:
    """All of the page, in a constant number of queries."""
    score: RiskScore | None = getattr(subscription, "risk_score", None)
    changes = list(subscription.score_history.all()[:MOST_CHANGES])
    return {
        "title": subscription.name,
        "now": now,
        "subscription": subscription,
        "status_tone": STATUS_TONES.get(Subscription.Status(subscription.status), "muted"),
        "score": score,
        "level": level_badge(score.risk_level, degraded=score.degraded) if score else level_badge(""),
        "reasons": [(WEIGHT_TONES.get(one.weight, "muted"), one) for one in reasons(score.risk_factors)] if score else [],
        "advice": advice(score.risk_factors) if score else [],
        "steps": [Step(one.calculated_at, one.risk_level, one.degraded) for one in reversed(changes)],
        "changes": [_change(one) for one in changes],
        "attempts": [(_attempt_tone(one), one) for one in subscription.renewal_attempts.all()[:MOST_ATTEMPTS]],
        "approvals": [
            (*approval_state(one, now), one, one.status == "active" and one.expires_at > now)
            for one in subscription.approvals.all()[:MOST_APPROVALS]
        ],
        "balance": getattr(subscription, "balance", None),
        "prediction": getattr(subscription, "prediction", None),
        "cards": _cards(subscription, user),
        "offers": [(what, words, icon) for what, words, icon in OFFERS if user.has_perm(FORMS[what].permission)],
        "may_recalculate": user.has_perm("subscriptions.change_riskscore"),
        "may_revoke": user.has_perm("subscriptions.change_approval"),
    }  # fmt: skip


def _cards(subscription: Subscription, user: User) -> list[ActionCard]:
    if not user.has_perm("actions.view_actioncard"):
        return []
    rows = ActionCard.objects.visible_to(user).filter(subject=f"subscription:{subscription.pk}")
    return list(rows.order_by("-pk")[:MOST_CARDS])


def _change(one: RiskScoreHistory) -> tuple[str, RiskScoreHistory, str]:
    """Tone, row and words of a change of the score."""
    words = "; ".join(str(reason) for reason in contributing(one.risk_factors)) or "nothing adds to the risk"
    return LEVEL_TONES.get(RiskLevel(one.risk_level).value, "muted"), one, words


def _attempt_tone(attempt: RenewalAttempt) -> str:
    return "ok" if attempt.success else "bad"
