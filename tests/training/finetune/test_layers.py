"""What is trained and how fast, found out by asking autograd."""

from __future__ import annotations

import copy

import pytest
import torch

from pipeline.training import architectures
from pipeline.training.finetune import Finetune, settle_batch_norm
from pipeline.training.finetune.layers import depths, groups, prepare
from pipeline.training.network import Features, Network
from tests.training.finetune.conftest import SIZE_PX, examples, network

pytestmark = pytest.mark.slow

SHAPE = (SIZE_PX, SIZE_PX, 1)


def of(net: Network) -> Features:
    assert isinstance(net.features, Features)
    return net.features


def test_a_parameter_belongs_to_the_finest_map_that_depends_on_it() -> None:
    above = depths(of(network(examples())), SHAPE)
    levels = {name.split("levels.")[1][0]: n for name, n in above.items()}
    assert levels == {"0": 2, "1": 1, "2": 0}


def test_what_no_map_depends_on_is_not_trained() -> None:
    net = network(examples())
    prepare(net, depths(of(net), SHAPE), freeze_batch_norm=False)
    still = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert {name.split(".")[-2] for name in still} == {"classifier"}


def test_asking_leaves_the_network_as_it_was() -> None:
    net = network(examples())
    before = copy.deepcopy(net.state_dict())
    depths(of(net), SHAPE)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not any(p.requires_grad for p in net.features.parameters())


def test_finer_levels_and_the_head_have_rates_of_their_own_and_vectors_no_decay() -> None:
    net = network(examples())
    above = depths(of(net), SHAPE)
    prepare(net, above, freeze_batch_norm=False)
    config = Finetune(lr=1.0, head_lr=9.0, layer_decay=0.5, weight_decay=0.1)
    rates: dict[float, list[torch.nn.Parameter]] = {}
    for group in groups(net, above, config):
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] > 0}
        rates.setdefault(group["lr"], []).extend(group["params"])
    assert {rate: sum(p.ndim == 4 for p in params) for rate, params in rates.items()} == {
        9.0: 0,
        1.0: 1,
        0.5: 1,
        0.25: 1,
    }


def test_a_fixed_batch_norm_is_neither_trained_nor_counts_along() -> None:
    net = network(examples())
    prepare(net, depths(of(net), SHAPE), freeze_batch_norm=True)
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(m.training or m.weight.requires_grad for m in norms)


def test_settled_batch_norm_makes_features_alike_in_training_and_at_the_line() -> None:
    shown = examples()
    net = network(shown)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.fill_(5.0)  # type: ignore[union-attr]
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    images = torch.from_numpy(shown.images.stack(torch.arange(32).numpy()))
    settle_batch_norm(of(net), shown.images, 32)
    with torch.no_grad():
        still = net.features.eval()(images)
        moving = net.features.train()(images)
    torch.testing.assert_close(still, moving, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0"])
def test_the_stem_of_a_real_network_is_its_finest_level(name: str) -> None:
    backbone = architectures.build(name, "none", seed=0)
    above = depths(Features(backbone, (32, 32), (1.0,)), (32, 32, 3))
    stem = [n for key, n in above.items() if ".conv1.weight" in key or "conv_stem" in key]
    assert stem[0] == max(above.values()) > 2
    assert min(above.values()) == 0
