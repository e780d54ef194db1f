"""How good answers are, beside words alone, BM25 and vectors alone.

    python -m benchmarks.knowledge --data FOLDER [--questions 600]

Each collection of ``benchmarks.knowledge_data`` (a folder of public data that is not part of the product) becomes
the articles of a scratch database, and its questions are asked. Weights and thresholds are learnt from the *other*
collections. BM25 is that of the ``bm25s`` package (``pip install bm25s``), over the same passages with the same stems.
Each figure is printed as one line of JSON. How fast answers are is measured by ``benchmarks.knowledge_speed``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.benchmarks_database import scratch_database

NAME = "bench_knowledge"
MAX_WRONG = 0.05


def say(what: str, **figures: Any) -> None:
    print(json.dumps({"what": what, **figures}), flush=True)


def ranks(places: Sequence[int | None]) -> dict[str, float]:
    """Top-1, top-5 and mean reciprocal rank of the right articles' places, from 0; None is not found."""
    found = [place for place in places if place is not None]
    return {
        "top1": round(sum(place == 0 for place in found) / len(places), 3),
        "top5": round(sum(place < 5 for place in found) / len(places), 3),
        "mrr": round(sum(1 / (place + 1) for place in found) / len(places), 3),
    }


def place_of(article: int, order: Sequence[int]) -> int | None:
    return order.index(article) if article in order else None


def by_full_text(question: str) -> list[int]:
    """PostgreSQL's full text search alone: any of the words, ``ts_rank_cd``, the best passage of each article."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT article_id FROM (SELECT article_id, max(ts_rank_cd(words, query)) AS rank FROM knowledge_passage,"
            " (SELECT replace(plainto_tsquery(knowledge_words('en'), %s)::text, '&', '|')::tsquery AS query) asked"
            " WHERE words @@ query GROUP BY article_id) found ORDER BY rank DESC, article_id LIMIT 30",
            [question],
        )
        return [row[0] for row in cursor.fetchall()]


def bm25() -> Callable[[str], list[int]]:
    """Robertson's BM25 by a library, over the passages' stems; the best passage of each article."""
    import bm25s
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT article_id, ARRAY(SELECT stem FROM unnest(words) t(stem, places, weights),"
            " generate_series(1, coalesce(array_length(places, 1), 1))) FROM knowledge_passage ORDER BY id"
        )
        rows = cursor.fetchall()
    articles = [row[0] for row in rows]
    index = bm25s.BM25()
    index.index([row[1] or [""] for row in rows], show_progress=False)

    def order(question: str) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT tsvector_to_array(to_tsvector(knowledge_words('en'), %s))", [question])
            stems = [stem for stem in cursor.fetchone()[0] if stem in index.vocab_dict]
        if not stems:
            return []
        scores = index.get_scores(stems)
        best = np.argsort(-scores)[:400]
        return list(dict.fromkeys(articles[n] for n in best if scores[n] > 0))[:30]

    return order


def measure_quality(data: Path, questions: int) -> None:
    from apps.knowledge import calibration
    from apps.knowledge.search import confidence as learn
    from apps.knowledge.search.embedding import embedder
    from apps.knowledge.search.retrieve import FEATURES, Reader
    from benchmarks import knowledge_data

    model, reader = embedder(), Reader(internal=True, scopes=None)
    seen: dict[str, list[calibration.Seen]] = {}
    for make in knowledge_data.COLLECTIONS:
        collection = make(data)
        asked = random.Random(1).sample(collection.questions, min(questions, len(collection.questions)))
        ids = knowledge_data.load(collection)
        labelled = [calibration.Labelled(text, ids.get(slug) if slug else None) for text, slug in asked]
        begun = time.process_time()
        seen[collection.name] = calibration.look(labelled, reader, model)
        known = [item for item in labelled if item.article is not None]
        library = bm25()
        for peer, order in (("full text alone", by_full_text), ("BM25", library)):
            say(collection.name, by=peer, **ranks([place_of(item.article or 0, order(item.text)) for item in known]))
        say(collection.name, articles=len(ids), questions=len(asked), answerable=len(known),
            cpu_ms_each=round((time.process_time() - begun) / len(asked) * 1e3, 1))  # fmt: skip
    near_alone = learn.Weights(rank=[float(name == "near") for name in FEATURES], sure=[0.0] * len(learn.SIGNS), bias=0)
    delivered = learn.Weights.model_validate(json.loads(calibration._FIRST.read_text())["calibration"]["vectors"])
    for name, own in seen.items():
        others = [item for other, items in seen.items() if other.split(",")[0] != name.split(",")[0] for item in items]
        for by, weights in (
            ("vectors alone", near_alone),
            ("learnt from the others", calibration.learn_weights(others)),
            ("as delivered", delivered),
        ):
            say(name, by=by, **judged(own, weights, sure=by != "vectors alone"))


def judged(own: Sequence[Any], weights: Any, *, sure: bool) -> dict[str, Any]:
    """Ranks of answerable questions; and with a confidence, what it is worth."""
    from sklearn.metrics import roc_auc_score

    from apps.knowledge.search import confidence as learn

    places, confidences, right = [], [], []
    for item in own:
        ranked = learn.ordered(item.found, weights)
        order = [candidate.article for candidate, _ in ranked]
        if item.article is not None:
            places.append(place_of(item.article, order))
        confidences.append(learn.confidence(ranked, item.asked, weights))
        right.append(bool(order) and order[0] == item.article)
    found: dict[str, Any] = ranks(places)
    if not sure:
        return found
    outside = [item.article is None for item in own]
    if any(outside):
        found["auroc_out_of_scope"] = round(float(roc_auc_score(outside, [-one for one in confidences])), 3)
    found["area_right"] = round(float(roc_auc_score(right, confidences)), 3)
    found[f"answered_at_{MAX_WRONG:.0%}_wrong"] = round(learn.threshold(confidences, right, max_wrong=MAX_WRONG)[1], 3)
    found["calibration_error"] = round(learn.calibration_error(confidences, right), 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=600, help="of each collection at most")
    options = parser.parse_args()
    with scratch_database(os.environ["DATABASE_URL"], NAME):
        measure_quality(options.data, options.questions)


if __name__ == "__main__":
    main()
