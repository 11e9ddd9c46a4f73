"""The trained head: a kernel machine that learns, repeats itself and refuses nonsense."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.metrics import roc_auc_score

from pipeline.errors import TrainingError
from pipeline.training.heads import logistic

pytestmark = pytest.mark.slow

HEAD = logistic.HeadSettings(components=8, landmarks=64, l2=0.01, max_epochs=8)
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
    head, _ = logistic.fit(known, one_hot(labels), HEAD, seed=0)
    unseen, truth = ring(200, seed=1)
    assert roc_auc_score(truth, logistic.predict(head, unseen)[:, 1]) > 0.98


def test_the_same_seed_gives_the_same_head() -> None:
    known, labels = ring(60, seed=0)
    first, _ = logistic.fit(known, one_hot(labels), HEAD, seed=4)
    second, _ = logistic.fit(known, one_hot(labels), HEAD, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(first.buffers(), second.buffers(), strict=True))


def test_stronger_regularisation_makes_the_head_less_sure() -> None:
    known, labels = ring(100, seed=0)
    loose, _ = logistic.fit(known, one_hot(labels), HEAD, seed=0)
    tight, _ = logistic.fit(known, one_hot(labels), HEAD.model_copy(update={"l2": 50.0}), seed=0)
    sure = [logistic.predict(h, known).max(axis=1).mean() for h in (loose, tight)]
    assert sure[1] < sure[0] - 0.1


def test_features_that_never_change_do_no_harm() -> None:
    known, labels = ring(100, seed=0)
    padded = np.hstack([known, np.full((100, 3), 7, np.float32)])
    head, history = logistic.fit(padded, one_hot(labels), HEAD, seed=0)
    assert np.isfinite(history).all()
    assert np.isfinite(logistic.predict(head, padded)).all()


def test_two_components_and_many_landmarks_still_give_a_head() -> None:
    known, labels = ring(600, seed=0)
    config = HEAD.model_copy(update={"components": 2, "landmarks": 600})
    head, _ = logistic.fit(known, one_hot(labels), config, seed=0)
    assert np.isfinite(logistic.predict(head, known)).all()


def test_features_that_are_not_numbers_stop_the_training() -> None:
    known, labels = ring(20, seed=0)
    known[3, 0] = np.nan
    with pytest.raises(TrainingError, match=r"features of 1 image\(s\) are not finite"):
        logistic.fit(known, one_hot(labels), HEAD, seed=0)
