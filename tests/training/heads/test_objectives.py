"""What a search wants less of, fold by fold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from pipeline.errors import TrainingError
from pipeline.training.heads.objectives import Objective, overall
from pipeline.training.heads.settings import HeadSettings

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 3, 300)
TARGETS = np.eye(3, dtype=np.float32)[TRUTH]
LOGITS = (RNG.standard_normal((300, 3)) + TARGETS).astype(np.float32)
CHANCES = log_softmax(LOGITS, axis=1)
FOLDS, ROWS = np.arange(300) % 3, np.arange(0, 300, 2)
PASSING = (True, False, False)


def objective(name: str) -> Objective:
    config = HeadSettings.model_validate({"objective": name, "escapes_up_to": 0.2})
    return Objective(config, TARGETS, FOLDS, PASSING)


def test_log_loss_is_that_of_scikit_learn_in_each_fold() -> None:
    expected = [
        log_loss(TRUTH[rows], np.exp(CHANCES[rows]))
        for rows in (ROWS[FOLDS[ROWS] == fold] for fold in range(3))
    ]
    np.testing.assert_allclose(objective("log_loss")(CHANCES[ROWS], ROWS), expected, rtol=1e-5)


def test_macro_f1_is_of_the_likeliest_class() -> None:
    everyone = np.arange(300)
    expected = [
        1 - f1_score(TRUTH[fold == FOLDS], LOGITS[fold == FOLDS].argmax(1), average="macro")
        for fold in range(3)
    ]
    np.testing.assert_allclose(objective("macro_f1")(CHANCES, everyone), expected)


def test_partial_auroc_looks_where_few_bad_parts_escape() -> None:
    """Of two scores with the same AUROC the one that orders the doubtful bad parts well."""
    good = TRUTH == 0
    found = objective("partial_auroc")(CHANCES, np.arange(300))
    expected = 1 - roc_auc_score(good[FOLDS == 0], np.exp(CHANCES[FOLDS == 0, 0]), max_fpr=0.2)
    assert found[0] == pytest.approx(expected)


def test_a_fold_of_one_kind_does_not_count_in_a_partial_auroc() -> None:
    folds = np.where(TRUTH == 0, 0, FOLDS)
    config = HeadSettings(objective="partial_auroc")
    by_fold = Objective(config, TARGETS, folds, PASSING)(CHANCES, np.arange(300))
    assert list(np.isnan(by_fold)) == [False, True, True]
    assert overall(by_fold) == pytest.approx(by_fold[0])


def test_a_partial_auroc_of_one_kind_of_parts_is_refused() -> None:
    config = HeadSettings(objective="partial_auroc")
    with pytest.raises(TrainingError, match="all training parts are of one kind; use log_loss"):
        Objective(config, TARGETS, FOLDS, (False, False, False))


def test_one_hard_fold_does_not_decide_alone() -> None:
    assert overall(np.array([0.01, 0.01, 4.0])) < np.mean([0.01, 0.01, 4.0])
    assert overall(np.array([0.25, 0.25])) == pytest.approx(0.25)
