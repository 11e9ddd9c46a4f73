"""Principal components of standardised features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipeline.errors import TrainingError
from pipeline.training.heads.principal import Principal
from tests.training.heads.kept import Kept

Floats = npt.NDArray[np.float32]


@pytest.fixture
def features() -> Floats:
    return np.random.default_rng(0).standard_normal((90, 20)).astype(np.float32)


def test_components_have_a_mean_square_length_of_one(features: Floats) -> None:
    lengths = Principal.of(features, 8, seed=0).x.square().sum(1)
    assert float(lengths.mean()) == pytest.approx(1, rel=0.01)


def test_the_leading_one_varies_most_whatever_the_unit_of_the_features(features: Floats) -> None:
    features[:, 3] = features[:, 2]  # two features that say the same
    plain, scaled = (Principal.of(f, 8, 0) for f in (features, features * np.float32(1000)))
    assert plain.deviation.tolist() == sorted(plain.deviation.tolist(), reverse=True)
    torch.testing.assert_close(plain.deviation, plain.x.std(0, correction=0), rtol=0.05, atol=0)
    torch.testing.assert_close(scaled.x.abs(), plain.x.abs(), rtol=1e-2, atol=1e-3)


def test_there_are_no_more_than_images(features: Floats) -> None:
    assert Principal.of(features[:6], 8, 0).x.shape == (6, 6)


def test_other_features_or_another_seed_make_other_components(features: Floats) -> None:
    kept = Kept()
    Principal.of(features, 8, 0, kept)
    Principal.of(features, 8, 1, kept)
    Principal.of(features * np.float32(1.001), 8, 0, kept)
    assert kept.made == 3


def test_nothing_is_kept_of_features_that_are_not_finite(features: Floats) -> None:
    kept = Kept()
    features[3, 4] = np.nan
    for _ in range(2):
        with pytest.raises(TrainingError, match="1 image"):
            Principal.of(features, 8, 0, kept)
    assert kept.made == 2
