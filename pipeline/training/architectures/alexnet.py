"""AlexNet: Krizhevsky, One Weird Trick for Parallelizing CNNs, 2014 (torchvision's form of it)."""

from __future__ import annotations

from typing import Any

import torchvision
from torch import Tensor, nn

from pipeline.training.architectures import Architecture


def _maps(net: Any, x: Tensor) -> list[Tensor]:
    found = []
    for layer in net.features[:-1]:
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            found.append(x)
    return found


ARCHITECTURES = (
    Architecture(
        "alexnet",
        _maps,
        ("classifier",),
        parameters=61_100_840,
        multiply_adds=714_000_000,
        hub="torchvision/AlexNet_Weights.IMAGENET1K_V1",
        top1=56.522,
        min_px=31,
        create=torchvision.models.alexnet,
    ),
)
