"""Proposals: what the indicators found, for a person to confirm or reject with a reason.

One is open per indicator and subject; found again with other facts, it is updated and gets a new version. What a person
rejected stays rejected unless it has doubled since, and what became a flag is not proposed again while the flag is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Q

from apps.core.decisions import Entry, record, system
from apps.core.errors import DomainError
from apps.core.models import User
from apps.core.redaction import redact
from apps.escalation.binding import SCOPE, InvalidLevel, NotAllowed, said
from apps.escalation.flags import raise_flag
from apps.escalation.models import Cluster, Indicator, IndicatorVersion, Proposal, Report, RiskFlag
from apps.escalation.notices import tell_of_proposal
from apps.escalation.signs import Finding

ACTOR = system("indicators")
DECIDE = "escalation.decide_proposal"
SIMILAR = Indicator.SIMILAR_REPORTS.value
SHOWN = 50
"""So many reports of a cluster are named as references of its flag."""

Status = Proposal.Status


@dataclass(frozen=True, slots=True)
class Refit:
    """What something that is proposed amounts to after a person changed it, and by which thresholds."""

    finding: Finding
    thresholds: IndicatorVersion


class ProposalNotFound(DomainError):
    """There is no such proposal, or it is outside the person's scope; which of the two is not told."""

    code = "not_found"
    message = "There is no such proposal."
    status = 404


class ProposalChanged(DomainError):
    """The proposal is not what the person looked at. ``version`` is the proposal's now."""

    code = "proposal_changed"
    message = "The proposal changed since you looked at it."
    status = 409

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__()


class ProposalDecided(DomainError):
    """Somebody decided it before."""

    code = "proposal_decided"
    message = "This proposal was decided already."
    status = 409


@transaction.atomic
def propose(
    *, indicator: str, finding: Finding, now: datetime, thresholds: IndicatorVersion | None = None
) -> Proposal | None:
    """Open a proposal for what an indicator found, or bring the open one up to date.

    Args:
        thresholds: the version that it was found with.

    Returns:
        The open proposal, or None if a person decided about the same before.
    """
    mine = Proposal.objects.filter(indicator=indicator, subject=finding.subject)
    waiting = mine.filter(status=Status.OPEN).select_for_update(of=("self",), no_key=True)
    current: Proposal | None = waiting.first()
    if current is None:
        if _settled(indicator, finding):
            return None
        # The partial unique constraint settles the race of two workers that find the same.
        made, created = Proposal.objects.get_or_create(
            indicator=indicator,
            subject=finding.subject,
            status=Status.OPEN,
            defaults={
                "scope_id": finding.scope_id,
                "created_at": now,
                "updated_at": now,
                "thresholds": thresholds,
                **_facts(finding),
            },
        )
        if created:
            number = thresholds.number if thresholds else None
            facts = {"level": made.level, "thresholds": number}
            record(_entry(made, ACTOR, "flag_proposed", "; ".join(finding.reasons), **facts))
            tell_of_proposal(made, now)
            return made
        current = waiting.first()  # another worker's, locked and read again before it is changed
    return _updated(current, finding, now, thresholds) if current else None


def _facts(finding: Finding) -> dict[str, Any]:
    return {
        "title": " ".join(finding.title.split())[:200],
        "reasons": list(finding.reasons),
        "evidence": [dict(finding.evidence) | {"size": finding.size}],
        "score": finding.score,
        "level": finding.level,
        "affected_count": finding.affected_count,
    }


def _updated(proposal: Proposal, finding: Finding, now: datetime, thresholds: IndicatorVersion | None) -> Proposal:
    """Bring an open proposal up to date. Neither its level nor its score falls while it waits."""
    facts = _facts(finding)
    if finding.score < proposal.score:
        return proposal
    facts["level"] = max(proposal.level, finding.level)
    changed = [name for name, value in facts.items() if getattr(proposal, name) != value]
    if not changed:
        return proposal
    for name in changed:
        setattr(proposal, name, facts[name])
    proposal.version, proposal.updated_at = proposal.version + 1, now
    proposal.thresholds = thresholds or proposal.thresholds
    proposal.save(update_fields=[*changed, "version", "updated_at", "thresholds"])
    if "level" in changed:
        tell_of_proposal(proposal, now)
    return proposal


def _settled(indicator: str, finding: Finding) -> bool:
    """Whether what people decided about the same, or about what was merged into it, still holds."""
    decided = Proposal.objects.filter(
        indicator=indicator, subject__in=_lineage(finding.subject), status__in=[Status.CONFIRMED, Status.REJECTED]
    )
    if decided.filter(flag__status=RiskFlag.Status.OPEN).exists():
        return True
    last = decided.order_by("-decided_at", "-pk").first()
    if last is None:
        return False
    before = int(last.evidence[0].get("size", 0)) if last.evidence else 0
    return finding.size == 0 or finding.size < 2 * before


def _lineage(subject: str) -> list[str]:
    """A subject and, of a cluster, those that were merged into it."""
    kind, _, key = subject.partition(":")
    if kind != "cluster":
        return [subject]
    merged = Cluster.objects.filter(merged_into=int(key)).values_list("pk", flat=True)
    return [subject, *(f"cluster:{pk}" for pk in merged)]


def follow(*, gone: Cluster, kept: Cluster, actor: User, now: datetime, refit: Refit) -> None:
    """Have the open proposals of two clusters follow their merging; in the caller's transaction.

    The one about the former goes on as one about the latter. It is joined to what there is about that already: an open
    proposal, or a flag that is open.
    """
    waiting = Proposal.objects.filter(indicator=SIMILAR, status=Status.OPEN).select_for_update(
        of=("self",), no_key=True
    )
    mine = waiting.filter(subject=f"cluster:{gone.pk}").first()
    other = waiting.filter(subject=f"cluster:{kept.pk}").first()
    flagged = Proposal.objects.filter(
        indicator=SIMILAR, subject__in=_lineage(f"cluster:{kept.pk}"), flag__status=RiskFlag.Status.OPEN
    ).first()
    if mine is not None and (other is not None or flagged is not None):
        flag = flagged.flag if flagged else None
        words = f"Joined to flag {flag.pk}." if flag else f"Joined to proposal {other.pk}."  # type: ignore[union-attr]
        _decide(mine, Status.JOINED, actor, words, now, flag=flag)
        record(_entry(mine, actor, "proposal_joined", words))
    elif mine is not None:
        mine.subject = f"cluster:{kept.pk}"
        mine.save(update_fields=["subject"])
        other = mine
    if other is not None:
        _refitted(other, refit, now)


def refit_open(*, subject: str, now: datetime, refit: Refit) -> None:
    """Bring the open proposal about a cluster, if there is one, to what the cluster amounts to now; it may have become less."""
    waiting = Proposal.objects.filter(indicator=SIMILAR, subject=subject, status=Status.OPEN)
    proposal = waiting.select_for_update(of=("self",), no_key=True).first()
    if proposal is not None:
        _refitted(proposal, refit, now)


def _refitted(proposal: Proposal, refit: Refit, now: datetime) -> None:
    facts = _facts(refit.finding)
    for name, value in facts.items():
        setattr(proposal, name, value)
    proposal.thresholds, proposal.version, proposal.updated_at = refit.thresholds, proposal.version + 1, now
    proposal.save(update_fields=[*facts, "thresholds", "version", "updated_at"])


@transaction.atomic
def confirm(
    *,
    proposal_id: int,
    seen_version: int,
    actor: User,
    now: datetime,
    level: int | None = None,
    reason: str = "",
    **template: Any,
) -> RiskFlag:
    """Make a flag of a proposal. Confirmed again by the same person, it is the same flag.

    Args:
        level: the level of the flag; the proposed one if None.
        reason: what the person adds to the description; may be empty.
        template: further fields of the Risk Flag template, as :func:`apps.escalation.flags.raise_flag` takes them.

    Raises:
        NotAllowed, ProposalNotFound, ProposalChanged, ProposalDecided, InvalidLevel, MissingInformation: nothing was done.
    """
    proposal = _locked(proposal_id, actor)
    if proposal.status == Status.CONFIRMED and proposal.decided_by == actor and proposal.flag is not None:
        return proposal.flag
    _bind(proposal, seen_version)
    chosen = proposal.level if level is None else level
    if chosen not in RiskFlag.Level.values:
        raise InvalidLevel
    lines = [reason.strip(), *proposal.reasons]
    flag = raise_flag(
        title=proposal.title,
        description="\n".join(line for line in lines if line) or proposal.title,
        level=chosen,
        source=f"proposal:{proposal.pk}",
        evidence=proposal.evidence,
        scope=proposal.scope,
        raised_by=actor,
        now=now,
        indicator=proposal.indicator,
        **_template(proposal) | template,
    )
    kept = redact(reason.strip()).text
    _decide(proposal, Status.CONFIRMED, actor, kept, now, flag=flag)
    record(_entry(proposal, actor, "proposal_confirmed", kept, level=chosen, flag=flag.pk))
    return flag


@transaction.atomic
def reject(*, proposal_id: int, seen_version: int, reason: str, actor: User, now: datetime) -> Proposal:
    """Say that what was proposed is no risk. Said again by the same person, nothing more happens.

    Raises:
        NotAllowed, ProposalNotFound, ProposalChanged, ProposalDecided, MissingInformation: nothing was done.
    """
    proposal = _locked(proposal_id, actor)
    if proposal.status == Status.REJECTED and proposal.decided_by == actor:
        return proposal
    _bind(proposal, seen_version)
    reason = redact(said(reason, "reason", "Why this is not a risk.")).text
    _decide(proposal, Status.REJECTED, actor, reason, now)
    record(_entry(proposal, actor, "proposal_rejected", reason))
    return proposal


def _locked(proposal_id: int, actor: User) -> Proposal:
    if not actor.is_active or not actor.has_perm(DECIDE):
        raise NotAllowed
    visible = Proposal.objects.visible_to(actor)
    proposal: Proposal | None = visible.select_for_update(of=("self",), no_key=True).filter(pk=proposal_id).first()
    if proposal is None:
        raise ProposalNotFound
    return proposal


def _bind(proposal: Proposal, seen_version: int) -> None:
    """Refuse what is decided, or not what was seen. Called while holding the row lock."""
    if proposal.status != Status.OPEN:
        raise ProposalDecided
    if proposal.version != seen_version:
        raise ProposalChanged(proposal.version)


def _decide(
    proposal: Proposal, status: str, actor: User, reason: str, now: datetime, flag: RiskFlag | None = None
) -> None:
    proposal.status, proposal.decided_by, proposal.decided_at = status, actor, now
    proposal.decision_reason, proposal.flag = reason, flag
    proposal.save(update_fields=["status", "decided_by", "decided_at", "decision_reason", "flag"])


def _template(proposal: Proposal) -> dict[str, Any]:
    """What the proposal says for the Risk Flag template."""
    facts = proposal.evidence[0] if proposal.evidence else {}
    members: Sequence[tuple[str, str]] = []
    if "cluster" in facts:
        newest = Report.objects.filter(cluster=facts["cluster"]).order_by("-at")
        members = list(newest.values_list("subject", "source")[:SHOWN])
    return {
        "affected_count": proposal.affected_count,
        "frequency": facts.get("frequency", ""),
        "references": [proposal.subject, *(subject or source for subject, source in members)],
    }


def _entry(proposal: Proposal, actor: User | str, action: str, rationale: str, **payload: Any) -> Entry:
    return Entry(
        scope=SCOPE,
        actor=actor,
        action=action,
        subject=f"proposal:{proposal.pk}",
        rationale=rationale,
        evidence_url=f"/admin/escalation/proposal/{proposal.pk}/change/",
        payload={"indicator": proposal.indicator, "about": proposal.subject, "version": proposal.version, **payload},
    )


def precision(*, since: datetime, until: datetime, actor: User | None = None) -> list[dict[str, Any]]:
    """How many of the proposals that people decided in a period became flags, by indicator.

    Args:
        actor: only proposals that this person may see; all if None.

    Returns:
        For each of the seven: ``indicator``, ``label``, ``open`` (waiting now), ``confirmed``, ``rejected``, and
        ``precision``, the share of the confirmed among the decided, None where nothing was decided.
    """
    seen = Proposal.objects.visible_to(actor) if actor else Proposal.objects.all()
    decided = Q(decided_at__gte=since, decided_at__lt=until)
    counts = seen.order_by().values("indicator").annotate(
        waiting=Count("pk", filter=Q(status=Status.OPEN)),
        yes=Count("pk", filter=decided & Q(status=Status.CONFIRMED)),
        no=Count("pk", filter=decided & Q(status=Status.REJECTED)),
    )  # fmt: skip
    by_indicator = {row["indicator"]: row for row in counts}
    rows = []
    for indicator in Indicator:
        row = by_indicator.get(indicator.value, {"waiting": 0, "yes": 0, "no": 0})
        total = row["yes"] + row["no"]
        rows.append(
            {
                "indicator": indicator.value,
                "label": indicator.label,
                "open": row["waiting"],
                "confirmed": row["yes"],
                "rejected": row["no"],
                "precision": row["yes"] / total if total else None,
            }
        )
    return rows
