"""How fast questions are answered among many articles, and how much memory that takes.

    python -m benchmarks.knowledge_speed --data FOLDER [--sizes 10000 100000] [--questions 500]

For each size so many made-up articles of eight passages are written beside the real ones of ``benchmarks.knowledge_data``
(a folder of public data that is not part of the product): their words are drawn from those of the real ones as Zipf's law
has it, their vectors are real passages' with noise. ``answer()`` is asked real questions in one process, each once, and
again for what is kept. Beside it: PostgreSQL's full text search alone, which ranks all passages that have any of the words.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.benchmarks_database import scratch_database
from benchmarks.knowledge_data import Collection

NAME = "bench_knowledge_speed"
PASSAGES = 8
WORDS = 25
CHUNK = 2_000


def say(what: str, **figures: Any) -> None:
    print(json.dumps({"what": what, **figures}), flush=True)


def fill(size: int, vectors: Any, vocabulary: Sequence[str]) -> None:
    """Made-up articles beside those that are there, by COPY; indexes are built after the rows."""
    from django.db import connection

    draw = np.random.default_rng(1)
    share = 1 / np.arange(1, len(vocabulary) + 1)
    share /= share.sum()
    with connection.cursor() as cursor:
        # Written as a restored backup would be: rules that hold for each write are not tried again for each row.
        cursor.execute("SET session_replication_role = replica; SET maintenance_work_mem = '1GB'")
        cursor.execute("DROP INDEX passagevector_near; DROP INDEX passage_words")
        cursor.execute(_ARTICLES, {"size": size})
        model = connection.cursor()
        model.execute("SELECT model FROM knowledge_passagevector LIMIT 1")
        name = model.fetchone()[0]
        for start in range(1_000_001, 1_000_001 + size, CHUNK):
            _copy(cursor, range(start, min(start + CHUNK, 1_000_001 + size)), vectors, vocabulary, share, draw, name)
        cursor.execute(
            "UPDATE knowledge_passage SET words = to_tsvector('knowledge_english', text) WHERE article_id > 1000000"
        )
        cursor.execute("CREATE INDEX passage_words ON knowledge_passage USING gin (words)")
        begun = time.monotonic()
        cursor.execute("CREATE INDEX passagevector_near ON knowledge_passagevector USING hnsw (vector halfvec_ip_ops)")
        say("index of vectors", vectors=(size * PASSAGES), seconds=round(time.monotonic() - begun))
        cursor.execute("TRUNCATE knowledge_word")
        cursor.execute(
            "INSERT INTO knowledge_word (language, stem, passages) SELECT 'en', word, ndoc"
            " FROM ts_stat('SELECT words FROM knowledge_passage')"
        )
        cursor.execute("UPDATE knowledge_searchindex SET passages = (SELECT count(*) FROM knowledge_passage)")
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM ANALYZE")


_ARTICLES = """
    INSERT INTO knowledge_article (id, slug, category_id, audience, language, owner_id, tags, review_every_days,
        next_review_on, created_at, edition)
    SELECT 1000000 + n, 'made-' || n, (SELECT min(id) FROM knowledge_category), 'public', 'en',
        (SELECT min(id) FROM core_user), '{}', 180, '2030-01-01', now(), 1 FROM generate_series(1, %(size)s) n;
    INSERT INTO knowledge_articleversion (id, article_id, number, title, body, changes, state, digest, author_id, created_at,
        updated_at, reviewer_id, approved_digest, reason, published_at)
    SELECT 1000000 + n, 1000000 + n, 1, 'Made ' || n, '', '', 'published', 'x', (SELECT min(id) FROM core_user), now(),
        now(), (SELECT max(id) FROM core_user), 'x', '', now() FROM generate_series(1, %(size)s) n
"""


def _copy(
    cursor: Any, articles: range, vectors: Any, vocabulary: Sequence[str], share: Any, draw: Any, model: str
) -> None:
    count = len(articles) * PASSAGES
    texts = draw.choice(len(vocabulary), size=(count, WORDS), p=share)
    noisy = vectors[draw.integers(0, len(vectors), count)] + draw.normal(0, 0.03, (count, vectors.shape[1]))
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    first = (articles.start - 1_000_001) * PASSAGES + 10_000_000
    with cursor.copy(
        "COPY knowledge_passage (id, article_id, version_id, kind, position, heading, text, audience, language, edition, words) FROM STDIN"
    ) as copy:
        for n in range(count):
            article = articles.start + n // PASSAGES
            kind = "title" if n % PASSAGES == 0 else "body"
            text = " ".join(vocabulary[word] for word in texts[n])
            copy.write_row([first + n, article, article, kind, n % PASSAGES, "", text, "public", "en", 1, ""])
    with cursor.copy("COPY knowledge_passagevector (passage_id, model, vector) FROM STDIN") as copy:
        for n in range(count):
            copy.write_row([first + n, model, "[" + ",".join(f"{one:.4f}" for one in noisy[n]) + "]"])


def server_seconds() -> float:
    """Processor time of the database's process for this connection; 0 where it runs on another machine."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        place = Path(f"/proc/{cursor.fetchone()[0]}/schedstat")
    return int(place.read_text().split()[0]) / 1e9 if place.is_file() else 0.0


def timed(asked: Sequence[str], answer: Callable[[str], Any]) -> dict[str, Any]:
    """Milliseconds of each: by the clock, and of the processor in this process and in the database's together."""
    wall, processor = [], []
    for question in asked:
        own, server = time.process_time(), server_seconds()
        begun = time.perf_counter()
        answer(question)
        wall.append((time.perf_counter() - begun) * 1e3)
        processor.append((time.process_time() - own + server_seconds() - server) * 1e3)
    found: dict[str, Any] = {"questions": len(asked)}
    for name, values in (("clock", wall), ("processor", processor)):
        cuts = statistics.quantiles(values, n=100)
        found |= {f"{name}_median_ms": round(statistics.median(values), 1), f"{name}_p95_ms": round(cuts[94], 1)}
    return found


def memory() -> dict[str, int]:
    """Megabytes: now, and at most so far. What was needed for filling the tables is in the second alone."""
    now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    return {"now_mb": round(now), "most_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


def measure(data: Path, size: int, questions: int) -> None:
    from apps.knowledge.models import PassageVector, SearchIndex
    from apps.knowledge.search import embedding
    from benchmarks import knowledge_data

    collection = knowledge_data.banking77(data)
    knowledge_data.load(collection)
    SearchIndex.objects.update(model=embedding.wanted())
    vectors = np.array([[*row] for row in PassageVector.objects.values_list("vector", flat=True)[:4_000]], np.float32)
    texts = " ".join(text for _, _, ways in collection.articles.values() for text in ways).lower().split()
    counted: dict[str, int] = {}
    for word in filter(str.isalpha, texts):
        counted[word] = counted.get(word, 0) + 1
    # Beside the real words as many made-up ones: among many articles most words are rare.
    vocabulary = [*sorted(counted, key=lambda word: -counted[word]), *(f"word{n}" for n in range(30_000))]
    fill(size, vectors, vocabulary)
    ask_all(collection, size, questions)


def ask_all(collection: Collection, size: int, questions: int) -> None:
    """Ask real questions, each once and then again, and say how long it took."""
    from django.db import connection

    from apps.knowledge.answers import answer
    from apps.knowledge.search.retrieve import Reader
    from benchmarks.knowledge import by_full_text

    asked = [text for text, _ in random.Random(2).sample(collection.questions, questions)]
    now = datetime.now(UTC)

    def ask(question: str) -> None:
        answer(question, reader=Reader(), source="benchmark", now=now)

    for question in asked[:20]:
        ask(f"{question} please")
    say("answer", articles=size, **timed(asked, ask))
    say("answer, asked before", articles=size, **timed(asked, ask))
    say("full text alone", articles=size, **timed(asked[:100], by_full_text))
    say("memory of the process", articles=size, **memory())
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--questions", type=int, default=500)
    options = parser.parse_args()
    for size in options.sizes:
        with scratch_database(os.environ["DATABASE_URL"], NAME):
            measure(options.data, size, options.questions)


if __name__ == "__main__":
    main()
