"""How long customers' messages are kept as reports: so many days (``REPORT_RETENTION_DAYS``), then they are deleted.

Clusters and proposals keep what they counted. Where they quote a message, as in their titles, the quotation goes when the
message does: of a cluster when its last report is too old, of a proposal when it was decided and found before that day.
Flags are records of their own; they stay as people wrote them. Each run that did something stands in the decision log.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from apps.core.decisions import Entry, record, system
from apps.escalation.binding import SCOPE
from apps.escalation.models import Cluster, Indicator, Proposal, Report

ACTOR = system("report-retention")
BATCH = 5_000
GONE = "Reports that are no longer kept"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many reports are deleted, and of how many clusters and proposals the quotations are taken out."""

    reports: int
    clusters: int
    proposals: int

    def __bool__(self) -> bool:
        return any(asdict(self).values())


def cutoff(now: datetime, days: int) -> datetime:
    """Reports of before this moment go.

    Raises:
        ValueError: fewer than one day.
    """
    if days < 1:
        raise ValueError("At least one day is kept.")
    return now - timedelta(days=days)


def preview(*, now: datetime, days: int) -> Forgotten:
    """What :func:`forget` would do now. Writes nothing."""
    before = cutoff(now, days)
    return Forgotten(_reports(before).count(), _clusters(before).count(), _proposals(before).count())


def forget(*, now: datetime, days: int) -> Forgotten:
    """Delete what is older than so many days, in batches of one transaction each; what was interrupted goes on the next day."""
    before = cutoff(now, days)
    reports = 0
    while keys := list(_reports(before).values_list("pk", flat=True)[:BATCH]):
        reports += Report.objects.filter(pk__in=keys).delete()[0]
    with transaction.atomic():
        clusters = _clusters(before).update(title=GONE)
        done = Forgotten(reports, clusters, _unquote(before))
        if done:
            facts = {**asdict(done), "days": days, "before": before.isoformat()}
            record(Entry(scope=SCOPE, actor=ACTOR, action="reports_forgotten", subject="reports", payload=facts))
    return done


def forget_subjects(subjects: Collection[str]) -> int:
    """Delete the reports of some subjects, such as ``conversation:4``, whose writer asked for it; in the caller's
    transaction. Returns how many."""
    return Report.objects.filter(subject__in=subjects).delete()[0]


def _reports(before: datetime) -> QuerySet[Report]:
    rows: QuerySet[Report] = Report.objects.filter(at__lt=before)
    return rows.order_by("at")


def _clusters(before: datetime) -> QuerySet[Cluster]:
    rows: QuerySet[Cluster] = Cluster.objects.filter(last_at__lt=before)
    return rows.exclude(title=GONE)


def _proposals(before: datetime) -> QuerySet[Proposal]:
    """Decided ones that quote a message: bursts quote none."""
    decided: QuerySet[Proposal] = Proposal.objects.filter(updated_at__lt=before, decided_at__lt=before)
    return decided.exclude(indicator=Indicator.UNUSUAL_PATTERN).exclude(title__in=_titles().values())


def _unquote(before: datetime) -> int:
    quoting = _proposals(before)
    return sum(quoting.filter(indicator=one).update(title=title) for one, title in _titles().items())


def _titles() -> dict[str, str]:
    return {one.value: f"{one.label}: {GONE.lower()}" for one in Indicator if one != Indicator.UNUSUAL_PATTERN}
