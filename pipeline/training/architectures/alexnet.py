"""AlexNet: Krizhevsky, One Weird Trick for Parallelizing CNNs, 2014 (torchvision's form of it)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.training.architectures import Architecture, from_torchvision

if TYPE_CHECKING:
    from torch import Tensor


def _maps(net: Any, x: Tensor) -> list[Tensor]:
    found = []
    for layer in net.features[:-1]:
        x = layer(x)
        if type(layer).__name__ == "ReLU":
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
        create=partial(from_torchvision, "alexnet"),
    ),
)
