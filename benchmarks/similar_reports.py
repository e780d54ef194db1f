"""How long the search for similar reports takes among a million, and what other kinds of indexes would do.

    python benchmarks/similar_reports.py --messages FILE --stackfaq DIR [--size 1000000] [--compare 100000] [--queries 400]

FILE is banking77's train.csv. The reports are made of its messages: each is one of them, half of whose words are replaced by words drawn by how often they occur, so that common words are as common as in real messages. All
lie within the window of seven days, which is the worst case: what is older is not in the index. Sought are questions of
stackfaq as they were written, of each of whose groups one was stored among the million.

Compared on fewer reports, with the same messages: pg_trgm (GIN with a threshold, GiST nearest neighbours), MinHash bands in
an array with GIN, and pgvector (HNSW over hashed words). For each: time of a search, size of the index, how long it took to
build, and in how many cases it leads to the stored question of the same group.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import re
import statistics
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks_database import scratch_database

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
BANDS, ROWS = 20, 2
DIMENSIONS = 256
_WORD = re.compile(r"[^\W_]+")


def messages(args: argparse.Namespace) -> list[str]:
    with args.messages.open(newline="", encoding="utf-8") as file:
        return [row["text"].strip() for row in csv.DictReader(file)]


def questions(args: argparse.Namespace) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (args.stackfaq / "queries.jsonl").read_text(encoding="utf-8").splitlines()]


def made(some: list[str], size: int) -> Iterator[str]:
    """Messages with half of their words replaced."""
    chance = random.Random(7)
    often = Counter(word for text in some for word in _WORD.findall(text.lower()))
    pool, weights = list(often), list(often.values())
    drawn = iter(())
    for number in range(size):
        tokens = _WORD.findall(some[chance.randrange(len(some))].lower())
        for place in range(len(tokens)):
            if chance.random() < 0.5:
                try:
                    tokens[place] = next(drawn)
                except StopIteration:
                    drawn = iter(chance.choices(pool, weights, k=100_000))
                    tokens[place] = next(drawn)
        if number % 3 == 0:
            tokens.append(f"a{chance.randrange(10**6)}")
        yield " ".join(tokens)


def fill(some: list[str], size: int, stored: list[str]) -> None:
    """The reports, with their words; indexes on them are built after."""
    from django.db import connection

    from apps.escalation.words import words

    step = timedelta(days=6) / size
    begun = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX report_words")
        sql = "COPY escalation_report (source, subject, customer, category, text, at, judged_at, words) FROM STDIN"
        with cursor.copy(sql) as copy:
            for number, text in enumerate([*stored, *made(some, size - len(stored))]):
                at = NOW - timedelta(days=6) + number * step
                copy.write_row((f"m:{number}", "", str(number), "", text, at, at, words(text)))
        print(f"{size:,} reports copied in {time.monotonic() - begun:.0f} s", flush=True)
        cursor.execute("SET maintenance_work_mem = '1GB'")
        build(
            cursor,
            "report_words",
            "CREATE INDEX report_words ON escalation_report USING gin (words) WITH (fastupdate = off)",
        )
        cursor.execute("VACUUM ANALYZE escalation_report")


def build(cursor: Any, name: str, statement: str) -> None:
    begun = time.monotonic()
    cursor.execute(statement)
    took = time.monotonic() - begun
    cursor.execute("SELECT pg_relation_size(%s::regclass) / 1e6", [name])
    print(f"  index {name}: {cursor.fetchone()[0]:.0f} MB, built in {took:.0f} s", flush=True)


def summary(name: str, milliseconds: list[float], found: int = -1, right: int = 0) -> None:
    cuts = statistics.quantiles(milliseconds, n=100)
    led = f"; found {found} of {len(milliseconds)}, {right} of them right" if found >= 0 else ""
    print(
        f"  {name}: median {statistics.median(milliseconds):.1f} ms, p95 {cuts[94]:.1f} ms, p99 {cuts[98]:.1f} ms, "
        f"longest {max(milliseconds):.0f} ms{led}",
        flush=True,
    )


def own(asked: list[tuple[str, str]], expected: dict[str, int]) -> None:
    """The product's search, then judging as a whole, which writes."""
    from apps.escalation.models import Report
    from apps.escalation.reports import judge, most_alike
    from apps.escalation.words import vocabulary, words

    begun = time.perf_counter()
    known = vocabulary()
    print(f"  reading the statistics: {(time.perf_counter() - begun) * 1000:.1f} ms, {len(known.shares):,} words")
    took, found, hits, alike = [], 0, 0, 0
    for text, group in asked:
        report = Report(pk=0, text=text, at=NOW, words=words(text))
        begun = time.perf_counter()
        nearest = most_alike(report, vocabulary())
        took.append((time.perf_counter() - begun) * 1000)
        target = Report.objects.get(source=f"m:{expected[group]}")
        found += nearest is not None
        hits += nearest is not None and nearest.pk == target.pk
        near = known.alike(words(text), target.words or [])
        best = known.alike(words(text), nearest.words or []) if nearest else 0.0
        alike += near >= 0.5 and best < near
    summary("words (GIN) and cosine", took, found, hits)
    print(f"  of them {alike} have a stored question that is alike, and something less alike was found")
    took = []
    for number, (text, _) in enumerate(asked):
        report = Report.objects.create(source=f"q:{number}", customer=f"q{number}", text=text, at=NOW)
        begun = time.perf_counter()
        judge(report.pk, now=NOW)
        took.append((time.perf_counter() - begun) * 1000)
    summary("judging a message as a whole", took)


def signature(text: str) -> list[int]:
    """MinHash of the words, in bands."""
    from apps.escalation.words import words

    own_words = words(text) or [0]
    hashes = [min(zlib.crc32(f"{seed}:{word}".encode()) for word in own_words) for seed in range(BANDS * ROWS)]
    bands = (tuple(hashes[band * ROWS : band * ROWS + ROWS]) for band in range(BANDS))
    return [zlib.crc32(f"{number}:{band}".encode()) - 2**31 for number, band in enumerate(bands)]


def vector(text: str, known: Any) -> str:
    """The weighed words, hashed into few dimensions with a sign, of length 1."""
    from apps.escalation.words import words

    values = [0.0] * DIMENSIONS
    for word in words(text):
        values[word % DIMENSIONS] += known.weight(word) * (1 if word // DIMENSIONS % 2 else -1)
    length = math.sqrt(sum(value**2 for value in values)) or 1.0
    return "[" + ",".join(f"{value / length:.4f}" for value in values) + "]"


def compare(asked: list[tuple[str, str]], expected: dict[str, int]) -> None:
    from django.db import connection

    from apps.escalation.words import vocabulary

    known = vocabulary()
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
        cursor.execute("CREATE TABLE other (number int, text text, bands int[], vector halfvec(256))")
        cursor.execute("SELECT source, text FROM escalation_report WHERE source LIKE 'm:%%'")
        rows = cursor.fetchall()
        with cursor.copy("COPY other FROM STDIN") as copy:
            for source, text in rows:
                copy.write_row((int(source[2:]), text, signature(text), vector(text, known)))
        search(cursor, asked, expected, "pg_trgm GIN, similarity from 0.4", "USING gin (text gin_trgm_ops)",
            "SELECT number, similarity(text, %s) AS alike FROM other WHERE text %% %s ORDER BY alike DESC LIMIT 1",
            lambda text: (text, text), 0.4, "SET pg_trgm.similarity_threshold = 0.4")  # fmt: skip
        search(cursor, asked[:60], expected, "pg_trgm GiST, nearest, from 0.4", "USING gist (text gist_trgm_ops)",
            "SELECT number, 1 - (text <-> %s) FROM other ORDER BY text <-> %s LIMIT 1",
            lambda text: (text, text), 0.4)  # fmt: skip
        search(cursor, asked, expected, f"MinHash {BANDS} x {ROWS} GIN, most bands, from 2", "USING gin (bands)",
            "SELECT number, cardinality(ARRAY(SELECT unnest(bands) INTERSECT SELECT unnest(%s::int[]))) AS shared "
            "FROM (SELECT number, bands FROM other WHERE bands && %s::int[] LIMIT 2000) near ORDER BY shared DESC LIMIT 1",
            lambda text: (signature(text),) * 2, 2)  # fmt: skip
        search(cursor, asked, expected, f"pgvector HNSW, {DIMENSIONS} dimensions, cosine from 0.5",
            "USING hnsw (vector halfvec_cosine_ops)",
            "SELECT number, 1 - (vector <=> %s::halfvec) FROM other ORDER BY vector <=> %s::halfvec LIMIT 1",
            lambda text: (vector(text, known),) * 2, 0.5, "SET maintenance_work_mem = '1GB'")  # fmt: skip


def search(
    cursor: Any,
    asked: list[tuple[str, str]],
    expected: dict[str, int],
    name: str,
    index: str,
    query: str,
    values: Callable[[str], tuple[Any, ...]],
    least: float,
    first: str = "SELECT 1",
) -> None:
    cursor.execute(first)
    build(cursor, "other_index", f"CREATE INDEX other_index ON other {index}")
    cursor.execute("ANALYZE other")
    took, found, right = [], 0, 0
    for text, group in asked:
        begun = time.perf_counter()
        cursor.execute(query, values(text))
        row = cursor.fetchone()
        took.append((time.perf_counter() - begun) * 1000)
        if row is not None and row[1] >= least:
            found, right = found + 1, right + (row[0] == expected[group])
    summary(name, took, found, right)
    cursor.execute("DROP INDEX other_index")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=Path, required=True)
    parser.add_argument("--stackfaq", type=Path, required=True)
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--compare", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=400)
    args = parser.parse_args()
    first: dict[str, str] = {}
    rest: list[tuple[str, str]] = []
    for row in questions(args):
        group = str(row["faq_id"])
        if group in first:
            rest.append((row["query"], group))
        first.setdefault(group, row["query"])
    expected = {group: number for number, group in enumerate(first)}
    asked = random.Random(3).sample(rest, min(args.queries, len(rest)))
    for size, others in ((args.compare, True), (args.size, False)):
        if size:
            with scratch_database(os.environ["DATABASE_URL"], "bench_similar"):
                fill(messages(args), size, list(first.values()))
                own(asked, expected)
                if others:
                    compare(asked, expected)


if __name__ == "__main__":
    main()
