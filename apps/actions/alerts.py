"""Alerts: what people are told at once, beside the cards in the queue.

An alert is news, told once per episode: the open cards that make it up name the episode.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count

from apps.actions import kpis, metrics
from apps.actions.freshness import last_good_runs
from apps.actions.models import ActionCard
from apps.actions.rules import rules
from apps.core.notifications import notify
from apps.core.roles import Role, people_with
from apps.core.scope import may_work_in

HIGH_REFUND_RULES = ("refund-daily-rate", "refund-weekly-rate", "refund-spike", "refund-drift")
FRAUD_WINDOW = timedelta(hours=24)
FRAUD_PATTERNS = 3
"""So many different fraud rules with new cards in one scope within the window are several patterns at once."""

# Of the cards of the watch over monitoring, by rule; {} is what the card is about.
_TITLES = {
    "monitoring-down": "Monitoring is down",
    "false-positives": "High false-positive rate: {}",
    "failing-control": "A control fails. {}",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell, with the scope whose people are told (None: all) and the key that names the episode."""

    title: str
    body: str
    url: str
    key: str
    critical: bool
    card: ActionCard | None = None


def watch_rules() -> list[str]:
    """Rules that are judged by the watch over monitoring."""
    return [rule.slug for rule in rules if rule.watch]


def holding(now: datetime) -> list[Alert]:
    """The alerts that hold now."""
    return [*_monitoring(), *_refunds(), *_fraud(now)]


def _card_url(card: ActionCard) -> str:
    return f"/admin/actions/actioncard/{card.pk}/change/"


def _monitoring() -> list[Alert]:
    """Monitoring down (critical) and rules that are mostly wrong (a warning), as their cards say."""
    cards = ActionCard.objects.filter(kind=ActionCard.Kind.MONITORING, status="open", rule__in=watch_rules())
    return [
        Alert(
            title=_TITLES.get(card.rule, "{}").format(card.target),
            body=f"{card.draft}\n\n{card.mitigation}",
            url=_card_url(card),
            key=f"{card.rule}:{card.pk}",
            critical=card.rule == "monitoring-down",
            card=card,
        )
        for card in cards.order_by("pk")
    ]


def _refunds() -> list[Alert]:
    """Open cards of refund rates, a critical alert each."""
    cards = ActionCard.objects.filter(rule__in=HIGH_REFUND_RULES, status="open").select_related("scope").order_by("pk")
    return [
        Alert(
            title=f"High refund rate: {card.target.removeprefix('Refund Pattern: ')}",
            body=card.draft,
            url=_card_url(card),
            key=f"high-refund-rate:{card.pk}",
            critical=True,
            card=card,
        )
        for card in cards[:100]
    ]


def _fraud(now: datetime) -> list[Alert]:
    """Scopes in which several fraud rules opened cards within a day, once per scope and day."""
    recent = ActionCard.objects.filter(
        kind=ActionCard.Kind.FRAUD_PATTERN, status="open", opened_at__gt=now - FRAUD_WINDOW, opened_at__lte=now
    )
    many = recent.order_by().values("scope").annotate(patterns=Count("rule", distinct=True), cards=Count("id"))
    found = []
    for row in many.filter(patterns__gte=FRAUD_PATTERNS):
        first = recent.filter(scope=row["scope"]).select_related("scope").order_by("-priority", "id").first()
        place = f" at {first.scope.name}" if first and first.scope else ""
        found.append(
            Alert(
                title=f"Several fraud patterns{place}",
                body=f"{row['patterns']} different fraud rules opened {row['cards']} cards within 24 hours.",
                url="/admin/actions/actioncard/?kind__exact=fraud-pattern-alert",
                key=f"fraud-patterns:{row['scope']}:{now:%Y-%m-%d}",
                critical=True,
                card=first,
            )
        )
    return found


def raise_alerts(now: datetime) -> list[Alert]:
    """Tell operators and administrators of the alerts that hold; nobody is told the same twice."""
    alerts = holding(now)
    if not alerts:
        return []
    people = list(people_with(Role.OPERATOR, Role.ADMINISTRATOR))
    for alert in alerts:
        scope = alert.card.scope if alert.card else None
        notify(
            kind="monitoring",
            recipients=[person for person in people if may_work_in(person, scope)],
            title=alert.title,
            body=alert.body,
            url=alert.url,
            dedupe_key=alert.key,
            urgent=alert.critical,
        )
    return alerts


def set_gauges(now: datetime) -> None:
    """Bring the gauges up to date."""
    counts = dict(ActionCard.objects.queue().order_by().values_list("kind").annotate(Count("id")))
    for kind in ActionCard.Kind.values:
        metrics.cards_waiting.labels(kind).set(counts.get(kind, 0))
    week = kpis.summary(cards=ActionCard.objects.all(), start=now - timedelta(days=7), end=now)
    metrics.false_positive_rate.set(week.false_positive_rate or 0)
    metrics.escalation_rate.set(week.escalation_rate or 0)
    # Currencies of the week before too, so that the last amount in one of them does not stand for ever.
    lately = ActionCard.objects.filter(closed_at__gte=now - timedelta(days=14)).order_by()
    for currency in lately.values_list("currency", flat=True).distinct():
        metrics.revenue_protected.labels(currency).set(float(week.revenue_protected.get(currency, 0)))
    last = max(last_good_runs(rule.slug for rule in rules if not rule.watch).values(), default=None)
    if last:
        metrics.last_good_run.set(last.timestamp())
