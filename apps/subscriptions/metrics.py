"""Prometheus metrics of risk scores, their recalculation, and payment retries."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

calculations = Counter(
    "riskdesk_risk_calculations_total", "Calculations of subscriptions' risk", ["occasion", "outcome"]
)
degraded = Counter("riskdesk_risk_degraded_total", "Parts of calculations that failed", ["part"])
calculation_seconds = Histogram(
    "riskdesk_risk_calculation_seconds",
    "Duration of calculating and storing scores, per subscription",
    ["occasion"],
    buckets=(0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1),
)
transitions = Counter("riskdesk_risk_transitions_total", "Changes of level", ["previous", "level"])
runs = Counter("riskdesk_risk_recalculation_runs_total", "Recalculations of all subscriptions", ["trigger", "status"])
run_seconds = Gauge(
    "riskdesk_risk_recalculation_seconds", "Duration of the last recalculation", multiprocess_mode="mostrecent"
)
last_good_run = Gauge(
    "riskdesk_risk_recalculation_last_good_timestamp_seconds",
    "When a recalculation of all subscriptions last finished",
    multiprocess_mode="mostrecent",
)
subscriptions = Gauge(
    "riskdesk_risk_subscriptions",
    "Active subscriptions by level, as of the last recalculation",
    ["level"],
    multiprocess_mode="mostrecent",
)

retries_total = Counter(
    "riskdesk_payment_retries_total", "Payment retries by how a question to the provider ended", ["outcome"]
)
