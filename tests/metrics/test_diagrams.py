"""Points of diagrams, on answers small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.metrics.classification import expected_calibration_error
from pipeline.metrics.diagrams import det, reliability, trade_off


def test_reliability_has_confidence_and_accuracy_of_each_bin_that_has_parts() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 20)
    labels = np.array([0] * 7 + [1] * 3 + [0] * 16 + [1] * 4)
    found = reliability(labels, probabilities, bins=10)
    assert found.confidence.tolist() == pytest.approx([0.6, 0.9])
    assert found.accuracy.tolist() == pytest.approx([0.8, 0.7])
    assert found.n.tolist() == [20, 10]
    assert (found.low < found.accuracy).all()
    assert (found.accuracy < found.high).all()


def test_the_gaps_of_the_reliability_bins_make_the_calibration_error() -> None:
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet([1, 1, 1], 300), rng.integers(0, 3, 300)
    found = reliability(labels, probabilities)
    error = (np.abs(found.confidence - found.accuracy) * found.n).sum() / 300
    assert error == pytest.approx(expected_calibration_error(labels, probabilities))


def test_det_is_what_a_limit_at_each_score_does() -> None:
    rng = np.random.default_rng(0)
    truth, scores = rng.random(200) < 0.4, rng.random(200)
    points = set(zip(*(x.tolist() for x in det(truth, scores)), strict=True))
    done = {((scores[~truth] >= limit).mean(), (scores[truth] < limit).mean()) for limit in scores}
    assert len(points) > 50
    assert points <= done


@pytest.mark.parametrize("answer", [True, False])
def test_det_of_a_single_answer_has_no_points(answer: bool) -> None:
    overkill, escape = det(np.full(3, answer), np.array([0.1, 0.2, 0.3]))
    assert (len(overkill), len(escape)) == (0, 0)


def test_the_trade_off_counts_what_passes_below_and_fails_from_each_limit() -> None:
    scores, bad = np.array([0.0, 0.2, 0.5, 1.0]), np.array([False, True, False, True])
    found = trade_off(scores, bad, points=3)
    assert found.limit[:3].tolist() == [0, 0.5, 1]
    assert found.escape.tolist() == [0, 0.5, 0.5, 1]
    assert found.overkill.tolist() == [1, 0.5, 0, 0]


def test_a_trade_off_without_bad_parts_has_overkill_alone() -> None:
    found = trade_off(np.array([0.1, 0.9]), np.array([False, False]), points=3)
    assert np.isnan(found.escape).all()
    assert found.overkill.tolist() == [1, 0.5, 0, 0]
