"""Groups of similar reports that a person sets right: nothing is lost, counted twice, or proposed again."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.core.errors import DomainError
from apps.core.models import Decision, Scope, User
from apps.core.roles import Role
from apps.escalation import clusters, proposals, reports, retention
from apps.escalation.binding import MissingInformation, NotAllowed
from apps.escalation.clusters import ClusterMerged, ClusterNotFound, NotMergeable
from apps.escalation.models import Cluster, Proposal, Report
from tests.core.factories import ScopeFactory, person
from tests.escalation.factories import NOON

LAMP = "The lamp arrived with a broken glass shade"
CAKE = "My birthday cake tasted of soap and petrol"
LATER = NOON + timedelta(days=1)


def seen(text: str, *customers: str, scope: Scope | None = None, start: int = 0) -> Cluster | None:
    for number, customer in enumerate(customers, start):
        at = NOON + timedelta(minutes=number)
        source = f"chat_message:{text.split()[1]}{number}"
        report = reports.observe(source=source, text=text, customer=customer, category="", scope=scope, at=at)
        reports.judge(report.pk, now=at)
    return Report.objects.get(source=source).cluster


def two(scope: Scope | None = None) -> tuple[Cluster, Cluster]:
    lamp, cake = seen(LAMP, "a", "b", "c", scope=scope), seen(CAKE, "c", "d", "e", "f", scope=scope)
    assert lamp is not None
    assert cake is not None
    return lamp, cake


def merged(gone: Cluster, kept: Cluster, actor: User, **changes: Any) -> Cluster:
    facts = {"from_id": gone.pk, "into_id": kept.pk, "reason": "The same parcel.", "actor": actor, "now": LATER}
    return clusters.merge(**(facts | changes))


@pytest.fixture
def lead(db: None) -> User:
    return person(Role.TEAM_LEAD)


def test_members_move_customers_are_counted_once_and_it_is_on_record(lead: User) -> None:
    gone, kept = two()
    done = merged(gone, kept, lead)
    assert (done.reports, done.customers, done.members.count()) == (7, 6, 7)
    assert done.first_at == NOON
    gone.refresh_from_db()
    assert (gone.merged_into, gone.reports, gone.members.count()) == (kept, 3, 0)
    entry = Decision.objects.get(action="clusters_merged")
    assert (entry.actor, entry.subject, entry.rationale) == (lead, f"cluster:{kept.pk}", "The same parcel.")
    assert entry.payload == {"merged": gone.pk, "moved": 3, "reports": 7}
    assert merged(gone, kept, lead) == kept  # said again
    assert Decision.objects.filter(action="clusters_merged").count() == 1


def test_of_two_open_proposals_one_goes_on_and_the_other_is_joined_to_it(lead: User) -> None:
    gone, kept = two()
    mine, other = (Proposal.objects.get(subject=f"cluster:{one.pk}") for one in (gone, kept))
    merged(gone, kept, lead)
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.status, mine.decided_by, mine.decision_reason) == ("joined", lead, f"Joined to proposal {other.pk}.")
    assert (other.status, other.affected_count, other.evidence[0]["reports"]) == ("open", 6, 7)
    assert other.version > 1
    with pytest.raises(proposals.ProposalDecided):
        proposals.confirm(proposal_id=mine.pk, seen_version=mine.version, actor=lead, now=LATER)
    rows = proposals.precision(since=NOON, until=LATER + timedelta(days=1))
    assert all(row["rejected"] == row["confirmed"] == 0 for row in rows)


def test_a_proposal_goes_on_with_the_members(lead: User) -> None:
    gone, kept = two()
    Proposal.objects.filter(subject=f"cluster:{kept.pk}").delete()
    proposal = Proposal.objects.get()
    merged(gone, kept, lead)
    proposal.refresh_from_db()
    assert (proposal.subject, proposal.status, proposal.affected_count) == (f"cluster:{kept.pk}", "open", 6)
    assert proposal.evidence[0]["cluster"] == kept.pk
    flag = proposals.confirm(proposal_id=proposal.pk, seen_version=proposal.version, actor=lead, now=LATER)
    assert len(flag.references) == 8  # the group and its seven members


@pytest.mark.parametrize("flagged", ["gone", "kept"])
def test_what_is_flagged_already_is_not_proposed_again_after_merging(lead: User, flagged: str) -> None:
    gone, kept = two()
    chosen = gone if flagged == "gone" else kept
    proposal = Proposal.objects.get(subject=f"cluster:{chosen.pk}")
    flag = proposals.confirm(proposal_id=proposal.pk, seen_version=proposal.version, actor=lead, now=NOON)
    if flagged == "gone":
        Proposal.objects.filter(subject=f"cluster:{kept.pk}").delete()
    merged(gone, kept, lead)
    assert not Proposal.objects.filter(status="open").exists()
    if flagged == "kept":
        assert Proposal.objects.get(status="joined").flag == flag
    seen(CAKE, "x", "y", "z", start=20)
    assert not Proposal.objects.filter(status="open").exists()


def test_later_reports_join_the_group_that_was_kept(lead: User) -> None:
    gone, kept = two()
    merged(gone, kept, lead)
    assert seen(LAMP, "z", start=30) == kept
    kept.refresh_from_db()
    assert kept.reports == 8


def test_chains_end_where_the_members_are_and_rings_are_refused(lead: User) -> None:
    first, second = two()
    third = seen("The invoice names a company that is not mine", "a", "b", "c")
    assert third is not None
    merged(first, second, lead)
    merged(second, third, lead)
    first.refresh_from_db()
    assert first.merged_into == third
    with pytest.raises(ClusterMerged):
        merged(third, second, lead)
    with pytest.raises(NotMergeable):
        merged(third, third, lead)
    with pytest.raises(MissingInformation):
        merged(third, second, lead, reason=" ")


def test_groups_of_different_scopes_stay_apart(lead: User) -> None:
    gone, _ = two(ScopeFactory())
    kept = seen(LAMP, "x", "y", "z", start=40)
    assert kept is not None
    with pytest.raises(NotMergeable):
        merged(gone, kept, person(Role.RISK_MANAGER))
    with pytest.raises(ClusterNotFound):
        merged(gone, kept, lead)  # of another scope
    assert Report.objects.filter(cluster=gone).count() == 3


@pytest.mark.parametrize("role", [Role.SUPPORT_AGENT, Role.AUDITOR, Role.OPERATOR, Role.CONTENT_OWNER])
def test_others_merge_and_split_nothing(db: None, role: Role) -> None:
    gone, kept = two()
    actor = person(role)
    with pytest.raises(NotAllowed):
        merged(gone, kept, actor)
    with pytest.raises(NotAllowed):
        clusters.split(cluster_id=gone.pk, report_id=gone.members.earliest("pk").pk, reason="x", actor=actor, now=LATER)
    assert not Decision.objects.filter(action__in=["clusters_merged", "report_split_off"]).exists()


def test_a_report_is_split_off_and_its_proposal_shrinks(lead: User) -> None:
    cluster, _ = two()
    seen(LAMP, "d", start=60)
    proposal = Proposal.objects.get(subject=f"cluster:{cluster.pk}")
    last = cluster.members.latest("at")
    left = clusters.split(cluster_id=cluster.pk, report_id=last.pk, reason="A cup.", actor=lead, now=LATER)
    last.refresh_from_db()
    assert last.cluster is None
    assert (left.reports, left.customers, left.last_at) == (3, 3, NOON + timedelta(minutes=2))
    seen_version, version = proposal.version, Proposal.objects.get(pk=proposal.pk).version
    assert version == seen_version + 1
    assert Proposal.objects.get(pk=proposal.pk).affected_count == 3
    assert Decision.objects.get(action="report_split_off").payload == {"report": last.pk, "reports": 3}
    with pytest.raises(ClusterNotFound):
        clusters.split(cluster_id=cluster.pk, report_id=last.pk, reason="Again.", actor=lead, now=LATER)


def test_a_customer_who_is_still_there_keeps_counting(lead: User) -> None:
    cluster = seen(LAMP, "a", "b", "c", "a")
    assert cluster is not None
    first = cluster.members.earliest("at")
    left = clusters.split(cluster_id=cluster.pk, report_id=first.pk, reason="A cup.", actor=lead, now=LATER)
    assert (left.reports, left.customers) == (3, 3)


def test_counts_survive_merging_after_old_members_were_deleted(lead: User) -> None:
    gone, kept = two()
    gone.members.filter(pk=gone.members.earliest("at").pk).delete()
    done = merged(gone, kept, lead)
    assert (done.reports, done.customers, done.members.count()) == (7, 6, 6)


def test_the_pages_show_merge_split_and_redirect(client: Client, lead: User) -> None:
    gone, kept = two()
    client.force_login(lead)
    page = f"/admin/escalation/cluster/{gone.pk}/"
    shown = client.get(f"{page}change/").content.decode()
    assert LAMP in shown
    report = gone.members.earliest("at")
    assert f"{page}split/{report.pk}/" in shown
    assert client.get(f"{page}split/{report.pk}/").status_code == 200
    assert client.post(f"{page}split/{report.pk}/", {"reason": "Else"}).status_code == 302
    assert client.get(f"{page}split/{report.pk}/").status_code == 404
    assert f'value="{kept.pk}"' in client.get(f"{page}merge/").content.decode()
    assert client.post(f"{page}merge/", {"into": kept.pk, "reason": ""}).status_code == 400
    assert client.post(f"{page}merge/", {"into": kept.pk, "reason": "Same"}).status_code == 302
    answer = client.get(f"{page}change/", follow=True)
    assert answer.redirect_chain[-1][0] == f"/admin/escalation/cluster/{kept.pk}/change/"
    assert f"Group {gone.pk} was merged into this one." in answer.content.decode()
    assert [row.pk for row in client.get("/admin/escalation/cluster/").context["cl"].queryset] == [kept.pk]


def test_texts_of_customers_are_shown_as_text(client: Client, lead: User) -> None:
    nasty = "<script>alert(1)</script> my lamp arrived broken"
    cluster = seen(nasty, "a", "b", "c")
    assert cluster is not None
    client.force_login(lead)
    pages = [f"/admin/escalation/cluster/{cluster.pk}/{name}/" for name in ("change", "merge")]
    pages += [
        f"/admin/escalation/cluster/{cluster.pk}/split/{cluster.members.earliest('pk').pk}/",
        "/admin/escalation/cluster/",
    ]
    pages += [
        f"/admin/escalation/proposal/{Proposal.objects.get().pk}/change/",
        "/admin/escalation/indicatorversion/rule/similar_reports/",
    ]
    for address in pages:
        body = client.get(address).content.decode()
        assert "<script>alert" not in body
        assert "&lt;script&gt;alert" in body


@pytest.mark.django_db(transaction=True)
def test_a_report_that_comes_while_two_groups_merge_is_counted_where_the_members_are() -> None:
    lead = person(Role.TEAM_LEAD)
    gone, kept = two()
    failures: list[Exception] = []
    start = threading.Barrier(3)

    def run(deed: Any) -> None:
        try:
            start.wait(5)
            deed()
        except DomainError as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=run, args=(lambda: merged(gone, kept, lead),)),
        threading.Thread(target=run, args=(lambda: seen(LAMP, "n1", start=70),)),
        threading.Thread(target=run, args=(lambda: seen(LAMP, "n2", start=71),)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    kept.refresh_from_db()
    assert (kept.reports, kept.customers, kept.members.count()) == (9, 8, 9)
    assert not Report.objects.filter(cluster=gone).exists()
    assert Proposal.objects.filter(status="open").count() == 1


# Retention


def test_old_reports_go_and_counts_stay(lead: User) -> None:
    lamp, _ = two()
    proposal = Proposal.objects.get(subject=f"cluster:{lamp.pk}")
    proposals.reject(proposal_id=proposal.pk, seen_version=proposal.version, reason="Known.", actor=lead, now=NOON)
    waits = Proposal.objects.get(status="open").title
    at = NOON + timedelta(days=90)
    late = reports.observe(source="chat_message:new", text="Thank you", customer="q", category="", scope=None, at=at)
    day = NOON + timedelta(days=100)

    before = [list(model.objects.values()) for model in (Report, Cluster, Proposal, Decision)]
    expected = retention.Forgotten(reports=7, clusters=2, proposals=1)
    assert retention.preview(now=day, days=60) == expected
    assert before == [list(model.objects.values()) for model in (Report, Cluster, Proposal, Decision)]

    assert retention.forget(now=day, days=60) == expected
    assert list(Report.objects.all()) == [late]
    lamp.refresh_from_db()
    proposal.refresh_from_db()
    assert (lamp.reports, lamp.customers, lamp.title) == (3, 3, retention.GONE)
    assert (proposal.affected_count, proposal.status) == (3, "rejected")
    assert "lamp" not in proposal.title
    assert Proposal.objects.get(status="open").title == waits
    entry = Decision.objects.get(action="reports_forgotten")
    assert (entry.actor_label, entry.payload["reports"]) == ("system:report-retention", 7)
    assert retention.forget(now=day, days=60) == retention.Forgotten(0, 0, 0)
    assert Decision.objects.filter(action="reports_forgotten").count() == 1


def test_the_command_previews_unless_told_to_delete(db: None, settings: Any, capsys: Any) -> None:
    from django.core.management import CommandError, call_command

    two()
    settings.REPORT_RETENTION_DAYS = 60
    call_command("forget_reports")
    assert capsys.readouterr().out.startswith("Would delete 7 reports")
    assert Report.objects.count() == 7
    with pytest.raises(CommandError):
        call_command("forget_reports", "--delete", "--days", "2")
    call_command("forget_reports", "--delete")
    assert capsys.readouterr().out.startswith("Deleted 7 reports")
    assert not Report.objects.exists()


def test_the_daily_task_keeps_to_the_setting(db: None, settings: Any) -> None:
    from apps.escalation.tasks import forget_reports

    two()
    settings.REPORT_RETENTION_DAYS = 3650
    assert forget_reports() == 0
    settings.REPORT_RETENTION_DAYS = 60
    assert forget_reports() == 7


def test_one_report_that_cannot_be_judged_holds_up_no_other(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        reports.observe(source=f"m:{number}", text=LAMP, customer=str(number), category="", scope=None, at=NOON)
    poison, whole = Report.objects.earliest("pk").pk, reports.join

    def join(report: Report) -> Cluster | None:
        if report.pk == poison:
            raise ValueError("poison")
        return whole(report)

    monkeypatch.setattr(reports, "join", join)
    assert reports.watch(now=NOON) == 2
    assert reports.waiting() == [poison]
