"""Several customers who report nearly the same within a short time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min
from pydantic import Field

from apps.escalation.models import Cluster, Report
from apps.escalation.signs import Finding, SignSettings, indicator


class Settings(SignSettings):
    hours: int = Field(72, ge=1, le=168, title="Within", description="Hours back from a report that are looked at.")
    customers: int = Field(
        3, ge=2, le=1000, title="Propose from", description="Distinct customers with nearly the same report."
    )
    medium_from: int = Field(
        10, ge=2, le=10_000, title="Level 3 from", description="Customers from which level 3 is proposed."
    )
    high_from: int = Field(
        50, ge=2, le=100_000, title="Level 4 from", description="Customers from which level 4 is proposed."
    )


@indicator(slug="similar_reports", title="Multiple similar reports", occasion="report", settings=Settings)
def find(*, now: datetime, settings: Settings, report: Report | None) -> Iterator[Finding]:
    """Several customers who report nearly the same within a short time: the cluster that a message joined."""
    cluster = report.cluster if report else None
    if report is None or cluster is None:
        return
    finding = about(cluster, until=report.at, settings=settings)
    if (finding.affected_count or 0) >= settings.customers:
        yield finding


def about(cluster: Cluster, *, until: datetime, settings: Settings) -> Finding:
    """What a cluster amounts to within the hours before a moment, whether or not it is enough to be proposed."""
    within = cluster.members.filter(at__gt=until - timedelta(hours=settings.hours), at__lte=until)
    facts = within.aggregate(
        reports=Count("pk"), customers=Count("customer", distinct=True), first=Min("at"), last=Max("at")
    )
    customers = facts["customers"]
    first, last = facts["first"] or cluster.first_at, facts["last"] or cluster.last_at
    span = f"{facts['reports']} reports of {customers} customers"
    return Finding(
        subject=f"cluster:{cluster.pk}",
        scope_id=cluster.scope_id,
        title=f"{customers} customers report: {cluster.title}",
        reasons=(f"{span} within {settings.hours} hours say nearly the same.",),
        score=float(customers),
        level=2 + (customers >= settings.medium_from) + (customers >= settings.high_from),
        evidence={
            "cluster": cluster.pk,
            "reports": facts["reports"],
            "customers": customers,
            "first_at": first.isoformat(),
            "last_at": last.isoformat(),
            "frequency": f"{span}, the first {first:%Y-%m-%d %H:%M}, the last {last:%Y-%m-%d %H:%M} UTC",
        },
        affected_count=customers,
        size=customers,
    )
