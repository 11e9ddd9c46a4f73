"""What an entry says of its network is so, and every network gives what a head is trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.errors import TrainingError
from pipeline.training.architectures import (
    Architecture,
    Backbone,
    architectures,
    build,
    by_cost,
    find,
    require_size,
)

NAMES = [a.name for a in by_cost()]
OF_TIMM = [a.name for a in by_cost() if a.hub and a.hub.startswith("timm/")]
OF_TORCHVISION = [a.name for a in by_cost() if a.hub and a.hub.startswith("torchvision/")]


@pytest.fixture(scope="module", params=NAMES)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    """Each network without memory or time: the next module's tests run all for real."""
    with torch.device("meta"):
        return build(request.param, "none", seed=0)


def maps_of(backbone: Backbone, side_px: int) -> list[Tensor]:
    return backbone.architecture.maps(
        backbone.module, torch.zeros(1, 3, side_px, side_px, device="meta")
    )


def published(architecture: Architecture) -> nn.Module:
    """The whole network as its library builds it."""
    with torch.device("meta"):
        if architecture.name in OF_TIMM:
            net: nn.Module = timm.create_model(str(architecture.hub).removeprefix("timm/"))
        elif architecture.name in OF_TORCHVISION:
            extra: Any = {"aux_logits": False} if architecture.name == "googlenet" else {}
            net = torchvision.models.get_model(architecture.name, **extra)
        else:
            assert architecture.create is not None
            net = architecture.create()
    return net.eval()


def test_every_family_of_the_field_is_there() -> None:
    families = {name.removeprefix("tf_").split("_")[0] for name in architectures()}
    assert families == {
        *("lenet5", "alexnet", "vgg11", "vgg16", "googlenet", "inception"),
        *("resnet18", "resnet34", "resnet50", "resnet18d", "resnet34d", "resnet50d"),
        *("mobilenetv1", "mobilenetv2", "mobilenetv3", "mobilenetv4"),
        *("efficientnet", "efficientnetv2"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_multiply_adds_are_those_of_the_published_network(name: str) -> None:
    said = find(name)
    net = published(said)
    assert sum(p.numel() for p in net.parameters()) == said.parameters
    with FlopCounterMode(display=False) as counted:
        net(torch.zeros(1, 3, said.input_px, said.input_px, device="meta"))
    assert counted.get_total_flops() / 2 == pytest.approx(said.multiply_adds, rel=0.01)


@pytest.mark.parametrize("name", OF_TIMM)
def test_size_and_normalisation_are_those_that_timm_trained_with(name: str) -> None:
    said, tag = find(name), str(find(name).hub).removeprefix("timm/")
    timms: Any = timm.models.get_pretrained_cfg(tag)
    assert timms.input_size == (3, said.input_px, said.input_px)
    # Google's Lite networks were trained with (x - 127) / 128, which timm rounds to 127.5.
    assert said.mean == pytest.approx([255 * m for m in timms.mean], abs=0.51)
    assert said.std == pytest.approx([255 * s for s in timms.std], abs=0.51)


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_accuracy_is_that_of_torchvisions_weights(name: str) -> None:
    weights = torchvision.models.get_weight(str(find(name).hub).removeprefix("torchvision/"))
    assert find(name).top1 == weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]


@pytest.mark.parametrize("name", [a.name for a in by_cost() if not a.hub])
def test_a_network_without_published_weights_claims_no_accuracy(name: str) -> None:
    assert find(name).top1 is None
    assert find(name).top1_source is None


def test_maps_at_the_smallest_size_exist_and_fall_in_size(backbone: Backbone) -> None:
    areas = [m.shape[2] * m.shape[3] for m in maps_of(backbone, backbone.architecture.min_px)]
    assert areas == sorted(areas, reverse=True)
    assert len(set(areas)) >= 3
    assert areas[-1] >= 1


def test_one_pixel_less_than_the_smallest_size_is_refused(backbone: Backbone) -> None:
    side = backbone.architecture.min_px
    require_size(backbone.architecture, (side, side))
    with pytest.raises(TrainingError, match=f"at least {side} px a side"):
        require_size(backbone.architecture, (side, side - 1))


def test_every_weight_takes_part_in_the_maps(backbone: Backbone) -> None:
    # A classifier that is kept unused would be exported in weights.safetensors, and would stop
    # training on several devices.
    backbone.module.requires_grad_(True)
    maps = maps_of(backbone, backbone.architecture.min_px)
    names, weights = zip(*backbone.module.named_parameters(), strict=True)
    total = torch.stack([m.sum() for m in maps]).sum()
    gradients = torch.autograd.grad(total, weights, allow_unused=True)
    assert [name for name, g in zip(names, gradients, strict=True) if g is None] == []


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("tf_efficientnet_lite0", [24, 40, 80, 112, 192, 320]),
        ("efficientnet_b0", [24, 40, 80, 112, 192, 320]),
        ("resnet18", [64, 128, 256, 512]),
    ],
)
def test_the_levels_that_accuracy_was_measured_with_stay(name: str, channels: list[int]) -> None:
    with torch.device("meta"):
        built = build(name, "none", seed=0)
    assert [m.shape[1] for m in maps_of(built, 64)] == channels


def test_too_small_an_image_names_the_size_the_limit_and_the_networks_that_take_it() -> None:
    with pytest.raises(TrainingError) as refused:
        require_size(find("inception_v3"), (40, 64))
    assert str(refused.value) == (
        "images of 64 x 40 px (width x height) are too small for inception_v3, which needs at "
        "least 75 px a side; raise width_px and height_px in preprocess.yaml or the smallest of "
        "scales in train.yaml, or choose a network that takes it: lenet5, mobilenetv3_small_100, "
        "mobilenetv4_conv_small, mobilenetv3_large_100, mobilenetv2_100 and "
        f"{len(NAMES) - 6} more (lineside architectures)"
    )


def test_an_image_that_no_network_takes_is_sent_back_without_a_choice() -> None:
    with pytest.raises(TrainingError, match=r"needs at least 32 px .* of scales in train\.yaml$"):
        require_size(find("resnet18"), (8, 8))


@pytest.mark.parametrize(
    ("multiply_adds", "budget"),
    [
        (999_999_999, "edge"),
        (1_000_000_000, "line PC"),
        (5_999_999_999, "line PC"),
        (6_000_000_000, "server"),
    ],
)
def test_the_budget_follows_from_the_multiply_adds(multiply_adds: int, budget: str) -> None:
    assert replace(find("resnet18"), multiply_adds=multiply_adds).budget == budget
