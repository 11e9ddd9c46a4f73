"""MobileNet v1 (Howard et al., 2017), v2 (Sandler et al., CVPR 2018), v3 (Howard et al., ICCV 2019)
and v4's convolutional form (Qin et al., ECCV 2024).
"""

from __future__ import annotations

from functools import partial

from pipeline.training.architectures import UNIT_MEAN, UNIT_STD, Architecture
from pipeline.training.architectures.efficientnet import HEAD, maps

_mobilenet = partial(Architecture, maps=maps, head=HEAD)
_late_head = partial(Architecture, maps=maps, head=("conv_head", "norm_head", "classifier"))

ARCHITECTURES = (
    _mobilenet(
        "mobilenetv1_100",
        parameters=4_231_976,
        multiply_adds=569_000_000,
        hub="timm/mobilenetv1_100.ra4_e3600_r224_in1k",
        top1=75.384,
        mean=UNIT_MEAN,
        std=UNIT_STD,
    ),
    _mobilenet(
        "mobilenetv2_100",
        parameters=3_504_872,
        multiply_adds=301_000_000,
        hub="timm/mobilenetv2_100.ra_in1k",
        top1=72.936,
    ),
    _late_head(
        "mobilenetv3_small_100",
        parameters=2_542_856,
        multiply_adds=57_000_000,
        hub="timm/mobilenetv3_small_100.lamb_in1k",
        top1=67.638,
    ),
    _late_head(
        "mobilenetv3_large_100",
        parameters=5_483_032,
        multiply_adds=217_000_000,
        hub="timm/mobilenetv3_large_100.ra_in1k",
        top1=75.786,
    ),
    _late_head(
        "mobilenetv4_conv_small",
        parameters=3_774_024,
        multiply_adds=186_000_000,
        hub="timm/mobilenetv4_conv_small.e2400_r224_in1k",
        top1=73.730,
    ),
    _late_head(
        "mobilenetv4_conv_medium",
        parameters=9_715_512,
        multiply_adds=1_080_000_000,
        hub="timm/mobilenetv4_conv_medium.e500_r256_in1k",
        top1=79.922,
        input_px=256,
    ),
    _late_head(
        "mobilenetv4_conv_large",
        parameters=32_590_864,
        multiply_adds=6_376_000_000,
        hub="timm/mobilenetv4_conv_large.e600_r384_in1k",
        top1=82.974,
        input_px=384,
    ),
)
