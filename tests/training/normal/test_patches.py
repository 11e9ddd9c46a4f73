"""Patches of many images: as torch has them, in components."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.training.network import Features, pooled
from pipeline.training.normal.modules import patches
from pipeline.training.normal.patches import Describer, PatchComponents
from pipeline.training.training_data import TrainingData
from tests.training.normal.conftest import noise, unwatched


def correlated(n: int) -> np.ndarray:
    """Patches of 12 channels, float32."""
    found: np.ndarray = noise(n, (12,)) @ noise(12, (12,), seed=3)
    return found


def test_components_keep_the_distances_between_patches_up_to_one_unit() -> None:
    found = correlated(500)
    of_patches = PatchComponents.of(found, 12)
    there = found @ of_patches.projection + of_patches.shift
    before = np.linalg.norm(found[:50] - found[50:100], axis=1)
    ratio = np.linalg.norm(there[:50] - there[50:100], axis=1) / before
    assert ratio.std() < 0.05 * ratio.mean()


@pytest.mark.parametrize(("whitening", "spread"), [(0.0, False), (1.0, True)])
def test_whitened_components_all_have_the_same_variance(whitening: float, spread: bool) -> None:
    found = correlated(500)
    of_patches = PatchComponents.of(found, 6)
    there = (found @ of_patches.projection + of_patches.shift) * of_patches.scale(whitening)
    assert (there.std(0).max() < 1.01 * there.std(0).min()) == spread
    assert there.var(0).mean() == pytest.approx(1, abs=0.01)


@pytest.mark.slow
def test_images_are_described_as_torch_describes_them(
    features: Features, alone: TrainingData, tmp_path: Path
) -> None:
    describer = Describer(features, alone.images[0], tmp_path)
    rows = np.arange(6)
    of_pairs = describer.components(alone.images.stack, rows, 8, seed=0)
    found = describer(alone.images.stack, rows, of_pairs, "some", unwatched)
    with torch.inference_mode():
        maps = features.maps(torch.from_numpy(alone.images.stack(rows)))
    np.testing.assert_allclose(found.pooled, pooled(maps).numpy(), atol=1e-3)
    for pair, components, held in zip(describer.pairs, of_pairs, found.patches, strict=True):
        expected = components(patches(maps, pair).numpy())
        np.testing.assert_allclose(held, expected, atol=0.02)
