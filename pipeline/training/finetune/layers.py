"""What is trained, how fast, and what stays as it is: the same for every family of networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.training.features.extraction import Images
from pipeline.training.finetune.settings import Finetune
from pipeline.training.network import Features, Network

SETTLE_ON, SETTLE_BATCH = 256, 32  # images


def depths(features: Features, shape: tuple[int, int, int]) -> dict[str, int]:
    """For each parameter that the features depend on, how many levels lie above its own.

    A parameter belongs to the finest feature map that depends on it, found by asking autograd;
    0 is the coarsest level. Parameters that no map depends on, such as those of a classifier that
    is not used, are not named.

    Args:
        features: whose parameters.
        shape: of an image, H,W,C.
    """
    features.eval()  # lest batch norm learns from what is shown here
    names, parameters = zip(*features.named_parameters(), strict=True)
    wanted = [p.requires_grad for p in parameters]
    for parameter in parameters:
        parameter.requires_grad_(True)
    found: dict[str, int] = {}
    with torch.enable_grad():
        image = torch.zeros((1, *shape), dtype=torch.uint8, device=features.mean.device)
        maps = features.maps(image)
        for level, each in enumerate(maps):
            gradients = torch.autograd.grad(
                each.sum(), parameters, retain_graph=True, allow_unused=True
            )
            for name, gradient in zip(names, gradients, strict=True):
                if gradient is not None:
                    found.setdefault(name, len(maps) - 1 - level)
    for parameter, flag in zip(parameters, wanted, strict=True):
        parameter.requires_grad_(flag)
    return found


def settle_batch_norm(
    features: Features, images: Images, n: int, device: torch.device | None = None
) -> None:
    """Give batch norm that is to be trained the statistics of the images it will see.

    The head is fitted on features in evaluation mode. Were the statistics still those of random
    weights, or of other images, the first step would see quite different features.

    Args:
        features: of the network, changed in place.
        images: n training images by position, of which at most `SETTLE_ON` are looked at.
        n: how many there are.
        device: where to compute, if not on the CPU.
    """
    found = [m for m in features.modules() if isinstance(m, _BatchNorm)]
    if not found:
        return
    momenta = [m.momentum for m in found]
    rows = np.linspace(0, n - 1, min(n, SETTLE_ON)).astype(np.intp)
    for module in found:
        module.reset_running_stats()
        module.momentum = None  # the plain mean over all batches
        module.train()
    features.to(device or "cpu")
    with torch.no_grad():
        for part in np.array_split(rows, -(-len(rows) // SETTLE_BATCH)):
            features(torch.from_numpy(images.stack(part)).to(device or "cpu"))
    features.cpu()
    for module, momentum in zip(found, momenta, strict=True):
        module.momentum = momentum
        module.eval()


def prepare(network: Network, used: Mapping[str, int], *, freeze_batch_norm: bool) -> None:
    """Let gradients reach what is to be trained, and nothing else; set modes.

    A frozen batch norm keeps its statistics, its scale and its shift.
    """
    network.train()
    for name, parameter in network.features.named_parameters():
        parameter.requires_grad_(name in used)
    for module in network.modules():
        if isinstance(module, _BatchNorm) and freeze_batch_norm:
            module.eval().requires_grad_(False)


def groups(network: Network, above: Mapping[str, int], config: Finetune) -> list[dict[str, Any]]:
    """Parameter groups of the optimiser: each level its own learning rate, the head's first.

    Weights decay; biases and what normalises, all of them vectors, do not.

    Args:
        network: whose parameters, as `prepare` left them.
        above: levels above that of each parameter, as `depths` gives them.
        config: the rates.
    """
    sorted_out: dict[tuple[bool, int, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            level = above.get(name.removeprefix("features."), 0)
            key = (not name.startswith("head."), level, parameter.ndim > 1)
            sorted_out.setdefault(key, []).append(parameter)
    return [
        {
            "params": sorted_out[key],
            "lr": config.lr * config.layer_decay**level if in_backbone else config.head_lr,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for key in sorted(sorted_out)
        for in_backbone, level, decays in [key]
    ]
