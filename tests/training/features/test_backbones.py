"""The frozen backbones that a recipe asks for."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from pipeline.errors import TrainingError
from pipeline.training.features.backbones import BackboneSpec, build

LENET = BackboneSpec(architecture="lenet5", weights="none")
ALEXNET = BackboneSpec(architecture="alexnet", weights="none", scales=(1.0, 1.5))


def test_an_unknown_network_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValidationError, match='unknown; did you mean "resnet18"'):
        BackboneSpec(architecture="resnet-18")


def test_features_of_several_networks_stand_side_by_side() -> None:
    size_px, image = (64, 64), torch.zeros((2, 64, 64, 3), dtype=torch.uint8)
    one, other = (build([spec], size_px, seed=0) for spec in (LENET, ALEXNET))
    both = build([LENET, ALEXNET], size_px, seed=0)
    widths = [b.features(image).shape[1] for b in (one, other, both)]
    assert widths[2] == widths[0] + widths[1]
    assert both.names == "lenet5 + alexnet"
    assert both.weights == "none (random, seed 0)"
    assert both.specs == (LENET, ALEXNET)


def test_images_too_small_at_the_smallest_size_are_refused() -> None:
    build([ALEXNET], (64, 64), seed=0)
    with pytest.raises(TrainingError, match="alexnet"):
        build([ALEXNET], (64, 64), seed=0, smallest=0.25)


def test_the_same_seed_gives_the_same_random_weights() -> None:
    states = [build([LENET], (32, 32), seed=s).features.state_dict() for s in (1, 1, 2)]
    same = [all(torch.equal(states[0][k], other[k]) for k in states[0]) for other in states[1:]]
    assert same == [True, False]
