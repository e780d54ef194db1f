"""The model as plain data: boosted trees and a calibration, as JSON, read and evaluated without running anything stored.

Trees are evaluated by NumPy for many rows at once, and each row's log odds are split over the features on its way through
each tree (A. Saabas, Interpreting random forests, 2014), so that the parts and the base add up to the whole exactly.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Matrix = NDArray[np.float64]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tree(Strict):
    """One tree, node by node. A leaf has the feature -1; children stand after their parent, so every walk ends."""

    feature: tuple[int, ...]
    threshold: tuple[Number, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[Number, ...]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        size = len(self.feature)
        if not size or {len(self.threshold), len(self.left), len(self.right), len(self.value)} != {size}:
            raise ValueError("a tree's lists differ in length")
        for node, feature in enumerate(self.feature):
            inside = feature >= 0
            if inside and not (node < self.left[node] < size and node < self.right[node] < size):
                raise ValueError("a tree's node leads nowhere")
        return self


class Calibration(Strict):
    """From log odds to a chance: straight lines between points, or a sigmoid."""

    kind: Literal["isotonic", "sigmoid"]
    x: tuple[Number, ...]
    y: tuple[Number, ...]
    """Isotonic: points. Sigmoid: slope and intercept in ``x``, nothing in ``y``."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind == "sigmoid":
            if len(self.x) != 2 or self.y:
                raise ValueError("a sigmoid has a slope and an intercept")
        elif not self.x or len(self.x) != len(self.y) or list(self.x) != sorted(self.x):
            raise ValueError("the points of a calibration are not in order")
        elif not all(0 <= chance <= 1 for chance in self.y):
            raise ValueError("a chance lies between 0 and 1")
        return self

    def __call__(self, odds: Matrix) -> Matrix:
        if self.kind == "sigmoid":
            return np.asarray(1 / (1 + np.exp(-np.clip(self.x[0] * odds + self.x[1], -30, 30))))
        return np.asarray(np.interp(odds, self.x, self.y))


class Model(Strict):
    """A trained model."""

    format: Literal["riskdesk-renewal-model/1"] = "riskdesk-renewal-model/1"
    features: tuple[str, ...]
    base: Number
    trees: tuple[Tree, ...] = Field(max_length=2000)
    calibration: Calibration

    @model_validator(mode="after")
    def _known_features(self) -> Self:
        if any(feature >= len(self.features) for tree in self.trees for feature in tree.feature):
            raise ValueError("a tree asks for a feature that there is not")
        return self

    def log_odds(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        """The log odds of each row, not calibrated, and how much each feature adds to them."""
        # scikit-learn's trees compare in single precision.
        single = rows.astype(np.float32)
        parts = np.zeros((len(rows), len(self.features)))
        base = self.base
        for tree in self.trees:
            base += tree.value[0]
            _walk(tree, single, parts)
        return base + parts.sum(axis=1), parts

    def predict(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        """The calibrated chance for each row, and how much each feature adds to the log odds."""
        odds, parts = self.log_odds(rows)
        return self.calibration(odds), parts


def _walk(tree: Tree, rows: NDArray[np.float32], parts: Matrix) -> None:
    """Send all rows down a tree and add to each feature's part what its splits changed."""
    feature, threshold = np.array(tree.feature), np.array(tree.threshold)
    left, right, value = np.array(tree.left), np.array(tree.right), np.array(tree.value)
    node = np.zeros(len(rows), dtype=np.intp)
    moving = np.arange(len(rows)) if tree.feature[0] >= 0 else np.array([], dtype=np.intp)
    while len(moving):
        at = node[moving]
        asked = feature[at]
        onward = np.where(rows[moving, asked] <= threshold[at], left[at], right[at])
        parts[moving, asked] += value[onward] - value[at]
        node[moving] = onward
        moving = moving[feature[onward] >= 0]
