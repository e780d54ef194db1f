"""Proposals: confirmed they are flags, rejected they stay away; bound to what was seen, and decided once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from apps.core.models import Decision, Scope
from apps.core.roles import Role
from apps.escalation.binding import InvalidLevel, MissingInformation, NotAllowed
from apps.escalation.models import Proposal, Report, RiskFlag
from apps.escalation.proposals import (
    ProposalChanged,
    ProposalDecided,
    ProposalNotFound,
    confirm,
    precision,
    propose,
    reject,
)
from apps.escalation.reports import judge, observe
from apps.escalation.signs import Finding
from tests.core.factories import ScopeFactory, person

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def finding(size: int = 4, *, score: float | None = None, level: int = 2, scope: Scope | None = None) -> Finding:
    return Finding(
        subject="cluster:7",
        scope_id=scope.pk if scope else None,
        title="Lamps arrive broken",
        reasons=(f"{size} customers",),
        score=size if score is None else score,
        level=level,
        affected_count=size,
        size=size,
    )


def proposed(size: int = 4, **changes: Any) -> Proposal:
    proposal = propose(indicator="similar_reports", finding=finding(size, **changes), now=NOON)
    assert proposal is not None
    return proposal


def decided(proposal: Proposal, actor: Any, **said: Any) -> Any:
    """Confirmed, or rejected where a reason for that is given."""
    facts = {"proposal_id": proposal.pk, "seen_version": proposal.version, "actor": actor, "now": NOON}
    return reject(**facts, **said) if "reason" in said else confirm(**(facts | said))


@pytest.mark.django_db
def test_confirming_raises_a_flag_with_what_was_found() -> None:
    lena, proposal = person(Role.TEAM_LEAD), proposed()
    flag = decided(proposal, lena, level=3, impact="Lamps unusable")
    proposal.refresh_from_db()
    assert (proposal.status, proposal.flag, proposal.decided_by) == ("confirmed", flag, lena)
    assert (flag.level, flag.indicator, flag.affected_count, flag.impact) == (3, "similar_reports", 4, "Lamps unusable")
    assert (flag.raised_by, flag.step, flag.references) == (lena, "lead_review", ["cluster:7"])
    assert Decision.objects.filter(action="proposal_confirmed", subject=f"proposal:{proposal.pk}").exists()


@pytest.mark.django_db
def test_a_flag_of_a_cluster_names_its_members_and_their_time() -> None:
    for number in range(3):
        at = NOON + timedelta(hours=number)
        facts = {"source": f"m:{number}", "subject": f"ticket:{number}", "customer": str(number), "at": at}
        report = observe(text="The lamp arrived broken", category="", scope=None, **facts)
        judge(report.pk, now=at)
    flag = decided(Proposal.objects.get(), person(Role.TEAM_LEAD))
    assert {"ticket:0", "ticket:1", "ticket:2"} < set(flag.references)
    assert "3 reports of 3 customers, the first 2026-03-02 12:00, the last 2026-03-02 14:00" in flag.frequency


@pytest.mark.django_db
def test_the_same_click_again_changes_nothing() -> None:
    lena = person(Role.TEAM_LEAD)
    first = proposed()
    assert decided(first, lena) == decided(first, lena)
    assert RiskFlag.objects.count() == 1
    RiskFlag.objects.update(status="resolved", step="closed", resolved_at=NOON)
    second = proposed(8)
    assert decided(second, lena, reason="Known").pk == decided(second, lena, reason="Known").pk
    assert Decision.objects.filter(action="proposal_rejected").count() == 1


@pytest.mark.django_db
def test_rejecting_needs_a_reason() -> None:
    with pytest.raises(MissingInformation):
        decided(proposed(), person(Role.TEAM_LEAD), reason="  ")
    assert Proposal.objects.get().status == "open"


@pytest.mark.django_db
@pytest.mark.parametrize("level", [0, 6])
def test_a_level_off_the_ladder_is_refused(level: int) -> None:
    with pytest.raises(InvalidLevel):
        decided(proposed(), person(Role.TEAM_LEAD), level=level)
    assert not RiskFlag.objects.exists()


@pytest.mark.django_db
def test_what_changed_since_it_was_seen_is_not_decided() -> None:
    lena, seen = person(Role.TEAM_LEAD), proposed(4)
    proposed(9, level=3)
    with pytest.raises(ProposalChanged) as refused:
        decided(seen, lena)
    assert refused.value.version == 2
    with pytest.raises(ProposalChanged):
        decided(seen, lena, reason="Known")


@pytest.mark.django_db
def test_another_persons_decision_stands() -> None:
    proposal = proposed()
    decided(proposal, person(Role.TEAM_LEAD), reason="Known")
    with pytest.raises(ProposalDecided):
        decided(proposal, person(Role.TEAM_LEAD))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.SUPPORT_AGENT, False),
        (Role.TEAM_LEAD, True),
        (Role.SUPPORT_MANAGER, True),
        (Role.SUPPORT_DIRECTOR, True),
        (Role.RISK_MANAGER, True),
        (Role.OPERATOR, False),
        (Role.CONTENT_OWNER, False),
        (Role.AUDITOR, False),
        (Role.ADMINISTRATOR, True),
    ],
)
def test_who_decides(role: Role, may: bool) -> None:
    actor = person(role)
    for number, said in enumerate(({"reason": "Known"}, {})):
        proposal = proposed(4 + 4 * number)
        if may:
            assert decided(proposal, actor, **said)
        else:
            with pytest.raises(NotAllowed):
                decided(proposal, actor, **said)
            assert Proposal.objects.get().status == "open"


@pytest.mark.django_db
def test_a_proposal_of_another_scope_is_not_there() -> None:
    north, south = ScopeFactory(), ScopeFactory()
    proposal = proposed(scope=north)
    with pytest.raises(ProposalNotFound):
        decided(proposal, person(Role.TEAM_LEAD, south))
    assert decided(proposal, person(Role.TEAM_LEAD, north)).scope == north


@pytest.mark.django_db
def test_found_again_it_is_brought_up_to_date_and_never_falls() -> None:
    first = proposed(4, level=3)
    assert proposed(4, level=3).version == 1
    grown = proposed(6, level=2)
    assert (grown.pk, grown.version, grown.level, grown.affected_count) == (first.pk, 2, 3, 6)
    assert proposed(5).affected_count == 6
    assert Decision.objects.filter(action="flag_proposed").count() == 1


@pytest.mark.django_db
def test_what_was_rejected_comes_back_only_when_it_doubled() -> None:
    decided(proposed(4), person(Role.TEAM_LEAD), reason="Known")
    assert propose(indicator="similar_reports", finding=finding(7), now=NOON) is None
    assert propose(indicator="similar_reports", finding=finding(8), now=NOON) is not None


@pytest.mark.django_db
def test_what_is_a_flag_is_not_proposed_again_while_it_is_open() -> None:
    flag = decided(proposed(4), person(Role.TEAM_LEAD))
    assert propose(indicator="similar_reports", finding=finding(100), now=NOON) is None
    RiskFlag.objects.filter(pk=flag.pk).update(status="resolved", step="closed", resolved_at=NOON)
    assert propose(indicator="similar_reports", finding=finding(100), now=NOON) is not None


@pytest.mark.django_db
def test_precision_counts_what_people_decided_in_the_period() -> None:
    lena = person(Role.TEAM_LEAD)
    for number in range(4):
        found = Finding(f"m:{number}", None, "Title", ("Why",), 2.5, 2)
        proposal = propose(indicator="data", finding=found, now=NOON)
        if proposal and number:
            decided(proposal, lena, **({"reason": "No"} if number == 1 else {}))
    rows = {row["indicator"]: row for row in precision(since=NOON, until=NOON + timedelta(days=1), actor=lena)}
    assert len(rows) == 7
    assert rows["data"] | {"label": ""} == {
        "indicator": "data", "label": "", "open": 1, "confirmed": 2, "rejected": 1, "precision": pytest.approx(2 / 3),
    }  # fmt: skip
    assert rows["security"]["precision"] is None
    assert precision(since=NOON - timedelta(days=1), until=NOON)[1]["confirmed"] == 0


@pytest.mark.django_db(transaction=True)
def test_of_people_who_decide_at_once_one_prevails() -> None:
    people = [person(Role.TEAM_LEAD) for number in range(4)]
    proposal, barrier, outcomes = proposed(), threading.Barrier(4), []

    def decide(number: int) -> None:
        barrier.wait()
        try:
            decided(proposal, people[number], **({"reason": "No"} if number % 2 else {}))
            outcomes.append("done")
        except ProposalDecided:
            outcomes.append("late")
        finally:
            connections.close_all()

    _together(decide, 4)
    assert sorted(outcomes) == ["done", "late", "late", "late"]
    assert RiskFlag.objects.count() == (Proposal.objects.get().status == "confirmed")


@pytest.mark.django_db(transaction=True)
def test_workers_that_find_the_same_at_once_open_one_proposal() -> None:
    barrier = threading.Barrier(4)

    def find(number: int) -> None:
        barrier.wait()
        proposed(4 + number)
        connections.close_all()

    _together(find, 4)
    assert Proposal.objects.get().affected_count == 7
    assert not Report.objects.exists()


def _together(work: Any, count: int) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
