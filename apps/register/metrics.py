"""Prometheus metrics of the checks."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

check_runs = Counter("riskdesk_check_runs_total", "Runs of checks by what they found", ["check", "outcome"])
check_seconds = Histogram(
    "riskdesk_check_seconds", "Duration of a check", ["check"], buckets=(0.01, 0.05, 0.25, 1, 2.5, 5, 10, 30, 120)
)
checks_by_outcome = Gauge(
    "riskdesk_checks", "Checks by what they found last", ["outcome"], multiprocess_mode="mostrecent"
)


def show_failing() -> None:
    """Set the gauge from the latest results."""
    from django.db.models import Count

    from apps.register.models import CheckResult

    latest = CheckResult.objects.filter(latest=True).order_by().values_list("outcome")
    counts = dict(latest.annotate(number=Count("id")))
    for outcome in CheckResult.Outcome.values:
        checks_by_outcome.labels(outcome).set(counts.get(outcome, 0))
