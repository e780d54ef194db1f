"""Prometheus metrics of rules, cards and executions. Counted after commit, so that what was rolled back is not counted."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

cards_opened = Counter("riskdesk_cards_opened_total", "Cards opened", ["kind"])
cards_resolved = Counter("riskdesk_cards_resolved_total", "Cards that resolved themselves", ["kind"])
decisions = Counter("riskdesk_card_decisions_total", "People's decisions about cards", ["kind", "decision", "outcome"])
seconds_to_decision = Histogram(
    "riskdesk_card_seconds_to_decision",
    "From the opening of a card to a person's decision",
    ["kind"],
    buckets=(60, 300, 900, 3600, 4 * 3600, 24 * 3600, 3 * 24 * 3600, 7 * 24 * 3600),
)
executions = Counter("riskdesk_executions_total", "Attempts at effects", ["action", "direction", "status"])
rule_runs = Counter("riskdesk_rule_runs_total", "Runs of rules", ["rule", "trigger", "status"])
rule_seconds = Histogram(
    "riskdesk_rule_run_seconds",
    "Duration of a rule's run",
    ["rule"],
    buckets=(0.01, 0.05, 0.25, 1, 2.5, 5, 10, 30, 120),
)

# Set by the watch over monitoring, every five minutes, in whichever worker does it.
_NEWEST: Final = "mostrecent"
cards_waiting = Gauge("riskdesk_cards_waiting", "Cards that wait for an operator", ["kind"], multiprocess_mode=_NEWEST)
false_positive_rate = Gauge(
    "riskdesk_cards_false_positive_rate",
    "Share of the cards decided in 7 days that were false",
    multiprocess_mode=_NEWEST,
)
escalation_rate = Gauge(
    "riskdesk_cards_escalation_rate",
    "Share of the cards decided in 7 days that were escalated",
    multiprocess_mode=_NEWEST,
)
revenue_protected = Gauge(
    "riskdesk_revenue_protected",
    "Impact of cards of 7 days whose risk was handled",
    ["currency"],
    multiprocess_mode=_NEWEST,
)
last_good_run = Gauge(
    "riskdesk_monitoring_last_good_run_timestamp_seconds", "When a sweep last succeeded", multiprocess_mode=_NEWEST
)
