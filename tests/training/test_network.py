"""The exported network's features."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.training.network import pooled


def test_maps_are_pooled_to_mean_maximum_and_deviation_of_each_channel() -> None:
    maps = [torch.rand(2, 3, 5, 4), torch.rand(2, 1, 2, 2)]
    expected = [f(m.numpy(), axis=(2, 3)) for m in maps for f in (np.mean, np.max, np.std)]
    np.testing.assert_allclose(pooled(maps), np.concatenate(expected, axis=1), atol=1e-6)
