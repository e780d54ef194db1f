"""Which candidate is best, and how probable it is that it answers: both learnt from labelled questions, kept as data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from apps.knowledge.search.retrieve import FEATURES, Candidate, Words

SIGNS = ("score", "lead", "near", "shared", "precise", "unknown", "length")
"""What the confidence is made from: see :func:`signs`."""


class Weights(BaseModel):
    """What was learnt: for the order of candidates, and for the confidence in the first.

    Two sets, for a search without vectors has other scores.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: list[float] = Field(min_length=len(FEATURES), max_length=len(FEATURES))
    sure: list[float] = Field(min_length=len(SIGNS), max_length=len(SIGNS))
    bias: float


class Calibration(BaseModel):
    """The ``calibration`` of :class:`~apps.knowledge.models.AnswerSettings`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vectors: Weights
    words: Weights


def ordered(found: Sequence[Candidate], weights: Weights) -> list[tuple[Candidate, float]]:
    """Candidates with their scores, the best first; equal ones in the order of their ids."""
    scored = [(candidate, float(np.dot(candidate.features(), weights.rank))) for candidate in found]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0].article))


def signs(ranked: Sequence[tuple[Candidate, float]], asked: Words) -> list[float]:
    """What tells whether the first candidate answers: its score, its lead before the second, how near and how much of the
    question's words its title has, the share of the question that no article knows, and the question's length."""
    best, score = ranked[0]
    second = ranked[1][1] if len(ranked) > 1 else 0.0
    unknown = sum(asked.weights[word] for word in asked.unknown) / asked.total if asked.total else 1.0
    return [
        score,
        score - second,
        best.near,
        best.shared,
        best.precise,
        unknown,
        min(1.0, math.log1p(len(asked.weights)) / 3),
    ]


def confidence(ranked: Sequence[tuple[Candidate, float]], asked: Words, weights: Weights) -> float:
    """The probability that the first candidate answers the question; 0 without one."""
    if not ranked:
        return 0.0
    return 1 / (1 + math.exp(-float(np.dot(signs(ranked, asked), weights.sure)) - weights.bias))


def learn_rank(questions: Sequence[tuple[Sequence[Candidate], int]], *, seed: int = 0) -> list[float]:
    """Weights under which the right article of each question leads, by logistic regression on differences of pairs.

    Args:
        questions: the candidates of each, and the id of the article that answers it.
        seed: of the mirrored half, so that both classes are there.
    """
    from sklearn.linear_model import LogisticRegression  # a second to load, and only for calibrating

    pairs = [
        np.subtract(right.features(), wrong.features())
        for found, article in questions
        for right in found
        if right.article == article
        for wrong in found
        if wrong.article != article
    ]
    if not pairs:
        raise ValueError("No question has both its article and another one among its candidates.")
    rows = np.array(pairs)
    turned = np.random.default_rng(seed).random(len(rows)) < 0.5
    rows[turned] *= -1
    learnt = LogisticRegression(fit_intercept=False, C=10.0, max_iter=500).fit(rows, ~turned)
    return [round(float(weight), 4) for weight in _positive(learnt.coef_[0])]


def _positive(weights: NDArray[Any]) -> NDArray[Any]:
    """Scaled so that they sum to 1; nothing that speaks for an article may count against it."""
    kept = np.maximum(weights, 0.0)
    return kept / kept.sum() if kept.sum() else np.full(len(weights), 1 / len(weights))


def learn_sure(rows: Sequence[Sequence[float]], right: Sequence[bool]) -> tuple[list[float], float]:
    """Weights and bias of the confidence (Platt 1999), from the signs of questions and whether the first was right.

    Raises:
        ValueError: all were right, or all were wrong.
    """
    from sklearn.linear_model import LogisticRegression

    if len(set(right)) < 2:
        raise ValueError("Labelled questions must hold some that are answered right and some that are not.")
    learnt = LogisticRegression(C=1.0, max_iter=1_000).fit(np.array(rows), np.array(right))
    return [round(float(weight), 4) for weight in learnt.coef_[0]], round(float(learnt.intercept_[0]), 4)


def calibration_error(confidences: Sequence[float], right: Sequence[bool], *, bins: int = 10) -> float:
    """Expected calibration error: the mean distance of confidence and share of right ones, in bins of equal counts."""
    order = np.argsort(confidences)
    sure, true = np.array(confidences)[order], np.array(right, float)[order]
    parts = [part for part in np.array_split(np.arange(len(sure)), bins) if len(part)]
    return float(sum(len(part) * abs(sure[part].mean() - true[part].mean()) for part in parts) / len(sure))


def threshold(confidences: Sequence[float], right: Sequence[bool], *, max_wrong: float) -> tuple[float, float]:
    """The lowest confidence from which at most a share of what is answered is wrong; equal ones are answered together.

    Args:
        max_wrong: share of wrong ones among those answered, 0 to 1.

    Returns:
        the threshold, and the share of all questions that is answered with it; (1.0, 0.0) if none is good enough.
    """
    order = np.argsort(confidences)[::-1]
    sure = np.array(confidences, float)[order]
    wrong = np.cumsum(~np.array(right, bool)[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((wrong <= max_wrong) & (np.append(sure[1:], -1.0) < sure))
    if not len(good):
        return 1.0, 0.0
    return float(sure[good[-1]]), float((good[-1] + 1) / len(order))
