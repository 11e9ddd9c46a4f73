"""Linear discriminant analysis is that of scikit-learn, down to the nearest mean."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from pipeline.training.heads.lda import discriminants

RNG = np.random.default_rng(0)
LABELS = np.arange(120) % 3
X = (RNG.standard_normal((120, 5)) * [1, 2, 1, 0.5, 3] + np.eye(5)[LABELS]).astype(np.float32)
TARGETS = torch.eye(3)[LABELS]
ALIKE = torch.ones(len(LABELS))


def test_it_decides_as_that_of_scikit_learn() -> None:
    ((weight, bias),) = discriminants(torch.from_numpy(X), TARGETS, [0.2], ALIKE)
    # Its solver shrinks the covariance of each class by that class's own variances.
    other = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.2, priors=[1 / 3] * 3).fit(
        X, LABELS
    )
    agree = (X @ weight.numpy() + bias.numpy()).argmax(1) == other.predict(X)
    assert agree.mean() > 0.95


def test_drawn_all_the_way_the_nearest_class_mean_decides() -> None:
    ((weight, bias),) = discriminants(torch.from_numpy(X), TARGETS, [1.0], ALIKE)
    means = np.stack([X[k == LABELS].mean(0) for k in range(3)])
    nearest = np.linalg.norm(X[:, None] - means, axis=2).argmin(1)
    assert ((X @ weight.numpy() + bias.numpy()).argmax(1) == nearest).all()


def test_fewer_images_than_components_still_give_one() -> None:
    few = torch.from_numpy(X[:4, :])
    ((weight, bias),) = discriminants(few, TARGETS[:4], [0.01], ALIKE[:4])
    assert bool(torch.isfinite(weight).all() and torch.isfinite(bias).all())


def test_the_same_images_twice_change_nothing() -> None:
    twice = torch.from_numpy(np.concatenate([X, X]))
    halves = torch.cat([TARGETS, TARGETS])
    for plain, doubled in zip(
        discriminants(torch.from_numpy(X), TARGETS, [0.1], ALIKE),
        discriminants(twice, halves, [0.1], torch.cat([ALIKE, ALIKE])),
        strict=True,
    ):
        torch.testing.assert_close(plain, doubled)


def test_an_image_that_counts_twice_is_as_two_of_it() -> None:
    again = np.arange(0, 120, 4)
    weights = ALIKE.clone()
    weights[again] = 2
    copied = np.concatenate([np.arange(120), again])
    ones = torch.ones(len(copied))
    for counted, repeated in zip(
        discriminants(torch.from_numpy(X), TARGETS, [0.1], weights / weights.mean()),
        discriminants(torch.from_numpy(X[copied]), TARGETS[copied], [0.1], ones),
        strict=True,
    ):
        torch.testing.assert_close(counted, repeated, rtol=1e-3, atol=1e-3)
