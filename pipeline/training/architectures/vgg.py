"""VGG: Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.training.architectures import Architecture, from_timm

if TYPE_CHECKING:
    from torch import Tensor


def _maps(net: Any, x: Tensor) -> list[Tensor]:
    found = []
    for layer in net.features:
        if type(layer).__name__ == "MaxPool2d":
            found.append(x)
        x = layer(x)
    return found


def _vgg(name: str, parameters: int, multiply_adds: int, top1: float) -> Architecture:
    return Architecture(
        name,
        _maps,
        ("pre_logits", "head"),
        parameters=parameters,
        multiply_adds=multiply_adds,
        hub=f"timm/{name}.tv_in1k",
        top1=top1,
        # Nine tenths of VGG are a classifier, which is dropped: a slim one is built faster.
        create=partial(from_timm, name, num_classes=0, mlp_ratio=0.01),
    )


ARCHITECTURES = (
    _vgg("vgg11", 132_863_336, 7_609_000_000, 69.048),
    _vgg("vgg11_bn", 132_868_840, 7_609_000_000, 70.384),
    _vgg("vgg16", 138_357_544, 15_470_000_000, 71.600),
    _vgg("vgg16_bn", 138_365_992, 15_470_000_000, 73.356),
)
