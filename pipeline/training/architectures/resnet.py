"""ResNet: He et al., Deep Residual Learning for Image Recognition, CVPR 2016."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pipeline.training.architectures import Architecture


def _maps(net: Any, x: Tensor) -> list[Tensor]:
    x = net.maxpool(net.act1(net.bn1(net.conv1(x))))
    found = []
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        x = stage(x)
        found.append(x)
    return found


ARCHITECTURES = (Architecture("resnet18", _maps),)
