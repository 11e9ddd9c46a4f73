"""The kernel's space: kept once for all that is trained in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipeline.errors import TrainingError
from pipeline.training.features.cache import FeatureCache
from pipeline.training.heads import logistic, out_of_fold
from pipeline.training.heads.nystroem import NystroemSpace

HEAD = logistic.HeadSettings(components=8, landmarks=64, l2=0.01, max_epochs=2)
Floats = npt.NDArray[np.float32]


class Kept:
    """Keeps in memory, and counts what had to be made."""

    def __init__(self) -> None:
        self.made = 0
        self._known: dict[str, bytes] = {}

    def __call__(self, key: str, make: Callable[[], bytes]) -> bytes:
        if key not in self._known:
            self.made += 1
            self._known[key] = make()
        return self._known[key]


@pytest.fixture
def features() -> Floats:
    return np.random.default_rng(0).standard_normal((90, 20)).astype(np.float32)


@pytest.fixture
def targets() -> Floats:
    halves: Floats = np.eye(2, dtype=np.float32)[np.arange(90) % 2]
    return halves


def test_its_features_have_the_kernel_as_their_inner_product(features: Floats) -> None:
    space = NystroemSpace.of(features, HEAD.model_copy(update={"landmarks": 90}), seed=0)
    embedding = torch.from_numpy(features) @ space.projection + space.shift
    kernel = torch.exp(-torch.cdist(embedding, embedding).square())
    torch.testing.assert_close(space.x @ space.x.T, kernel, atol=1e-4, rtol=0)


def test_it_lies_in_memory_as_training_reads_it(features: Floats) -> None:
    assert NystroemSpace.of(features, HEAD, seed=0).x.is_contiguous()


@pytest.mark.slow
def test_other_regularisation_and_other_labels_find_it(features: Floats, targets: Floats) -> None:
    kept = Kept()
    for l2, labels in ((0.01, targets), (0.5, targets), (0.01, targets[::-1].copy())):
        logistic.fit(features, labels, HEAD.model_copy(update={"l2": l2}), seed=0, recall=kept)
    assert kept.made == 1


@pytest.mark.slow
def test_a_head_of_a_space_that_was_found_is_the_same_to_the_bit(
    features: Floats, targets: Floats, tmp_path: Path
) -> None:
    file = tmp_path / "features.sqlite"
    heads = [
        logistic.fit(features, targets, HEAD, seed=0, recall=FeatureCache(file).recall)[0]
        for _ in range(2)
    ]
    fresh, _ = logistic.fit(features, targets, HEAD, seed=0)
    for head in heads:
        for name, value in fresh.state_dict().items():
            assert torch.equal(head.state_dict()[name], value), name


@pytest.mark.parametrize("change", [{"components": 7}, {"landmarks": 63}, {"kernel_width": 0.5}])
def test_other_settings_of_the_kernel_make_another(
    features: Floats, change: dict[str, float]
) -> None:
    kept = Kept()
    for config in (HEAD, HEAD.model_copy(update=change)):
        NystroemSpace.of(features, config, 0, kept)
    assert kept.made == 2


def test_other_features_or_another_seed_make_another(features: Floats) -> None:
    kept = Kept()
    NystroemSpace.of(features, HEAD, 0, kept)
    NystroemSpace.of(features, HEAD, 1, kept)
    NystroemSpace.of(features * np.float32(1.001), HEAD, 0, kept)
    assert kept.made == 3


@pytest.mark.slow
def test_the_folds_of_a_cross_validation_are_kept_too(features: Floats, targets: Floats) -> None:
    kept, folds = Kept(), np.arange(90) % 3
    for l2 in (0.01, 0.02):
        config = HEAD.model_copy(update={"l2": l2})
        out_of_fold.out_of_fold(features, np.arange(90), targets, folds, config, 0, recall=kept)
    assert kept.made == 3


def test_nothing_is_kept_of_features_that_are_not_finite(features: Floats) -> None:
    kept = Kept()
    features[3, 4] = np.nan
    for _ in range(2):
        with pytest.raises(TrainingError, match="1 image"):
            NystroemSpace.of(features, HEAD, 0, kept)
    assert kept.made == 2
