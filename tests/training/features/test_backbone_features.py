"""Features of a recipe's images, through one graph and one cache."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from pipeline.imaging import Pixels
from pipeline.training import Floats
from pipeline.training.augmentation import Augmenter, Policy
from pipeline.training.features.backbone_features import FeatureExtractor
from pipeline.training.features.backbones import Backbones, BackboneSpec, build

SIZE_PX, N = 32, 5


class Stored:
    """Images in memory."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.pixels: Pixels = rng.integers(0, 256, (N, SIZE_PX, SIZE_PX, 1), np.uint8)
        self.index = pd.DataFrame({"sample_id": [f"cell-{i}" for i in range(N)], "tile": 0})

    def stack(self, positions: npt.NDArray[np.intp]) -> Pixels:
        return self.pixels[positions].copy()


@pytest.fixture(scope="module")
def backbones() -> Backbones:
    return build([BackboneSpec(architecture="lenet5", weights="none")], (SIZE_PX, SIZE_PX), seed=0)


def extractor(backbones: Backbones, folder: Path, cache: Path | None = None) -> FeatureExtractor:
    augmenter = Augmenter.of(Policy.model_validate({"exposure": {"brightness": 0.2}}))
    sample = Stored().pixels[:2]

    def watch(vectors: Iterable[Floats], total: int, found: int) -> Iterable[Floats]:
        return vectors

    graph = folder / "features.onnx"
    return FeatureExtractor(backbones, augmenter, 0, sample, graph, cache, watch)


def test_training_features_are_all_images_then_their_views_then_extra_ones(
    backbones: Backbones, tmp_path: Path
) -> None:
    extra = np.array([0, 2, 0, 0, 1])
    found = extractor(backbones, tmp_path).training(Stored(), 1, extra)
    assert found.image_of.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 1, 4, 1]
    assert len(found.values) == 13
    assert found.found == 0


def test_features_without_a_view_are_those_of_the_training_images(
    backbones: Backbones, tmp_path: Path
) -> None:
    it = extractor(backbones, tmp_path)
    trained = it.training(Stored(), 0, np.zeros(N, np.intp))
    np.testing.assert_array_equal(
        it.as_they_are(Stored(), np.array([3, 1])), trained.values[[3, 1]]
    )


def test_a_second_extractor_finds_all_in_the_cache(backbones: Backbones, tmp_path: Path) -> None:
    for n_found in (0, N):
        it = extractor(backbones, tmp_path, tmp_path / "features.sqlite")
        assert it.training(Stored(), 0, np.zeros(N, np.intp)).found == n_found
