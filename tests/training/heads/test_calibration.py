"""Temperature: probabilities that mean what they say, and no ranking changed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipeline.inference.predictor import softmax
from pipeline.training.head_modules import KernelPart, LinearHead, MeanHead
from pipeline.training.heads.calibration import cool, temperature


def honest(n: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Logits of two classes, and labels drawn with exactly the chances that they state."""
    rng = np.random.default_rng(seed)
    logits = np.stack([np.zeros(n), rng.normal(0, 2, n)], axis=1).astype(np.float32)
    chance = 1 / (1 + np.exp(-logits[:, 1]))
    return logits, (rng.random(n) < chance).astype(np.intp)


def one_hot(labels: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    targets: npt.NDArray[np.float32] = np.eye(2, dtype=np.float32)[labels]
    return targets


@pytest.mark.parametrize("exaggerated", [0.5, 1.0, 3.0])
def test_it_finds_how_much_the_network_exaggerates(exaggerated: float) -> None:
    logits, labels = honest(5000, seed=0)
    found = temperature(logits * exaggerated, one_hot(labels))
    assert found == pytest.approx(exaggerated, rel=0.1)


def test_a_few_parts_that_are_all_right_do_not_make_the_network_certain() -> None:
    labels = np.arange(20) % 2
    margins = np.linspace(0.5, 4, 20, dtype=np.float32)
    logits = one_hot(labels) * margins[:, None]
    cooled = softmax(logits / np.float32(temperature(logits, one_hot(labels))))
    assert cooled.max() < 0.9999
    assert len(np.unique(cooled.max(axis=1))) == 20


def test_shares_that_training_took_out_of_the_logits_are_put_back_first() -> None:
    logits, labels = honest(5000, seed=0)
    prior = np.log(np.array([0.9, 0.1], np.float32))
    found = temperature((logits - prior) * 2, one_hot(labels), prior)
    alone = temperature((logits - prior) * 2, one_hot(labels))
    assert abs(found - 2) < abs(alone - 2)


def test_a_cooled_head_divides_its_logits_and_leaves_the_embedding() -> None:
    rng = torch.Generator().manual_seed(0)
    made = [torch.randn(shape, generator=rng) for shape in ((6, 3), (3,), (5, 3), (5, 2), (2,))]
    projection, shift, landmarks, weight, bias = made
    part = KernelPart(torch.tensor(0.5), landmarks, weight)
    head = MeanHead(projection, shift, weight[:3].clone(), bias, [part])
    x = torch.randn((4, 6), generator=rng)
    before, place = head(x)
    cool(head, 2.5)
    after, same = head(x)
    torch.testing.assert_close(after, before / 2.5)
    torch.testing.assert_close(same, place)


def test_a_head_whose_numbers_are_trained_can_be_cooled() -> None:
    head = LinearHead(torch.eye(2), torch.zeros(2), torch.ones(2, 2), torch.ones(2))
    cool(head, 4.0)
    assert head.weight.tolist() == [[0.25, 0.25], [0.25, 0.25]]


def test_many_classes_do_not_make_a_few_right_parts_doubtful() -> None:
    """Five parts of each class, all right: as sure with twenty classes as with two, or about."""
    sure = []
    for classes in (2, 20):
        targets = np.eye(classes, dtype=np.float32)[np.arange(5 * classes) % classes]
        logits = 8 * targets
        sure.append(softmax(logits / np.float32(temperature(logits, targets))).max())
    assert sure[1] > sure[0] - 0.15
