"""The CNN families; one file a family, each listing its `ARCHITECTURES`.

A family file says how its networks are built, where they keep their feature maps and which
weights a package ships; nothing else in Lineside knows one network from another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import timm
import torch
from torch import Tensor, nn

from pipeline.errors import TrainingError, choices
from pipeline.plugins import Plugin

FAMILIES = Plugin(__name__)
StateDict = dict[str, Tensor]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Architecture:
    """One network.

    Attributes:
        name: what `architecture:` selects in train.yaml; timm's name of the model.
        maps: the feature maps of a batch (float N,3,H,W), from fine to coarse.
        mean, std: normalisation of pixels 0 to 255, in RGB order.
        packaged: ImageNet weights from an installed package, where one ships them.
    """

    name: str
    maps: Callable[[nn.Module, Tensor], list[Tensor]]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    packaged: Callable[[nn.Module], StateDict] | None = field(default=None)


def architectures() -> dict[str, Architecture]:
    """All networks by name."""
    families = (FAMILIES.module(name) for name in FAMILIES.names())
    return {a.name: a for family in families for a in family.ARCHITECTURES}


def find(name: str) -> Architecture:
    """The network of that name.

    Raises:
        TrainingError: there is none; the nearest names are listed.
    """
    known = architectures()
    if name not in known:
        raise TrainingError(f'architecture "{name}" unknown; {choices(name, known)}')
    return known[name]


@dataclass(frozen=True)
class Backbone:
    """A network ready to give features, and where its weights come from."""

    architecture: Architecture
    module: nn.Module
    weights: str


def build(name: str, weights: str, seed: int) -> Backbone:
    """Build a network in evaluation mode.

    Args:
        name: an architecture.
        weights: packaged, hub, none (random), or auto: packaged where there are any, else hub.
        seed: of random weights.

    Raises:
        TrainingError: no such architecture, or its weights cannot be had.
        MissingExtra: the package with the weights is not installed.
    """
    architecture = find(name)
    torch.manual_seed(seed)
    if weights == "auto":
        weights = "hub" if architecture.packaged is None else "packaged"
    module = _from_hub(name) if weights == "hub" else timm.create_model(name, pretrained=False)
    if weights == "packaged":
        if architecture.packaged is None:
            shipped = [n for n, a in architectures().items() if a.packaged is not None]
            raise TrainingError(
                f"no package ships weights of {name}; set weights to hub or none, "
                f"or choose an architecture that has them: {', '.join(shipped)}"
            )
        module.load_state_dict(architecture.packaged(module))
    return Backbone(architecture, module.eval().requires_grad_(False), weights)


def _from_hub(name: str) -> nn.Module:
    try:
        module: nn.Module = timm.create_model(name, pretrained=True)
    except Exception as error:  # the hub client raises whatever its HTTP library does
        shipped = [n for n, a in architectures().items() if a.packaged is not None]
        raise TrainingError(
            f"the weights of {name} cannot be fetched from the hub "
            f"({type(error).__name__}); connect this machine, or set in train.yaml "
            f"weights: none (a random start), or an architecture whose weights come as a "
            f"package: {', '.join(shipped)}"
        ) from error
    return module
