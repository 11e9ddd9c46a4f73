"""The modules of LeNet-5."""

from __future__ import annotations

import torch

from pipeline.training.architectures._lenet5 import LeNet5


def test_its_maps_are_those_of_the_paper() -> None:
    shapes = [tuple(m.shape) for m in LeNet5().maps(torch.zeros(2, 3, 32, 32))]
    assert shapes == [(2, 6, 28, 28), (2, 16, 10, 10), (2, 120, 1, 1)]


def test_larger_images_give_larger_maps_and_the_same_ten_logits() -> None:
    images = torch.zeros(1, 3, 48, 64)
    assert LeNet5().maps(images)[-1].shape[2:] == (5, 9)
    assert LeNet5()(images).shape == (1, 10)
