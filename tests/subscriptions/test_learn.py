"""Learning: honest splits, a model that is plain data, and figures that can be trusted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.ensemble import GradientBoostingClassifier

from apps.subscriptions.prediction import learn
from apps.subscriptions.prediction.features import (
    FEATURES,
    LEAD,
    SETTLED,
    Renewal,
    Try,
    known,
    midnight,
    observations,
    values,
)  # fmt: skip
from apps.subscriptions.prediction.learn import Data, TooLittleData, calibration_error
from apps.subscriptions.prediction.model import Calibration, Model, Tree

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def data(number: int = 3000, seed: int = 1, settle: float = 0) -> Data:
    """Failures depend on a hidden mixture of two columns; the rest is noise."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(number, 5))
    column = np.abs(rows[:, 2]).round()
    chance = 1 / (1 + np.exp(-(1.5 * rows[:, 0] + rows[:, 1] * (rows[:, 0] > 0) - 1)))
    rows[:, 2] = column
    return Data(rows, random.random(number) < chance, np.arange(number, dtype=float),
                ("a", "b", "failures_in_row", "d", "e"), settle)  # fmt: skip


def test_the_trees_as_data_say_what_scikit_learns_trees_say() -> None:
    fit = data()
    ours = learn._fitted(fit)
    theirs = GradientBoostingClassifier(
        n_estimators=150, learning_rate=0.06, max_depth=3, subsample=0.8, min_samples_leaf=30, random_state=learn.SEED
    ).fit(fit.rows, fit.failed)
    odds, parts = Model.model_validate_json(ours.model_dump_json()).log_odds(fit.rows)
    assert np.allclose(odds, theirs.decision_function(fit.rows), atol=1e-9)
    base = ours.base + sum(tree.value[0] for tree in ours.trees)
    assert np.allclose(parts.sum(axis=1) + base, odds)
    assert np.abs(parts).mean(axis=0).argmax() == 0


def test_a_learned_model_is_calibrated_and_better_than_the_rule() -> None:
    learned = learn.learn(data(10_000), threshold=0.5)
    model, rules = learned.metrics["model"], learned.metrics["rules"]
    assert learned.model.calibration.kind == "isotonic"
    assert model["roc_auc"] > 0.75 > rules["roc_auc"]
    assert model["calibration_error"] < 0.04
    assert sum(rows for _, _, rows in learned.metrics["reliability"]) == learned.metrics["rows"]["judge"]


def test_little_data_is_calibrated_by_a_sigmoid() -> None:
    assert learn.learn(data(1000), threshold=0.5).model.calibration.kind == "sigmoid"


@given(settle=st.integers(0, 300), number=st.integers(2100, 3000))
@settings(max_examples=25, deadline=None)
def test_every_label_of_a_part_is_known_before_the_next_part_begins(settle, number) -> None:
    fit, calibrate, judge = learn.split(data(number, settle=settle))
    assert fit.at.max() + settle < calibrate.at.min()
    assert calibrate.at.max() + settle < judge.at.min()


def test_too_little_data_is_refused_and_said() -> None:
    with pytest.raises(TooLittleData, match="There are 499 settled renewals"):
        learn.split(data(499))
    few = data(2000)
    few.failed[:] = False
    few.failed[:5] = True
    with pytest.raises(TooLittleData, match="to fit has 5 failed"):
        learn.split(few)
    with pytest.raises(TooLittleData, match="to calibrate"):
        learn.split(data(2000, settle=390))


def test_the_calibration_error_is_zero_only_for_true_chances() -> None:
    random = np.random.default_rng(3)
    chance = random.random(200_000)
    failed = random.random(200_000) < chance
    assert calibration_error(chance, failed) < 0.01
    assert calibration_error(np.full(200_000, 0.9), failed) == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        {"left": (0, 0, 0)},  # leads back: a walk would never end
        {"left": (9, 0, 0)},
        {"value": (1.0, 2.0)},
        {"feature": (7, -1, -1)},
        {"threshold": (float("nan"), 0.0, 0.0)},
    ],
)
def test_a_damaged_tree_is_refused(wrong) -> None:
    good = {"feature": (0, -1, -1), "threshold": (0.5, 0.0, 0.0), "left": (1, 0, 0), "right": (2, 0, 0),
            "value": (0.0, 1.0, 2.0)}  # fmt: skip
    none = Calibration(kind="sigmoid", x=(1.0, 0.0), y=())
    Model(features=("a",), base=0.0, trees=(Tree(**good),), calibration=none)
    with pytest.raises(ValidationError):
        Model(features=("a",), base=0.0, trees=(Tree(**{**good, **wrong}),), calibration=none)


def attempt(month: int, *, success: bool = True, days: float = 0.5, hard: bool = False, amount: float = 20) -> Try:
    return Try(date(2025, month, 1), midnight(date(2025, month, 1)) + timedelta(days=days), success, hard, amount)


def test_what_is_known_ends_before_the_moment() -> None:
    tries = [attempt(1, success=False), attempt(1, days=6), attempt(2)]
    before = known(tries, at=midnight(date(2025, 1, 4)), interval_days=30)
    after = known(tries, at=midnight(date(2025, 1, 8)), interval_days=30)
    assert before == [Renewal(True, 1, 0.1, False, 20)]
    assert after == [Renewal(False, 2, 0.2, False, 20)]


@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.booleans(), st.floats(0, 60), st.booleans()), min_size=1, max_size=40, unique_by=lambda t: t[2]
    )
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_later_tries_never_change_an_observation_and_labels_lie_after_it(drawn) -> None:
    tries = [attempt(month, success=ok, days=days, hard=hard) for month, ok, days, hard in drawn]
    for one in observations(tries, interval_days=30, now=NOW):
        past = [each for each in tries if each.at < one.at]
        renewal_on = (one.at + LEAD).date()
        of_it = [each for each in tries if each.renewal_on == renewal_on]
        assert one.values == values(known(past, at=one.at, interval_days=30), amount=20.0, interval_days=30)
        assert all(each.at > one.at for each in of_it)
        assert one.failed is not any(each.success and each.at <= one.at + LEAD + SETTLED for each in of_it)
        assert len(one.values) == len(FEATURES)


def test_renewals_that_may_still_be_paid_are_not_learned_from() -> None:
    tries = [attempt(1), attempt(2, success=False)]
    assert not list(observations(tries, interval_days=30, now=midnight(date(2025, 3, 2))))
    (settled,) = observations(tries, interval_days=30, now=midnight(date(2025, 3, 3)))
    assert settled.failed
