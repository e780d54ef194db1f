"""What the home page says about action cards and monitoring."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Count, Max

from apps.actions.models import ActionCard, RuleRun
from apps.core import home
from apps.core.templatetags.desk import money

if TYPE_CHECKING:
    from apps.core.models import User

ICONS = {
    ActionCard.Kind.ORDER_AGING: "clock",
    ActionCard.Kind.CARRIER_DELAY: "truck",
    ActionCard.Kind.REFUND_ANOMALY: "refund",
    ActionCard.Kind.FRAUD_PATTERN: "shield-alert",
    ActionCard.Kind.SUBSCRIPTION_RISK: "retry",
    ActionCard.Kind.CONTENT: "book",
    ActionCard.Kind.MONITORING: "pulse",
}
# Sweeps come every 15 minutes; two missed ones mean that nobody is watching.
SILENCE = timedelta(minutes=35)

home.link(
    group="Work",
    title="Dashboard",
    icon="chart",
    url_name="admin:actions_actioncard_dashboard",
    permission="actions.view_actioncard",
    order=15,
)
home.search(url_name="admin:actions_actioncard_changelist", label="Search cards", permission="actions.view_actioncard")


@home.panel(slug="queue", title="Action cards", icon="queue", order=10, permission="actions.view_actioncard")
def queue_panel(user: User, now: datetime) -> home.Content:
    """Open cards by tier and the five that come first. Two queries."""
    queue = ActionCard.objects.visible_to(user).queue()
    by_tier = dict(queue.order_by().values_list("risk_tier").annotate(n=Count("id")))
    url = home.address("admin:actions_actioncard_changelist")
    tiers = reversed(ActionCard.Tier.choices)
    return home.Content(
        stats=[
            home.Stat(value=by_tier.get(tier, 0), label=str(label), tone=tier, url=f"{url}?risk_tier__exact={tier}")
            for tier, label in tiers
        ],
        rows=[_card_row(card) for card in queue[:5]],
        empty_title="The queue is empty",
        empty="No card waits for a decision. New ones appear here by themselves.",
        url=url,
        more="Open the queue",
    )


def _card_row(card: ActionCard) -> home.Row:
    return home.Row(
        title=card.target,
        url=home.address("admin:actions_actioncard_change", card.pk),
        meta=card.get_kind_display(),
        tone=card.risk_tier,
        badge=card.get_risk_tier_display(),
        side=money(card.expected_impact, card.currency),
        icon=ICONS.get(ActionCard.Kind(card.kind), "alert"),
        at=card.opened_at,
    )


@home.panel(slug="failed", title="Failed executions", icon="x-circle", order=20, permission="actions.view_actioncard")
def failed_panel(user: User, now: datetime) -> home.Content | None:
    """Cards whose approved action did not go through; nothing is shown when there are none."""
    failed = ActionCard.objects.visible_to(user).filter(status=ActionCard.Status.FAILED).order_by("-priority", "id")[:5]
    rows = [_card_row(card) for card in failed]
    return home.Content(rows=rows) if rows else None


@home.panel(
    slug="monitoring", title="Monitoring", icon="pulse", order=15, permission="actions.view_rulerun", column="side"
)
def monitoring_panel(user: User, now: datetime) -> home.Content:
    """When a sweep last succeeded, and which rules failed in the last hour."""
    recent = RuleRun.objects.filter(started_at__gte=now - timedelta(hours=24), started_at__lte=now)
    last = recent.filter(status=RuleRun.Status.SUCCEEDED).aggregate(at=Max("finished_at"))["at"]
    failing = (
        recent.filter(status=RuleRun.Status.FAILED, started_at__gte=now - timedelta(hours=1))
        .values_list("rule")
        .annotate(at=Max("started_at"))
        .order_by("-at")[:5]
    )
    url = home.address("admin:actions_rulerun_changelist")
    alive = last is not None and now - last <= SILENCE
    beat = home.Row(
        title="Order monitoring runs" if alive else "Order monitoring is silent",
        meta="Last good run" if last else "No good run in 24 hours",
        at=last,
        badge="Up" if alive else "Down",
        tone="ok" if alive else "bad",
        url=url,
        icon="check-circle" if alive else "alert",
    )
    broken = [home.Row(title=rule, at=at, badge="Failed", tone="bad", url=f"{url}?q={rule}") for rule, at in failing]
    return home.Content(rows=[beat, *broken], url=url, more="Runs")
