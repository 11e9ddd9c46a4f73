"""The heads' torch modules."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.training.head_modules import kernel


def test_the_kernel_is_one_at_home_and_falls_with_distance() -> None:
    a = torch.tensor([[0.0, 0.0]])
    b = torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(kernel(a, b)[0], np.exp([0, -1, -25]), rtol=1e-6)
