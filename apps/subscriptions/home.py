"""What the home page says about subscriptions, and the rail's link to the trend."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from apps.core import home
from apps.subscriptions.models import RiskLevel, RiskScore
from apps.subscriptions.reasons import contributing

if TYPE_CHECKING:
    from apps.core.models import User


@home.panel(
    slug="subscriptions",
    title="Subscriptions at risk",
    icon="retry",
    order=25,
    permission="subscriptions.view_riskscore",
)
def subscriptions_panel(user: User, now: datetime) -> home.Content:
    """The counts of the last daily run, and the five worst. Three queries, none of which counts scores."""
    from apps.subscriptions.admin.trends import latest  # admin pages exist only once the apps are loaded

    url = home.address("admin:subscriptions_riskscore_changelist")
    counts = latest(user, now)
    worst = RiskScore.objects.visible_to(user).filter(risk_level=RiskLevel.HIGH, subscription__status="active")
    return home.Content(
        stats=[
            home.Stat(value=counts.high, label="High", tone="bad", url=f"{url}?level=HIGH"),
            home.Stat(value=counts.medium, label="Medium", tone="warn", url=f"{url}?level=MEDIUM"),
            home.Stat(value=counts.low, label="Low", tone="ok", url=f"{url}?level=LOW"),
        ]
        if counts
        else [],
        rows=[_row(score) for score in worst.select_related("subscription").order_by("place", "id")[:5]],
        empty_title="No subscription is at high risk",
        empty="Whoever comes to high risk appears here, with the reasons.",
        url=url,
        more="Risk scores",
    )


def _row(score: RiskScore) -> home.Row:
    return home.Row(
        title=score.subscription.name,
        url=home.address("admin:subscriptions_subscription_change", score.subscription_id),
        meta="; ".join(one.title for one in contributing(score.risk_factors)),
        badge="High",
        tone="bad",
        side=f"due {score.subscription.renews_on}",
    )
