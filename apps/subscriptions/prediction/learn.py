"""Learning and judging a model: from observations in order of time to a calibrated model and honest figures.

The observations are split by time into a part to fit on, a later one to calibrate on and the latest one to judge by.
Labels are known some time after their observation; the fit therefore stops that long before the next part begins, as it
would have had to at the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.core.errors import DomainError
from apps.subscriptions.prediction.model import Calibration, Matrix, Model, Tree

Flags = NDArray[np.bool_]
FIT, CALIBRATE = 0.6, 0.8
LEAST = {"fit": (300, 30), "calibrate": (100, 10), "judge": (100, 10)}
"""Rows, and rows of each outcome, that each part needs."""
ISOTONIC_FROM = 1000
"""Below so many rows an isotonic calibration overfits (scikit-learn user guide, 1.16.3)."""
BINS = 10
SEED = 20260301


class TooLittleData(DomainError):
    """There is not enough history to learn from."""

    code = "too_little_data"
    message = "There is too little data to train on."


@dataclass(frozen=True, slots=True)
class Data:
    """Observations in order of time.

    Attributes:
        rows: one line of numbers each.
        failed: what came of it.
        at: seconds, or any number that grows with time.
        names: of the columns.
        settle: how long after ``at`` a label is known, in the same unit.
    """

    rows: Matrix
    failed: Flags
    at: Matrix
    names: tuple[str, ...]
    settle: float

    def part(self, chosen: Flags) -> Data:
        """The chosen observations."""
        return Data(self.rows[chosen], self.failed[chosen], self.at[chosen], self.names, self.settle)


@dataclass(frozen=True, slots=True)
class Learned:
    """A model with the figures of the latest part."""

    model: Model
    metrics: dict[str, Any]
    fitted_until: float


def split(data: Data) -> tuple[Data, Data, Data]:
    """The parts to fit, to calibrate and to judge.

    Raises:
        TooLittleData: which part has too few rows, or too few of one outcome.
    """
    if len(data.failed) < sum(rows for rows, _ in LEAST.values()):
        need = sum(rows for rows, _ in LEAST.values())
        raise TooLittleData(
            f"There are {len(data.failed)} settled renewals with a history; at least {need} are needed."
        )
    order = np.sort(data.at)
    first, second = order[int(len(order) * FIT)], order[int(len(order) * CALIBRATE)]
    parts = {
        "fit": data.part(data.at + data.settle < first),
        "calibrate": data.part((data.at >= first) & (data.at + data.settle < second)),
        "judge": data.part(data.at >= second),
    }
    for name, part in parts.items():
        rows, each = LEAST[name]
        bad, good = int(part.failed.sum()), int((~part.failed).sum())
        if len(part.failed) < rows or min(bad, good) < each:
            raise TooLittleData(
                f"The part of the history to {name} has {bad} failed and {good} paid renewals; at least {rows} in all and "
                f"{each} of each are needed. Parts follow each other in time, with a gap in which labels settle."
            )
    return parts["fit"], parts["calibrate"], parts["judge"]


def learn(data: Data, *, threshold: float) -> Learned:
    """Fit, calibrate and judge.

    Args:
        threshold: chance from which people would be alerted, for the figures about alerts.

    Raises:
        TooLittleData: see :func:`split`.
    """
    fit, calibrate, judge = split(data)
    raw = _fitted(fit)
    odds, _ = raw.log_odds(calibrate.rows)
    model = raw.model_copy(update={"calibration": _calibration(odds, calibrate.failed)})
    chance, _ = model.predict(judge.rows)
    rules = rule_chance(fit, judge.rows)
    metrics: dict[str, Any] = {
        "rows": {"fit": len(fit.failed), "calibrate": len(calibrate.failed), "judge": len(judge.failed)},
        "failed_share": round(float(judge.failed.mean()), 4),
        "model": figures(chance, judge.failed),
        "rules": figures(rules, judge.failed),
        "alerts": _alerts(chance, judge.failed, threshold),
        "reliability": reliability(chance, judge.failed),
        "calibration": model.calibration.kind,
    }
    return Learned(model, metrics, float(fit.at.max()))


def _fitted(data: Data) -> Model:
    from sklearn.ensemble import GradientBoostingClassifier  # takes a second to import, and only training needs it

    booster = GradientBoostingClassifier(
        n_estimators=150, learning_rate=0.06, max_depth=3, subsample=0.8, min_samples_leaf=30, random_state=SEED
    ).fit(data.rows, data.failed)
    share = float(data.failed.mean())
    trees = tuple(_tree(each[0].tree_, booster.learning_rate) for each in booster.estimators_)
    none = Calibration(kind="sigmoid", x=(1.0, 0.0), y=())
    return Model(features=data.names, base=float(np.log(share / (1 - share))), trees=trees, calibration=none)


def _tree(grown: Any, rate: float) -> Tree:
    """One tree of scikit-learn's as data. An inner node's value is the mean of its leaves', as many rows as fell there."""
    weight = grown.weighted_n_node_samples
    value = grown.value[:, 0, 0] * rate
    for node in range(grown.node_count - 1, -1, -1):  # children stand after their parents
        left, right = grown.children_left[node], grown.children_right[node]
        if left >= 0:
            value[node] = (value[left] * weight[left] + value[right] * weight[right]) / (weight[left] + weight[right])
    leaf = grown.children_left < 0
    return Tree(
        feature=tuple(np.where(leaf, -1, grown.feature).tolist()),
        threshold=tuple(np.where(leaf, 0.0, grown.threshold).tolist()),
        left=tuple(np.where(leaf, 0, grown.children_left).tolist()),
        right=tuple(np.where(leaf, 0, grown.children_right).tolist()),
        value=tuple(value.tolist()),
    )


def _calibration(odds: Matrix, failed: Flags) -> Calibration:
    if len(odds) < ISOTONIC_FROM:
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression(C=1e6).fit(odds.reshape(-1, 1), failed)
        return Calibration(kind="sigmoid", x=(float(fitted.coef_[0, 0]), float(fitted.intercept_[0])), y=())
    from sklearn.isotonic import IsotonicRegression

    # Nothing is certain, so neither end of the scale is reached.
    steps = IsotonicRegression(y_min=0.001, y_max=0.999, out_of_bounds="clip").fit(odds, failed)
    return Calibration(kind="isotonic", x=tuple(steps.X_thresholds_.tolist()), y=tuple(steps.y_thresholds_.tolist()))


def rule_chance(fit: Data, rows: Matrix) -> Matrix:
    """The plain rule beside the model: consecutive failures as they are weighed (0, 1 or 2, 3 and more), each with the
    share that failed in the part to fit."""
    column = fit.names.index("failures_in_row")

    def bucket(matrix: Matrix) -> NDArray[np.intp]:
        return np.digitize(matrix[:, column], [1, 3])

    of_fit = bucket(fit.rows)
    share = [(fit.failed[of_fit == n].sum() + 1) / ((of_fit == n).sum() + 2) for n in range(3)]
    return np.asarray(share)[bucket(rows)]


def figures(chance: Matrix, failed: Flags) -> dict[str, float]:
    """ROC AUC, expected calibration error and Brier score."""
    from sklearn.metrics import brier_score_loss, roc_auc_score

    return {
        "roc_auc": round(float(roc_auc_score(failed, chance)), 4),
        "calibration_error": round(calibration_error(chance, failed), 4),
        "brier": round(float(brier_score_loss(failed, chance)), 4),
    }


def calibration_error(chance: Matrix, failed: Flags) -> float:
    """Mean distance between predicted and true share over ten groups of equal size (expected calibration error)."""
    groups = _groups(chance)
    return float(sum(abs(chance[g].mean() - failed[g].mean()) * len(g) for g in groups) / len(chance))


def reliability(chance: Matrix, failed: Flags) -> list[list[float]]:
    """For each group: predicted share, true share, rows."""
    return [
        [round(float(chance[g].mean()), 4), round(float(failed[g].mean()), 4), len(g)] for g in _groups(chance)
    ]  # fmt: skip


def _groups(chance: Matrix) -> Sequence[NDArray[np.intp]]:
    return [group for group in np.array_split(np.argsort(chance, kind="stable"), BINS) if len(group)]


def _alerts(chance: Matrix, failed: Flags, threshold: float) -> dict[str, float]:
    told = chance >= threshold
    hits = int((told & failed).sum())
    return {
        "threshold": threshold,
        "share": round(float(told.mean()), 4),
        "precision": round(hits / max(1, int(told.sum())), 4),
        "recall": round(hits / max(1, int(failed.sum())), 4),
    }
