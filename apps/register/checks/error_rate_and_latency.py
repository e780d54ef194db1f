"""Error rate and latency: few requests fail, and nearly all are quick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from typing import Any

from django.conf import settings as project
from prometheus_client.parser import text_string_to_metric_families
from pydantic import Field

from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.models import CheckResult
from apps.register.probing import Site, SiteSilent

SLUG = "error-rate-and-latency"
METRIC = "riskdesk_http_request_seconds"
OWN = frozenset({"live", "ready", "metrics", "health_live", "health_ready"})
"""Probes, which say nothing about what people wait for."""


class Settings(CheckSettings):
    """What is bearable."""

    errors: float = Field(0.01, gt=0, lt=1, title="Errors", description="Share of answers (0 to 1) with status 5xx.")
    p95_ms: int = Field(
        500, ge=10, le=60_000, title="95th percentile", description="Milliseconds within which 95 % are answered."
    )
    minimum: int = Field(20, ge=1, le=100_000, title="Minimum", description="Requests below which nothing is judged.")
    minutes: int = Field(60, ge=10, le=1440, title="Minutes", description="Minutes of requests that are looked at.")


@dataclass(slots=True)
class Reading:
    """Sums of one reading: requests, failed ones, and how many took at most so many seconds."""

    requests: float = 0
    failed: float = 0
    within: dict[float, float] = field(default_factory=dict)

    def minus(self, other: Reading) -> Reading:
        """What came since another reading."""
        within = {edge: count - other.within.get(edge, 0) for edge, count in self.within.items()}
        return Reading(self.requests - other.requests, self.failed - other.failed, within)

    def as_facts(self) -> dict[str, Any]:
        edges = {("inf" if edge == inf else f"{edge:g}"): count for edge, count in sorted(self.within.items())}
        return {"requests": self.requests, "failed": self.failed, "within": edges}


@check(
    slug=SLUG,
    title="Requests succeed, and are answered quickly",
    every=timedelta(minutes=10),
    settings=Settings,
    later=True,
    mitigation="See riskdesk_http_request_seconds by view, the log for exceptions, and the database for slow queries.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Reads the web server's own metrics and judges what came since the earliest reading within the window."""
    token = {"Authorization": f"Bearer {project.METRICS_TOKEN}"} if project.METRICS_TOKEN else {}
    try:
        reply = site.over_http("/metrics", headers=token)
    except SiteSilent as error:
        return concluded("", failures=[f"Nobody knows: {error}."], query="GET /metrics")
    if reply.status != 200:
        return concluded("", failures=[f"The metrics were refused with {reply.status}; see METRICS_TOKEN."])
    total = read(reply.text)
    earlier = _earlier(now, settings, total)
    seen = total.minus(earlier[1]) if earlier else total
    since = f"in {(now - earlier[0]).total_seconds() / 60:.0f} minutes" if earlier else "since the server started"
    return _judged(seen, since, total, settings)


def _judged(seen: Reading, since: str, total: Reading, settings: Settings) -> Finding:
    facts: dict[str, Any] = {"reading": total.as_facts(), "since": since, "requests": seen.requests}
    if seen.requests < settings.minimum:
        words = f"Only {seen.requests:.0f} requests came {since}; {settings.minimum} are needed to judge."
        return concluded("", warnings=[words], facts=facts, query="GET /metrics")
    share, p95 = seen.failed / seen.requests, quantile(0.95, seen.within)
    failures = []
    if share > settings.errors:
        failures.append(f"{share:.1%} of the answers failed {since}; at most {settings.errors:.1%} may.")
    if p95 * 1000 > settings.p95_ms:
        failures.append(f"95 % were answered within {p95 * 1000:.0f} ms {since}; it should be {settings.p95_ms} ms.")
    return concluded(
        f"Of {seen.requests:.0f} requests {since} {share:.1%} failed; 95 % took at most {p95 * 1000:.0f} ms.",
        failures=failures,
        facts=facts | {"failedShare": round(share, 5), "p95Ms": round(p95 * 1000, 1)},
        query="GET /metrics",
    )


def read(text: str) -> Reading:
    """The sums of all views but the probes, of metrics in Prometheus' text format."""
    found = Reading()
    for family in text_string_to_metric_families(text):
        if family.name != METRIC:
            continue
        for sample in family.samples:
            if sample.labels.get("view", "").rpartition(".")[2] in OWN:
                continue
            if sample.name == f"{METRIC}_count":
                found.requests += sample.value
                found.failed += sample.value if sample.labels.get("status", "").startswith("5") else 0
            elif sample.name == f"{METRIC}_bucket":
                edge = float(sample.labels["le"])
                found.within[edge] = found.within.get(edge, 0) + sample.value
    return found


def quantile(share: float, within: Mapping[float, float]) -> float:
    """The quantile of a cumulative histogram, by linear interpolation within its bucket, as Prometheus' histogram_quantile.

    What lies beyond the last finite edge counts as that edge.
    """
    edges = sorted(within)
    rank = share * within[edges[-1]]
    below, lower = 0.0, 0.0
    for edge in edges:
        if within[edge] >= rank:
            if edge == inf:
                return lower
            inside = within[edge] - below
            return lower + (edge - lower) * ((rank - below) / inside if inside else 0)
        below, lower = within[edge], edge
    return lower


def _earlier(now: datetime, settings: Settings, total: Reading) -> tuple[datetime, Reading] | None:
    """The earliest reading within the window that can be of the same server: none of its sums is larger than now."""
    edge = now - timedelta(minutes=settings.minutes)
    results = CheckResult.objects.filter(check_slug=SLUG, checked_at__gte=edge, checked_at__lt=now).order_by(
        "checked_at"
    )
    for result in results[:200]:
        former = _stored(result.evidence)
        if former and former.requests <= total.requests and former.failed <= total.failed:
            return result.checked_at, former
    return None


def _stored(evidence: Iterable[Mapping[str, Any]]) -> Reading | None:
    for entry in evidence:
        kept = entry.get("data", {}).get("reading")
        if kept:
            return Reading(kept["requests"], kept["failed"], {float(k): v for k, v in kept["within"].items()})
    return None
