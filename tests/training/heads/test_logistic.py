"""Regressions side by side, and the head that is fitted when nothing was chosen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pipeline.errors import TrainingError
from pipeline.training.heads import fitting, logistic
from pipeline.training.heads.settings import HeadSettings

pytestmark = pytest.mark.slow

HEAD = HeadSettings(
    kind="kernel", components=8, landmarks=64, kernel_width=0.6, l2=0.01, max_epochs=8
)
Floats = npt.NDArray[np.float32]


def ring(n: int, seed: int) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Points inside and around a ring: no line parts them, a kernel does."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    radius, angle = 1 + labels + 0.2 * rng.standard_normal(n), rng.uniform(0, 2 * np.pi, n)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return points.astype(np.float32), labels


def one_hot(labels: npt.NDArray[np.intp]) -> Floats:
    targets: Floats = np.eye(2, dtype=np.float32)[labels]
    return targets


def test_a_head_learns_what_no_line_can_part() -> None:
    known, labels = ring(200, seed=0)
    head, _ = fitting.fit(known, one_hot(labels), HEAD, seed=0)
    unseen, truth = ring(200, seed=1)
    assert roc_auc_score(truth, logistic.predict(head, unseen)[:, 1]) > 0.98


def test_the_same_seed_gives_the_same_head() -> None:
    known, labels = ring(60, seed=0)
    first, _ = fitting.fit(known, one_hot(labels), HEAD, seed=4)
    second, _ = fitting.fit(known, one_hot(labels), HEAD, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(first.buffers(), second.buffers(), strict=True))


def test_stronger_regularisation_makes_the_head_less_sure() -> None:
    known, labels = ring(100, seed=0)
    loose, _ = fitting.fit(known, one_hot(labels), HEAD, seed=0)
    tight, _ = fitting.fit(known, one_hot(labels), HEAD.model_copy(update={"l2": 50.0}), seed=0)
    sure = [logistic.predict(h, known).max(axis=1).mean() for h in (loose, tight)]
    assert sure[1] < sure[0] - 0.1


def test_features_that_never_change_do_no_harm() -> None:
    known, labels = ring(100, seed=0)
    padded = np.hstack([known, np.full((100, 3), 7, np.float32)])
    head, history = fitting.fit(padded, one_hot(labels), HEAD, seed=0)
    assert np.isfinite(history).all()
    assert np.isfinite(logistic.predict(head, padded)).all()


def test_two_components_and_many_landmarks_still_give_a_head() -> None:
    known, labels = ring(600, seed=0)
    config = HEAD.model_copy(update={"components": 2, "landmarks": 600})
    head, _ = fitting.fit(known, one_hot(labels), config, seed=0)
    assert np.isfinite(logistic.predict(head, known)).all()


def test_features_that_are_not_numbers_stop_the_training() -> None:
    known, labels = ring(20, seed=0)
    known[3, 0] = np.nan
    with pytest.raises(TrainingError, match=r"features of 1 image\(s\) are not finite"):
        fitting.fit(known, one_hot(labels), HEAD, seed=0)


def test_a_loss_that_is_not_a_number_stops_the_training() -> None:
    x = torch.full((10, 2), torch.nan)
    with pytest.raises(TrainingError, match="the loss became nan"):
        logistic.solve(x, torch.eye(2).repeat(5, 1), (0.1,), 1)


def test_regressions_side_by_side_are_those_of_scikit_learn() -> None:
    """Each by its own strength; with emphasis as with weights of the samples."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((150, 6)) * [5, 2, 1, 1, 0.3, 0.1]
    labels = (x[:, 1:4].sum(1) + rng.standard_normal(150) > 1).astype(int)
    rare = np.where(labels == 1, 2.0, 0.5)
    rare /= rare.mean()
    emphasis = torch.from_numpy(np.stack([np.ones(150), rare], 1).astype(np.float32))
    given = torch.from_numpy(x.astype(np.float32)), torch.from_numpy(one_hot(labels))
    made = logistic.solve(*given, (0.5, 4.0), 8, emphasis)
    for number, (l2, weights) in enumerate(((0.5, np.ones(150)), (4.0, rare))):
        # Two opposite columns of weights share the penalty of scikit-learn's one.
        other = LogisticRegression(C=2 / l2, max_iter=5000, tol=1e-8)
        other.fit(x, labels, sample_weight=weights)
        found = (made.weight[number, 1] - made.weight[number, 0]).detach().numpy()
        np.testing.assert_allclose(found, other.coef_[0], rtol=2e-3, atol=2e-3)
