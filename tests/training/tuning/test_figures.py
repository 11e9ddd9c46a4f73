"""Figures of out-of-fold scores, and intervals by groups."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.training import Floats
from pipeline.training.tuning.figures import Scores, auroc

RNG = np.random.default_rng(0)


def scores(signal: float, *, passing: tuple[bool, ...] = (True, False), n: int = 200) -> Scores:
    """Scores that know the class by so much, of parts two of which are a group."""
    rng = np.random.default_rng(1)
    labels = np.arange(n) % 2
    bad = (1 / (1 + np.exp(-signal * (labels - 0.5) - rng.normal(size=n)))).astype(np.float32)
    probabilities: Floats = np.stack([1 - bad, bad], axis=1)
    return Scores(labels, probabilities, np.array([f"g{i // 2}" for i in range(n)]), passing)


def test_the_area_is_that_of_scikit_learn_with_weights_and_ties() -> None:
    bad = RNG.random(300) < 0.3
    score = RNG.integers(0, 20, 300).astype(np.float32)
    weights = RNG.integers(0, 4, 300)
    assert auroc(bad, score, weights) == pytest.approx(
        roc_auc_score(bad, score, sample_weight=weights)
    )


def test_scores_that_know_more_are_better_by_an_interval_above_zero() -> None:
    gain = scores(3.0).gain_over(scores(1.0))
    assert 0 < gain.low < gain.value < gain.high


def test_equal_scores_gain_nothing() -> None:
    gain = scores(1.0).gain_over(scores(1.0))
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)


def test_the_objective_is_the_mean_f1_where_no_class_is_good() -> None:
    found = scores(2.0, passing=(False, False))
    assert found.objective == "macro-F1"
    assert found.escapes() is None
    figure = found.figure()
    assert figure.low < figure.value < figure.high


def test_escapes_fall_with_what_is_known() -> None:
    many, few = scores(0.5).escapes(), scores(4.0).escapes()
    assert many is not None
    assert few is not None
    assert few < 0.3 < many
