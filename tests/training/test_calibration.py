"""Temperature: probabilities that mean what they say, and no ranking changed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from pipeline.training.calibration import cool, temperature
from pipeline.training.network import KernelHead


def honest(n: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Logits of two classes, and labels drawn with exactly the chances that they state."""
    rng = np.random.default_rng(seed)
    logits = np.stack([np.zeros(n), rng.normal(0, 2, n)], axis=1).astype(np.float32)
    chance = 1 / (1 + np.exp(-logits[:, 1]))
    return logits, (rng.random(n) < chance).astype(np.intp)


@pytest.mark.parametrize("exaggerated", [0.5, 1.0, 3.0])
def test_it_finds_how_much_the_network_exaggerates(exaggerated: float) -> None:
    logits, labels = honest(5000, seed=0)
    assert temperature(logits * exaggerated, labels) == pytest.approx(exaggerated, rel=0.1)


def test_certainty_that_is_always_right_stays_within_bounds() -> None:
    labels = np.array([0, 1, 0, 1])
    logits = np.eye(2, dtype=np.float32)[labels]
    assert 0.05 <= temperature(logits, labels) < 0.06


def test_a_cooled_head_divides_its_logits_and_leaves_the_embedding() -> None:
    rng = torch.Generator().manual_seed(0)
    made = [torch.randn(shape, generator=rng) for shape in ((6, 3), (3,), (5, 3), (5, 2), (2,))]
    head, x = KernelHead(*made), torch.randn((4, 6), generator=rng)
    before, place = head(x)
    cool(head, 2.5)
    after, same = head(x)
    torch.testing.assert_close(after, before / 2.5)
    torch.testing.assert_close(same, place)


def test_a_head_whose_numbers_are_trained_can_be_cooled() -> None:
    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))

    head = Linear()
    cool(head, 4.0)
    assert head.weight.tolist() == [[0.25, 0.25], [0.25, 0.25]]
