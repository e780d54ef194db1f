"""Groups of similar reports, set right by a person: two that are one are merged, a report that is something else is split off.

Both are written while nobody joins a report to a cluster of the scope (see :func:`apps.escalation.reports.scope_lock`), and
stand in the decision log. A merged cluster keeps what it counted and leads to the one that has its members now.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Max, Min, Q

from apps.core.decisions import Entry, record
from apps.core.errors import DomainError
from apps.core.models import User
from apps.core.redaction import redact
from apps.escalation import proposals
from apps.escalation.binding import SCOPE, NotAllowed, said
from apps.escalation.models import Cluster, Report
from apps.escalation.proposals import SIMILAR, Refit
from apps.escalation.reports import scope_lock
from apps.escalation.signs import indicators
from apps.escalation.thresholds import InForce, current_version

EDIT = "escalation.change_cluster"


class ClusterNotFound(DomainError):
    """There is no such cluster or report, or it is outside the person's scope; which of the two is not told."""

    code = "not_found"
    message = "There is no such group of reports."
    status = 404


class ClusterMerged(DomainError):
    """The cluster was merged into another before."""

    code = "cluster_merged"
    message = "This group was merged into another already."
    status = 409


class NotMergeable(DomainError):
    """The two clusters cannot become one."""

    code = "not_mergeable"
    message = "These two groups cannot be merged."
    status = 422


@transaction.atomic
def merge(*, from_id: int, into_id: int, reason: str, actor: User, now: datetime) -> Cluster:
    """Move the members of a cluster to another one. Said again, nothing more happens.

    An open proposal about the former goes on as one about the latter; if that has one, too, it is joined to it. What
    people decided about either counts for both from here on.

    Raises:
        NotAllowed, ClusterNotFound, ClusterMerged, NotMergeable, MissingInformation: nothing was done.
    """
    _may(actor)
    reason = redact(said(reason, "reason", "Why these are the same.")).text
    gone, kept = _two(from_id, into_id, actor)
    if gone.merged_into_id == kept.pk:
        return kept
    if gone.merged_into_id or kept.merged_into_id:
        raise ClusterMerged
    if gone.pk == kept.pk or gone.scope_id != kept.scope_id:
        raise NotMergeable("A group is merged with another one of the same scope.")
    known = set(gone.members.values_list("customer", flat=True))
    both = kept.members.filter(customer__in=known).values("customer").distinct().count()
    moved = Report.objects.filter(cluster=gone).update(cluster=kept)
    # Of members that were deleted since, only their number is known; those that are still there are not counted twice.
    kept.reports += gone.reports
    kept.customers += gone.customers - both
    kept.first_at, kept.last_at = min(kept.first_at, gone.first_at), max(kept.last_at, gone.last_at)
    kept.save(update_fields=["reports", "customers", "first_at", "last_at"])
    Cluster.objects.filter(Q(pk=gone.pk) | Q(merged_into=gone)).update(merged_into=kept)
    proposals.follow(gone=gone, kept=kept, actor=actor, now=now, refit=_refit(kept))
    record(_entry(kept, actor, "clusters_merged", reason, merged=gone.pk, moved=moved, reports=kept.reports))
    return kept


@transaction.atomic
def split(*, cluster_id: int, report_id: int, reason: str, actor: User, now: datetime) -> Cluster:
    """Take a report out of its cluster. Later ones that say the same as it begin a cluster with it.

    Raises:
        NotAllowed, ClusterNotFound, MissingInformation: nothing was done.
    """
    _may(actor)
    reason = redact(said(reason, "reason", "Why this one is something else.")).text
    cluster, _ = _two(cluster_id, cluster_id, actor)
    report = cluster.members.filter(pk=report_id).first()
    if report is None:
        raise ClusterNotFound
    complete = cluster.members.count() == cluster.reports
    Report.objects.filter(pk=report.pk).update(cluster=None)
    others = cluster.members.aggregate(first=Min("at"), last=Max("at"))
    cluster.reports = max(cluster.reports - 1, 0)
    cluster.customers -= not cluster.members.filter(customer=report.customer).exists()
    if complete and others["first"]:  # else older members were deleted, and what was counted stays
        cluster.first_at, cluster.last_at = others["first"], others["last"]
    cluster.save(update_fields=["reports", "customers", "first_at", "last_at"])
    proposals.refit_open(subject=f"cluster:{cluster.pk}", now=now, refit=_refit(cluster))
    record(_entry(cluster, actor, "report_split_off", reason, report=report.pk, reports=cluster.reports))
    return cluster


def _may(actor: User) -> None:
    if not actor.is_active or not actor.has_perm(EDIT):
        raise NotAllowed


def _two(first: int, second: int, actor: User) -> tuple[Cluster, Cluster]:
    """Two clusters of a person's scopes, read again under the lock of their scopes."""
    visible = Cluster.objects.visible_to(actor)
    scopes = dict(visible.filter(pk__in=[first, second]).values_list("pk", "scope_id"))
    if not {first, second} <= scopes.keys():
        raise ClusterNotFound
    for scope_id in sorted({scope or 0 for scope in scopes.values()}):
        scope_lock(scope_id)
    rows = {each.pk: each for each in Cluster.objects.filter(pk__in=scopes).select_for_update(of=("self",))}
    return rows[first], rows[second]


def _refit(cluster: Cluster) -> Refit:
    """What a cluster amounts to now, by the thresholds in force."""
    from apps.escalation.indicators.similar_reports import Settings, about  # rules are found, not imported, at start

    one = indicators[SIMILAR]
    version = current_version(one)
    settings = InForce(one, version).settings
    assert isinstance(settings, Settings)
    newest = cluster.members.aggregate(last=Max("at"))["last"] or cluster.last_at
    return Refit(about(cluster, until=newest, settings=settings), version)


def _entry(cluster: Cluster, actor: User, action: str, rationale: str, **payload: int) -> Entry:
    return Entry(
        scope=SCOPE,
        actor=actor,
        action=action,
        subject=f"cluster:{cluster.pk}",
        rationale=rationale,
        evidence_url=f"/admin/escalation/cluster/{cluster.pk}/change/",
        payload=dict(payload),
    )
