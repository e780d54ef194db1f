"""What the indicators find in real messages, and how fast: precision, recall, time per message.

    python benchmarks/indicators.py wording --cfpb FILE --stackfaq DIR --banking77 FILE --shop FILE
    python benchmarks/indicators.py similar --cfpb FILE --stackfaq DIR
    python benchmarks/indicators.py bursts  --cfpb FILE

FILE and DIR are the public data of these names; none of it comes with the product. A scratch database
``bench_indicators`` is made on the server of ``DATABASE_URL`` and dropped at the end. ``benchmarks/similar_reports.py``
measures the search among a million reports and compares kinds of indexes.

Wording: banking77's messages are labelled with what they are about; those about a lost, stolen or compromised card or phone
and about payments that the customer does not recognise are security concerns. Similar reports: stackfaq's questions are
labelled with the article that answers them, so that questions of one article are similar reports; complaints count as
nearly the same if their TF-IDF cosine over groups of characters is 0.9 or more. Bursts: complaints by issue and by company;
false alarms are counted on the same complaints with their days shuffled, detection by complaints added to one day.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks_database import scratch_database

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECURITY = {
    "compromised_card", "lost_or_stolen_card", "lost_or_stolen_phone", "card_payment_not_recognised",
    "cash_withdrawal_not_recognised", "direct_debit_payment_not_recognised",
}  # fmt: skip
WORDINGS = ("data", "security", "compliance", "severe_impact", "reputation")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def narratives(path: Path) -> list[dict[str, str]]:
    return [row for row in rows(path) if row["Consumer complaint narrative"].strip()]


def times(milliseconds: list[float]) -> str:
    cuts = statistics.quantiles(milliseconds, n=100)
    return f"median {statistics.median(milliseconds):.2f} ms, p95 {cuts[94]:.2f} ms, p99 {cuts[98]:.2f} ms"


def wording(args: argparse.Namespace) -> None:
    """What the phrases find."""
    from apps.escalation.phrases import judge

    texts = {
        "complaints": [row["Consumer complaint narrative"] for row in narratives(args.cfpb)],
        "questions about web applications": [row["query"] for row in lines(args.stackfaq / "queries.jsonl")],
        "questions to a shop": [row["question"] for row in lines(args.shop)],
    }
    took: list[float] = []
    for name, some in texts.items():
        found: Counter[str] = Counter()
        for text in some:
            begun = time.perf_counter()
            hit = [one for one in WORDINGS if judge(text, one).score >= 2]
            took.append((time.perf_counter() - begun) * 1000)
            found.update([*hit, *(["any"] if hit else [])])
        shares = ", ".join(f"{one} {found[one] / len(some):.1%}" for one in (*WORDINGS, "any"))
        print(f"{name}: {len(some):,} messages; proposed {shares}")
    print(f"five indicators for one message: {times(took)}")
    messages = rows(args.banking77)
    marked = [(judge(row["text"], "security").score, row["category"] in SECURITY) for row in messages]
    for threshold in (1.5, 2.0, 2.5, 3.0):
        hit = [right for score, right in marked if score >= threshold]
        print(
            f"banking77, security from {threshold}: precision {sum(hit) / len(hit):.3f} ({len(hit)} proposed), "
            f"recall {sum(hit) / sum(right for _, right in marked):.3f} of {sum(right for _, right in marked)}"
        )


def similar(args: argparse.Namespace) -> None:
    """Which reports come together, through the product's own path."""
    questions = lines(args.stackfaq / "queries.jsonl")
    random.Random(1).shuffle(questions)
    together("stackfaq", [row["query"] for row in questions], [row["faq_id"] for row in questions])
    from sklearn.feature_extraction.text import TfidfVectorizer

    complaints = narratives(args.cfpb)
    texts = [row["Consumer complaint narrative"] for row in complaints]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True).fit_transform(texts)
    cosine = (vectors @ vectors.T).toarray()
    same = {(i, j) for i, j in combinations(range(len(texts)), 2) if cosine[i, j] >= 0.9}
    labels = judged("cfpb", texts)
    put = {(i, j) for i, j in combinations(range(len(texts)), 2) if labels[i] is not None and labels[i] == labels[j]}
    far = [cosine[pair] for pair in put]
    print(
        f"cfpb: {len(texts)} narratives, {len(same)} pairs nearly the same, {len(same & put) / len(same):.3f} of them in one "
        f"cluster; {len(put)} pairs in one cluster, of which {sum(one >= 0.5 for one in far) / len(far):.3f} have a cosine of "
        f"0.5 or more and {sum(one >= 0.3 for one in far) / len(far):.3f} of 0.3 or more"
    )
    sizes = Counter(label for label in labels if label is not None)
    print(f"  clusters of three and more: {[size for _, size in sizes.most_common() if size >= 3]}")


def judged(name: str, texts: list[str]) -> list[int | None]:
    """The cluster of each text, observed and judged one after another, each of another customer."""
    from django.conf import settings
    from django.db import connection, transaction

    from apps.escalation.models import Cluster, Proposal, Report
    from apps.escalation.reports import judge, observe

    settings.CELERY_TASK_ALWAYS_EAGER = False
    Report.objects.all().delete()
    Cluster.objects.all().delete()
    Proposal.objects.all().delete()
    took, keys = [], []
    for number, text in enumerate(texts):
        at = NOW + timedelta(seconds=number)
        source = f"{name}:{number}"
        with transaction.atomic():
            report = observe(source=source, text=text, customer=source, category="", scope=None, at=at)
            transaction.get_connection().run_on_commit.clear()
        begun = time.perf_counter()
        judge(report.pk, now=at)
        took.append((time.perf_counter() - begun) * 1000)
        keys.append(report.pk)
        if number in (250, 500):  # as autovacuum would
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE escalation_report")
    print(f"{name}: judging one message {times(took)}")
    clusters = dict(Report.objects.values_list("pk", "cluster"))
    return [clusters[key] for key in keys]


def together(name: str, texts: list[str], groups: list[Any]) -> None:
    labels = judged(name, texts)
    put = same = both = 0
    for i, j in combinations(range(len(texts)), 2):
        one, right = labels[i] is not None and labels[i] == labels[j], groups[i] == groups[j]
        put, same, both = put + one, same + right, both + (one and right)
    members: dict[int, Counter[Any]] = {}
    for label, group in zip(labels, groups, strict=True):
        if label is not None:
            members.setdefault(label, Counter())[group] += 1
    proposed = [one for one in members.values() if one.total() >= 3]
    pure = [one for one in proposed if one.most_common(1)[0][1] >= 0.8 * one.total()]
    found = {one.most_common(1)[0][0] for one in pure}
    print(
        f"{name}: pairs put together: precision {both / put:.3f}, recall {both / same:.3f}; proposals {len(proposed)}, "
        f"of one group {len(pure)} (precision {len(pure) / len(proposed):.3f}); groups found {len(found)} of "
        f"{len(set(groups))}"
    )


def bursts_of(args: argparse.Namespace) -> None:
    """Bursts by issue and by company, and what is found where there are none, or some of known size."""
    complaints = rows(args.cfpb)
    first, last = date(2019, 1, 15), date(2019, 7, 31)
    for column in ("Issue", "Company"):
        events = [(date.fromisoformat(row["Date received"]), row[column]) for row in complaints]
        events = [(day, name) for day, name in events if first - timedelta(days=28) <= day <= last]
        report(column, "as they came", [len(list(found(events, first, last)))], first, last)
        shuffled = [len(list(found(_shuffled(events, seed), first, last))) for seed in range(5)]
        report(column, "shuffled over the days, so without bursts", shuffled, first, last)
        for least in (1, 4):
            for times_usual in (2, 3, 5, 10):
                detected = added(events, first, last, times_usual, least)
                print(f"  {times_usual} times the usual, categories with {least} and more a day: {detected}")


def report(column: str, what: str, counts: list[int], first: date, last: date) -> None:
    days = (last - first).days + 1
    print(
        f"{column}, {what}: {statistics.mean(counts):.1f} found in {days} days, {statistics.mean(counts) / days:.3f} a day"
    )


def _shuffled(events: list[tuple[date, str]], seed: int) -> list[tuple[date, str]]:
    """The same totals by day and by category, with no connection between the two."""
    names = [name for _, name in events]
    random.Random(seed).shuffle(names)
    return [(day, name) for (day, _), name in zip(events, names, strict=True)]


def table(events: list[tuple[date, str]], today: date, back: int = 28) -> dict[Any, list[int]]:
    counts: dict[Any, list[int]] = {}
    for day, name in events:
        ago = (today - day).days
        if 0 <= ago <= back:
            counts.setdefault((None, name), [0] * (back + 1))[ago] += 1
    return counts


def found(events: list[tuple[date, str]], first: date, last: date) -> Iterator[Any]:
    for number in range((last - first).days + 1):
        yield from judge_counts(table(events, first + timedelta(days=number)))


def judge_counts(counts: dict[Any, list[int]]) -> list[Any]:
    from apps.escalation.bursts import bursts
    from apps.escalation.indicators.unusual_pattern import Settings

    own = Settings()
    return bursts(counts, rate=own.rate, at_least=own.at_least, times=own.times, shortest=own.shortest)


def added(events: list[tuple[date, str]], first: date, last: date, times_usual: int, least: int) -> str:
    """How many of the days with complaints added are found, day by day and category by category."""
    hit = total = 0
    shuffled = _shuffled(events, 99)
    for number in range(0, (last - first).days + 1, 3):
        counts = table(shuffled, first + timedelta(days=number))
        for key, own in counts.items():
            usual = sum(own[1:]) / 28
            if usual < least:
                continue
            changed = {**counts, key: [round(usual * times_usual), *own[1:]]}
            total += 1
            hit += any((one.scope_id, one.category) == key for one in judge_counts(changed))
    return f"{hit} of {total} found ({hit / max(total, 1):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["wording", "similar", "bursts"])
    for name in ("cfpb", "stackfaq", "banking77", "shop"):
        parser.add_argument(f"--{name}", type=Path)
    args = parser.parse_args()
    measure: dict[str, Callable[[argparse.Namespace], None]] = {
        "wording": wording,
        "similar": similar,
        "bursts": bursts_of,
    }
    with scratch_database(os.environ["DATABASE_URL"], "bench_indicators"):
        measure[args.what](args)


if __name__ == "__main__":
    main()
