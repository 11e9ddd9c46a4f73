"""GoogLeNet (Szegedy et al., CVPR 2015) and Inception-v3 (Szegedy et al., CVPR 2016)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pipeline.training.architectures import (
    UNIT_MEAN,
    UNIT_STD,
    Architecture,
    from_torchvision,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

GOOGLENET = (
    ("conv1",),
    ("maxpool1", "conv2", "conv3"),
    ("maxpool2", "inception3a", "inception3b"),
    ("maxpool3", *(f"inception4{block}" for block in "abcde")),
    ("maxpool4", "inception5a", "inception5b"),
)
INCEPTION_V3 = (
    ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"),
    ("Pool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3"),
    ("Pool2", "Mixed_5b", "Mixed_5c", "Mixed_5d"),
    tuple(f"Mixed_6{block}" for block in "abcde"),
    ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
)


def _maps(levels: tuple[tuple[str, ...], ...], net: nn.Module, x: Tensor) -> list[Tensor]:
    found = []
    for level in levels:
        for name in level:
            x = getattr(net, name)(x)
        found.append(x)
    return found


ARCHITECTURES = (
    Architecture(
        "googlenet",
        partial(_maps, GOOGLENET),
        ("aux1", "aux2", "fc"),
        parameters=6_624_904,
        multiply_adds=1_498_000_000,
        hub="torchvision/GoogLeNet_Weights.IMAGENET1K_V1",
        top1=69.778,
        # torchvision's transform_input, which undoes ImageNet's normalisation for these weights,
        # is left off: they are given what it makes.
        mean=UNIT_MEAN,
        std=UNIT_STD,
        create=partial(from_torchvision, "googlenet", aux_logits=False, init_weights=True),
    ),
    Architecture(
        "inception_v3",
        partial(_maps, INCEPTION_V3),
        ("AuxLogits", "fc"),
        parameters=23_834_568,
        multiply_adds=5_713_000_000,
        hub="timm/inception_v3.tv_in1k",
        top1=77.474,
        input_px=299,
        min_px=75,
        mean=UNIT_MEAN,
        std=UNIT_STD,
    ),
)
