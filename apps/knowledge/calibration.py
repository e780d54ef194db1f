"""How sure answers must be: learnt from labelled questions, kept as versions that are never changed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Case, Q, Subquery, When
from django.utils import timezone

from apps.core.decisions import Entry, record
from apps.core.errors import DomainError
from apps.core.models import User
from apps.knowledge.models import AnswerSettings, Article, SearchIndex
from apps.knowledge.search import confidence as learn
from apps.knowledge.search.embedding import Embedder
from apps.knowledge.search.in_use import model_in_use
from apps.knowledge.search.retrieve import FEATURES, Candidate, Reader, Words, candidates

_FIRST = Path(__file__).parent / "data" / "answer_settings.json"
FEWEST = 100
"""Labelled questions below which nothing is learnt."""
FOLDS = 5
CHOICE = 0.5
"""Of articles offered as a choice, the right one must be among them as often as this."""


class TooFewQuestions(DomainError):
    """Not enough labelled questions to learn from."""

    code = "too_few_questions"
    message = f"At least {FEWEST} labelled questions are needed, some of them without an answer."


class UnknownArticle(DomainError):
    """A labelled question names an article that does not exist."""

    code = "unknown_article"
    message = "A labelled question names an article that is not there."


@dataclass(frozen=True, slots=True)
class Labelled:
    """A question, and the id of the article that answers it, or None if none does."""

    text: str
    article: int | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A labelled question with what the search found for it."""

    article: int | None
    found: list[Candidate]
    asked: Words


def current_settings() -> AnswerSettings:
    """The newest settings of the embedding model that answers, or the newest of all if it has none of its own.

    The first are made from those that the product comes with.
    """
    in_use = Subquery(SearchIndex.objects.values("model")[:1])
    own = Case(When(Q(model="") | Q(model=in_use), then=1), default=0)
    found = AnswerSettings.objects.order_by(own.desc(), "-number").first()
    if found is not None:
        return found
    facts = json.loads(_FIRST.read_text()) | {"reason": "As delivered", "created_at": timezone.now()}
    facts.setdefault("model", "")
    # Two processes may start at once; the unique number lets one of them make the row.
    return AnswerSettings.objects.get_or_create(number=1, defaults=facts)[0]


def read_labelled(path: Path) -> list[Labelled]:
    """Labelled questions from a CSV file with the columns ``question`` and ``article`` (a slug; empty: none answers it).

    Raises:
        UnknownArticle: a slug is not there; ``fields`` has its line.
    """
    slugs = dict(Article.objects.values_list("slug", "pk"))
    found = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            slug = (row.get("article") or "").strip()
            if slug and slug not in slugs:
                raise UnknownArticle(fields={"article": [f"Line {line}: there is no article {slug!r}."]})
            found.append(Labelled((row.get("question") or "").strip(), slugs.get(slug) if slug else None))
    return [item for item in found if item.text]


def look(
    questions: Iterable[Labelled], reader: Reader, model: Embedder | None, *, told: Callable[[], None] = lambda: None
) -> list[Seen]:
    """What the search finds for each question; ``told`` is called after each."""
    seen = []
    for question in questions:
        found, asked = candidates(question.text, reader, model)
        seen.append(Seen(question.article, found, asked))
        told()
    return seen


@dataclass(frozen=True, slots=True)
class Judged:
    """Confidences of questions, each from weights that were learnt without it, and whether the first article was right."""

    sure: list[float]
    right: list[bool]
    offered: list[bool]

    def choose_at(self, answer_at: float) -> float:
        """The confidence from which, of what is not sure enough for an answer, a choice holds the right one often enough."""
        rest = [(sure, right) for sure, right in zip(self.sure, self.offered, strict=True) if sure < answer_at]
        if not rest:
            return answer_at
        sure, right = zip(*rest, strict=True)
        return min(answer_at, learn.threshold(sure, right, max_wrong=1 - CHOICE)[0])

    def metrics(self, answer_at: float) -> dict[str, Any]:
        """Figures of these questions, for people."""
        answered = [right for sure, right in zip(self.sure, self.right, strict=True) if sure >= answer_at]
        return {
            "questions": len(self.sure),
            "answered": round(len(answered) / len(self.sure), 4),
            "wrong_of_answered": round(1 - sum(answered) / len(answered), 4) if answered else 0.0,
            "calibration_error": round(learn.calibration_error(self.sure, self.right), 4),
        }


def learn_weights(seen: Sequence[Seen]) -> learn.Weights:
    """Weights for the order and for the confidence.

    Raises:
        TooFewQuestions: they do not hold enough of both kinds.
    """
    try:
        rank = learn.learn_rank([(item.found, item.article) for item in seen if item.article is not None])
        first = learn.Weights(rank=rank, sure=[0.0] * len(learn.SIGNS), bias=0.0)
        rows, right = _judged(seen, first)
        sure, bias = learn.learn_sure(rows, right)
    except ValueError as error:
        raise TooFewQuestions(str(error)) from None
    return learn.Weights(rank=rank, sure=sure, bias=bias)


def _judged(seen: Sequence[Seen], weights: learn.Weights) -> tuple[list[list[float]], list[bool]]:
    rows, right = [], []
    for item in seen:
        ranked = learn.ordered(item.found, weights)
        rows.append(learn.signs(ranked, item.asked) if ranked else [0.0] * len(learn.SIGNS))
        right.append(bool(ranked) and ranked[0][0].article == item.article)
    return rows, right


def judge(seen: Sequence[Seen], *, folds: int = FOLDS, seed: int = 0) -> Judged:
    """Judge each question by weights that were learnt from the others (cross-validation)."""
    part = np.random.default_rng(seed).integers(0, folds, len(seen))
    sure, right, offered = [0.0] * len(seen), [False] * len(seen), [False] * len(seen)
    for fold in range(folds):
        weights = learn_weights([item for item, n in zip(seen, part, strict=True) if n != fold])
        for place in map(int, np.flatnonzero(part == fold)):
            item = seen[place]
            ranked = learn.ordered(item.found, weights)
            sure[place] = learn.confidence(ranked, item.asked, weights)
            right[place] = bool(ranked) and ranked[0][0].article == item.article
            offered[place] = item.article is not None and item.article in {c.article for c, _ in ranked[:3]}
    return Judged(sure, right, offered)


def calibrate(
    questions: Sequence[Labelled],
    *,
    max_wrong: float,
    now: datetime,
    reason: str,
    reader: Reader = Reader(internal=True, scopes=None),  # noqa: B008 - frozen
    actor: User | None = None,
    told: Callable[[], None] = lambda: None,
) -> AnswerSettings:
    """Learn from labelled questions, choose both thresholds, and make that a new version of the settings.

    Args:
        questions: some of which no article answers.
        max_wrong: share of wrong answers among those given, 0 to 1.
        told: called after each question, twice for each where there are vectors.

    Raises:
        TooFewQuestions: fewer than :data:`FEWEST`, or all of one kind.
    """
    if len(questions) < FEWEST:
        raise TooFewQuestions
    model = model_in_use()
    by_words = look(questions, reader, None, told=told)
    by_both = look(questions, reader, model, told=told) if model else []
    judged = judge(by_both or by_words)
    former = learn.Calibration.model_validate(current_settings().calibration)
    answer_at, _ = learn.threshold(judged.sure, judged.right, max_wrong=max_wrong)
    choose_at = judged.choose_at(answer_at)
    facts = {
        "answer_at": round(answer_at, 4),
        "choose_at": round(choose_at, 4),
        "calibration": {
            "vectors": _learnt(by_both, former.vectors).model_dump(),
            "words": _learnt(by_words, former.words).model_dump(),
        },
        "model": model.name if model else "",
        "metrics": judged.metrics(answer_at) | {"max_wrong": max_wrong, "features": list(FEATURES)},
        "reason": reason[:300],
        "created_by": actor,
        "created_at": now,
    }
    return _new_version(facts, actor)


def _learnt(seen: Sequence[Seen], former: learn.Weights) -> learn.Weights:
    """What these questions teach, or what held so far: among few articles words alone often find only one, and teach
    nothing about the order. That the questions are enough for the way that decides was seen when they were judged."""
    try:
        return learn_weights(seen)
    except TooFewQuestions:
        return former


@transaction.atomic
def _new_version(facts: dict[str, Any], actor: User | None) -> AnswerSettings:
    current_settings()  # there is one to lock and to count from
    newest = AnswerSettings.objects.order_by("-number").values_list("pk", flat=True)[:1]
    AnswerSettings.objects.select_for_update(no_key=True).get(pk=newest[0])
    last = AnswerSettings.objects.order_by("-number").values_list("number", flat=True)[0]
    made = AnswerSettings.objects.create(number=last + 1, **facts)
    record(
        Entry(
            scope="knowledge",
            actor=actor or "system:calibrate_answers",
            action="answers_calibrated",
            subject=f"answer_settings:{made.number}",
            rationale=made.reason,
            payload={"answer_at": made.answer_at, "choose_at": made.choose_at, "metrics": made.metrics},
        )
    )
    return made
