"""How good answers are, beside words alone, BM25, TF-IDF and vectors alone; and what is taken for an attack.

    python -m benchmarks.knowledge --data FOLDER [--questions 600] [--part quality attacks]

Each collection of ``benchmarks.knowledge_data`` (a folder of public data that is not part of the product) becomes
the articles of a scratch database, and its questions are asked. Weights are judged three ways: those that the product comes
with, those learnt from the *other* collections, and those that ``calibrate_answers`` would learn from the questions of this
one (each judged by weights that were learnt without it). BM25 is that of the ``bm25s`` package of the development
requirements, over the same passages with the same stems; TF-IDF is scikit-learn's, over whole articles. Each figure is printed as one line of JSON. How fast answers are is measured by ``benchmarks.knowledge_speed``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.benchmarks_database import scratch_database

if TYPE_CHECKING:
    from apps.knowledge import calibration

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
    try:
        import bm25s
    except ImportError:
        raise SystemExit("bm25s is missing: install requirements-dev.txt.") from None
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


def tf_idf() -> Callable[[str], list[int]]:
    """Plain TF-IDF of words over whole articles, and the cosine."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    from apps.knowledge.models import Passage

    texts: dict[int, str] = {}
    for article, text in Passage.objects.order_by("pk").values_list("article", "text"):
        texts[article] = f"{texts.get(article, '')} {text}"
    articles, made = list(texts), TfidfVectorizer(sublinear_tf=True)
    rows = made.fit_transform(texts.values())

    def order(question: str) -> list[int]:
        scores = (rows @ made.transform([question]).T).toarray().ravel()
        return [articles[n] for n in np.argsort(-scores)[:30] if scores[n] > 0]

    return order


def measure_attacks(data: Path) -> None:
    """What is recognised among attacks, and what of the harmless is taken for one, by where the texts come from."""
    from apps.knowledge.abuse import suspicion

    found: dict[tuple[str, str], list[bool]] = {}
    begun = time.process_time()
    with (data / "prompt_injection" / "prompts.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        found.setdefault((row["label"], row["subset"]), []).append(suspicion(row["text"]).is_attack)
    each = (time.process_time() - begun) / len(rows) * 1e3
    for (label, subset), marked in sorted(found.items()):
        say("attacks", label=label, subset=subset, texts=len(marked), marked=round(sum(marked) / len(marked), 3))
    for label in sorted({label for label, _ in found}):
        marked = [one for (other, _), ones in found.items() if other == label for one in ones]
        say("attacks", label=label, texts=len(marked), marked=round(sum(marked) / len(marked), 3))
    say("attacks", cpu_ms_each=round(each, 2))


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
        each = (time.process_time() - begun) / len(asked) * 1e3
        known = [item for item in labelled if item.article is not None]
        for peer, order in (("full text alone", by_full_text), ("BM25", bm25()), ("TF-IDF", tf_idf())):
            say(collection.name, by=peer, **ranks([place_of(item.article or 0, order(item.text)) for item in known]))
        say(collection.name, articles=len(ids), questions=len(asked), answerable=len(known),
            cpu_ms_each=round(each, 1))  # fmt: skip
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
        say(name, by="calibrated on its own questions", **calibrated(own))


def calibrated(own: Sequence[calibration.Seen]) -> dict[str, Any]:
    """What ``calibrate_answers --max-wrong 0.05`` would print, or why it would not."""
    from apps.knowledge import calibration
    from apps.knowledge.search import confidence as learn

    try:
        found = calibration.judge(own)
    except calibration.TooFewQuestions as error:
        return {"refused": str(error)}
    answer_at, _ = learn.threshold(found.sure, found.right, max_wrong=MAX_WRONG)
    return found.metrics(answer_at) | {
        "answer_at": round(answer_at, 3),
        "choose_at": round(found.choose_at(answer_at), 3),
    }


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
    parser.add_argument("--part", nargs="+", choices=["quality", "attacks"], default=["quality", "attacks"])
    options = parser.parse_args()
    with scratch_database(os.environ["DATABASE_URL"], NAME):
        if "attacks" in options.part:
            measure_attacks(options.data)
        if "quality" in options.part:
            measure_quality(options.data, options.questions)


if __name__ == "__main__":
    main()
