"""Prometheus metrics of the escalation. Counted after commit, so that what was rolled back is not counted."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

seconds_late = Histogram(
    "riskdesk_escalation_seconds_late",
    "From the time at which a clock was to be announced to its announcement",
    buckets=(1, 15, 30, 60, 90, 120, 300, 900, 3600, 6 * 3600, 24 * 3600),
)
clocks_failed = Counter("riskdesk_escalation_clocks_failed_total", "Clocks that a sweep could not announce")
last_good_sweep = Gauge(
    "riskdesk_escalation_last_good_sweep_timestamp_seconds",
    "When a sweep of the clocks last ended without a failure",
    multiprocess_mode="mostrecent",
)
