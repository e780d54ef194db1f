"""Reports: who reports nearly the same is put together, once, also by several workers and after a lost task."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections

from apps.escalation import bursts, reports
from apps.escalation.models import Cluster, Proposal, Report
from apps.escalation.reports import judge, leave_window, observe, waiting, watch
from apps.escalation.signs import Sign, indicators
from apps.escalation.words import Vocabulary, vocabulary, words
from tests.core.factories import ScopeFactory

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LAMP = "The lamp arrived with a broken glass shade"


def seen(number: int, text: str, *, hours: float = 0, **changes: Any) -> Report:
    """A report, judged at once."""
    at = NOON + hours * HOUR
    facts = {
        "source": f"chat_message:{number}",
        "customer": f"c{number}",
        "category": "damage",
        "scope": None,
        "at": at,
    }
    report = observe(**({"text": text} | facts | changes))
    return judge(report.pk, now=at) or report


@pytest.mark.django_db
def test_similar_reports_come_together_and_propose_one_flag() -> None:
    texts = [
        LAMP,
        "broken glass shade on the lamp that arrived",
        "Where is my invoice?",
        "The lamp's glass shade arrived broken!",
    ]
    judged = [seen(number, text, hours=number) for number, text in enumerate(texts)]
    first, second, other, last = [Report.objects.get(pk=one.pk) for one in judged]
    assert first.cluster == second.cluster == last.cluster is not None
    assert other.cluster is None
    cluster = Cluster.objects.get()
    assert (cluster.reports, cluster.customers) == (3, 3)
    assert (cluster.first_at, cluster.last_at) == (first.at, last.at)
    proposal = Proposal.objects.get()
    assert (proposal.indicator, proposal.subject, proposal.affected_count) == (
        "similar_reports",
        f"cluster:{cluster.pk}",
        3,
    )
    assert proposal.evidence[0]["first_at"] == first.at.isoformat()


@pytest.mark.django_db
def test_one_customer_who_repeats_is_no_cluster_of_customers() -> None:
    for number in range(5):
        seen(number, LAMP, customer="Anna@example.com " if number % 2 else "anna@example.com")
    assert Cluster.objects.get().customers == 1
    assert not Proposal.objects.exists()


@pytest.mark.django_db
def test_reports_of_other_scopes_and_of_long_ago_are_not_put_together() -> None:
    seen(1, LAMP, scope=ScopeFactory())
    seen(2, LAMP)
    seen(3, LAMP, hours=8 * 24)
    assert not Cluster.objects.exists()


@pytest.mark.django_db
def test_a_proposal_grows_with_its_cluster() -> None:
    for number in range(12):
        seen(number, LAMP, hours=number / 10)
    proposal = Proposal.objects.get()
    assert (proposal.affected_count, proposal.level, proposal.version) == (12, 3, 10)


@pytest.mark.django_db
def test_only_the_redacted_text_and_a_digest_of_the_customer_are_kept() -> None:
    report = seen(1, "Write to anna@example.com\x00", customer="anna@example.com")
    assert "anna@example.com" not in report.text + report.customer
    assert report.text.startswith("Write to ")


@pytest.mark.django_db
def test_the_same_message_is_seen_and_judged_once() -> None:
    first, again = seen(1, LAMP), seen(1, LAMP)
    assert first.pk == again.pk
    assert judge(first.pk, now=NOON) is None
    assert waiting() == []


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["", "   ", "the of and", "👍👍", "a" * 50_000, "x " * 30_000])
def test_odd_messages_are_judged(text: str) -> None:
    assert seen(1, text).judged_at
    assert seen(2, text).judged_at


@pytest.mark.django_db
def test_what_a_lost_task_left_is_judged_by_the_watch() -> None:
    for number in range(3):
        observe(source=f"m:{number}", text=LAMP, customer=str(number), category="", scope=None, at=NOON)
    assert watch(now=NOON + HOUR) == 3
    assert Proposal.objects.get().affected_count == 3
    assert watch(now=NOON + 2 * HOUR) == 0


@pytest.mark.django_db
def test_words_leave_with_the_window() -> None:
    seen(1, LAMP)
    fresh = seen(2, "Invoice wrong", hours=7 * 24 - 1)
    assert leave_window(NOON + timedelta(days=7)) == 1
    assert list(Report.objects.filter(words__isnull=False)) == [fresh]


@pytest.mark.django_db
def test_an_indicator_that_fails_does_not_silence_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> Any:
        raise RuntimeError("a mistake")

    one = indicators["similar_reports"]
    monkeypatch.setitem(indicators._rules, "aaa", Sign("aaa", "Broken", "report", one.settings, broken))
    for number in range(3):
        seen(number, LAMP)
    assert Proposal.objects.filter(indicator="similar_reports").count() == 1


@pytest.mark.django_db
def test_rare_words_weigh_more_once_there_are_statistics() -> None:
    rows = [
        Report(source=f"m:{n}", customer=str(n), text="", at=NOON, words=words(f"order late item{n}"))
        for n in range(400)
    ]
    Report.objects.bulk_create(rows)
    assert vocabulary() == Vocabulary()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE escalation_report")
    known = vocabulary()
    assert known.reports == pytest.approx(400)
    assert known.often(words("order")[0]) == pytest.approx(400)
    assert known.weight(words("order")[0]) == pytest.approx(1, abs=0.01)
    assert known.weight(words("unheard")[0]) > 6
    assert known.alike(words("order late item1"), words("late order item2")) < 0.1
    seen(1, "My order is late: item7!", source="n:1")
    assert Report.objects.get(source="n:1").cluster.members.filter(source="m:7").exists()


@pytest.mark.django_db
def test_reports_of_common_words_alone_are_found_by_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "CANDIDATES", 50)
    rows = [
        Report(source=f"m:{n}", customer=str(n), text="", at=NOON, words=words("order " + "late" * (n % 2)))
        for n in range(400)
    ]
    Report.objects.bulk_create(rows)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE escalation_report")
    report = seen(1, "Order late", source="n:1")
    assert report.cluster is not None
    assert set(words("order late")) == set(report.cluster.members.exclude(pk=report.pk).get().words or [])


@pytest.mark.django_db(transaction=True)
def test_several_workers_put_similar_reports_into_one_cluster() -> None:
    made = [observe(source=f"m:{n}", text=LAMP, customer=str(n), category="", scope=None, at=NOON).pk for n in range(8)]
    barrier = threading.Barrier(4)

    def work(own: list[int]) -> None:
        barrier.wait()
        for pk in own:
            judge(pk, now=NOON)
        connections.close_all()

    # Each two have the same work, as a task handed out twice has.
    threads = [threading.Thread(target=work, args=(made[part % 2 :: 2],)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watch(now=NOON)
    cluster = Cluster.objects.get()
    assert (cluster.reports, cluster.customers) == (8, 8)
    assert Proposal.objects.get().affected_count == 8


def counted(usual: list[int], today: int, days: int = 28) -> dict[bursts.Key, list[int]]:
    return {
        (None, "damage"): [today, *(usual[day % len(usual)] for day in range(days))],
        (None, "other"): [20] * (days + 1),
    }


def judged(counts: dict[bursts.Key, list[int]]) -> list[str]:
    found = bursts.bursts(counts, rate=0.001, at_least=5, times=2, shortest=7)
    return [one.category for one in found]


@pytest.mark.parametrize(
    ("usual", "today", "burst"),
    [
        ([2, 3, 1], 12, True),
        ([2, 3, 1], 5, False),
        ([40, 44, 38], 60, False),
        ([0], 4, False),
        ([0], 8, True),
        ([0, 0, 12], 14, False),
    ],
)
def test_a_burst_is_judged_by_the_categorys_own_days(usual: list[int], today: int, burst: bool) -> None:
    assert ("damage" in judged(counted(usual, today))) is burst


def test_nothing_is_judged_without_enough_history() -> None:
    assert judged({}) == []
    assert judged({(None, "damage"): [50, 1, 1, 1] + [0] * 25}) == []


def test_a_quiet_weekend_makes_no_monday_a_burst() -> None:
    week = [60, 60, 60, 60, 60, 10, 10]
    counts = {(None, name): [60, *([10, 10, 60, 60, 60, 60, 60] * 4)] for name in ("a", "b", "c")}
    assert judged(counts) == []
    assert sum(week) == 320


@pytest.mark.django_db
def test_the_watch_proposes_a_burst() -> None:
    rows = [
        Report(
            source=f"m:{day}:{n}",
            customer="",
            text="",
            category="damage",
            at=NOON - timedelta(days=day, hours=1),
            judged_at=NOON,
        )
        for day in range(20)
        for n in range(20 if day == 0 else 2)
    ]
    Report.objects.bulk_create(rows)
    watch(now=NOON)
    proposal = Proposal.objects.get()
    assert (proposal.indicator, proposal.subject, proposal.level) == ("unusual_pattern", "category:all:damage", 3)
    assert "20 reports in 24 hours" in proposal.title
