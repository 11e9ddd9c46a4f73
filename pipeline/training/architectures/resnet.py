"""ResNet: He et al., Deep Residual Learning for Image Recognition, CVPR 2016.

The d variants (He et al., Bag of Tricks, CVPR 2019) have a stem of three small convolutions and
average before they stride.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.training.architectures import Architecture

if TYPE_CHECKING:
    from torch import Tensor


def _maps(net: Any, x: Tensor) -> list[Tensor]:
    x = net.maxpool(net.act1(net.bn1(net.conv1(x))))
    found = []
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        x = stage(x)
        found.append(x)
    return found


def _resnet(tag: str, parameters: int, multiply_adds: int, top1: float) -> Architecture:
    return Architecture(
        tag.split(".")[0],
        _maps,
        ("fc",),
        parameters=parameters,
        multiply_adds=multiply_adds,
        hub=f"timm/{tag}",
        top1=top1,
    )


ARCHITECTURES = (
    _resnet("resnet18.a1_in1k", 11_689_512, 1_814_000_000, 71.488),
    _resnet("resnet34.a1_in1k", 21_797_672, 3_664_000_000, 76.414),
    _resnet("resnet50.a1_in1k", 25_557_032, 4_089_000_000, 80.382),
    _resnet("resnet18d.ra2_in1k", 11_708_744, 2_054_000_000, 72.268),
    _resnet("resnet34d.ra2_in1k", 21_816_904, 3_903_000_000, 77.104),
    _resnet("resnet50d.ra2_in1k", 25_576_264, 4_329_000_000, 80.548),
)
