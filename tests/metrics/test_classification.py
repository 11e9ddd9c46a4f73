"""Figures of a classifier, on answers small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.metrics.classification import (
    auroc,
    average_precision,
    curve,
    expected_calibration_error,
    macro_f1,
    questions,
    recalls,
)

LABELS = np.array([0, 0, 1, 2])
PROBABILITIES = np.array(
    [[0.75, 0.125, 0.125], [0.25, 0.25, 0.5], [0.5, 0.25, 0.25], [0.125, 0.125, 0.75]]
)


def test_with_a_good_class_the_question_is_whether_a_part_is_bad() -> None:
    truth, scores = questions(LABELS, PROBABILITIES, (True, False, False))
    assert truth.tolist() == [[False], [False], [True], [True]]
    assert scores.tolist() == [[0.25], [0.75], [0.5], [0.875]]


def test_without_a_good_class_there_is_one_question_a_class() -> None:
    truth, scores = questions(LABELS, PROBABILITIES, (False, False, False))
    assert truth.argmax(axis=1).tolist() == LABELS.tolist()
    assert truth.sum() == 4
    assert (scores == PROBABILITIES).all()


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    truth, scores = questions(LABELS, PROBABILITIES, (True, False, False))
    assert auroc(truth, scores) == 0.75


def test_auroc_of_several_questions_is_their_mean() -> None:
    truth, scores = questions(LABELS, PROBABILITIES, (False, False, False))
    each = [auroc(truth[:, [q]], scores[:, [q]]) for q in range(3)]
    assert each == pytest.approx([0.75, 5 / 6, 1.0])
    assert auroc(truth, scores) == pytest.approx(np.mean(each))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("answer", [True, False])
def test_auroc_of_a_single_answer_is_not_defined(answer: bool) -> None:
    assert math.isnan(auroc(np.full((3, 1), answer), np.array([[0.1], [0.2], [0.3]])))


def test_auroc_is_not_defined_when_one_of_the_classes_does_not_occur() -> None:
    truth, scores = questions(np.array([0, 1, 1, 0]), PROBABILITIES, (False, False, False))
    assert math.isnan(auroc(truth, scores))


def test_average_precision_is_the_mean_precision_at_each_bad_part() -> None:
    truth, scores = questions(LABELS, PROBABILITIES, (True, False, False))
    assert average_precision(truth, scores) == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_average_precision_without_a_bad_part_is_not_defined() -> None:
    assert math.isnan(average_precision(np.zeros((2, 1), bool), np.array([[0.1], [0.2]])))


def test_macro_f1_is_the_mean_over_classes_that_occur() -> None:
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2])
    assert macro_f1(labels, predicted, 4) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_recall_is_given_by_class_and_none_where_there_is_no_part() -> None:
    got = recalls(np.array([0, 0, 1]), np.array([0, 1, 2]), ("a", "b", "c"))
    assert got == {"a": 0.5, "b": 0.0, "c": None}


def test_a_calibrated_classifier_has_hardly_any_calibration_error() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 50_000)
    right = rng.random(50_000) < confidence
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    assert expected_calibration_error(np.where(right, 0, 1), probabilities) < 0.01


def test_an_overconfident_classifier_errs_by_what_it_claims_too_much() -> None:
    probabilities = np.tile([0.9, 0.1], (10, 1))
    labels = np.array([0] * 6 + [1] * 4)
    assert expected_calibration_error(labels, probabilities) == pytest.approx(0.3)


def test_errors_of_two_bins_do_not_cancel() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    labels = np.array([0] * 7 + [1] * 3 + [0] * 8 + [1] * 2)
    assert expected_calibration_error(labels, probabilities) == pytest.approx(0.2)


def test_full_confidence_falls_into_the_last_bin() -> None:
    assert expected_calibration_error(np.array([0, 1]), np.array([[1.0, 0.0]] * 2)) == 0.5


def test_a_curve_runs_from_nothing_found_to_everything_flagged() -> None:
    truth, scores = questions(LABELS, PROBABILITIES, (True, False, False))
    drawn = curve("bad part", truth, scores)
    assert (drawn.fpr[0], drawn.tpr[0], drawn.fpr[-1], drawn.tpr[-1]) == (0, 0, 1, 1)
    assert float(np.trapezoid(drawn.tpr, drawn.fpr)) == auroc(truth, scores)
    assert (drawn.recall[0], drawn.precision[0]) == (1.0, 0.5)
    assert (drawn.recall[-1], drawn.precision[-1]) == (0.0, 1.0)
