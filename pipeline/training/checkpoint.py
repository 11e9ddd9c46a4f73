"""Saves a trained network beside the bundle, and loads it into torch again.

`network.json` describes how it is built and `weights.safetensors` holds every number of it: nothing
is downloaded and nothing unpickled. The bundle's graph is what runs; this is for what a graph
cannot be asked, such as gradients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.files import read_model, write_model
from pipeline.plugins import Strict
from pipeline.training import architectures
from pipeline.training.head_modules import Head, KernelPart, LinearHead, MeanHead
from pipeline.training.network import Features, Network, Together
from pipeline.training.tile_pooling import TilePooling

BLUEPRINT = "network.json"
WEIGHTS = "weights.safetensors"
HEADS: dict[str, type[Head]] = {"linear": LinearHead, "mean": MeanHead}


class BackboneRecord(Strict):
    """One backbone, and the sizes at which it sees the image, as shares."""

    architecture: str
    scales: tuple[float, ...]


class PoolingRecord(Strict):
    """How the tiles of a part are pooled: the arguments of `TilePooling`."""

    k: int
    passing: tuple[bool, ...]
    temperature: float


class Blueprint(Strict):
    """How a network is built."""

    networks: tuple[BackboneRecord, ...]
    height_px: int
    width_px: int
    head: Literal["linear", "mean"]
    pooling: PoolingRecord | None = None


def keep(
    folder: Path,
    network: Network,
    backbones: Sequence[BackboneRecord],
    size_px: tuple[int, int],
    pooling: TilePooling | None = None,
) -> None:
    """Write a trained network: its blueprint and its weights.

    Args:
        folder: where to.
        network: trained.
        backbones: its backbones, in their order.
        size_px: (height, width) of prepared images.
        pooling: of the tiles of a part; None: the worst one decides.
    """
    height, width = size_px
    head: Any = next(name for name, kind in HEADS.items() if isinstance(network.head, kind))
    record = None
    if pooling is not None:
        factor = float(pooling.temperature)
        record = PoolingRecord(k=pooling.k, passing=pooling.passing, temperature=factor)
    blueprint = Blueprint(
        networks=tuple(backbones), height_px=height, width_px=width, head=head, pooling=record
    )
    write_model(folder / BLUEPRINT, blueprint)
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / WEIGHTS)


def rebuild(folder: Path) -> Network:
    """Read what `keep` wrote; the network is on the CPU, in evaluation mode.

    Raises:
        TrainingError: a file is missing, damaged or of another network.
    """
    try:
        blueprint = read_model(folder / BLUEPRINT, Blueprint)
        weights = load_file(folder / WEIGHTS)
        size_px = (blueprint.height_px, blueprint.width_px)
        parts = [
            Features(architectures.build(record.architecture, "none", 0), size_px, record.scales)
            for record in blueprint.networks
        ]
        head = _head(blueprint.head, weights)
        network = Network(parts[0] if len(parts) == 1 else Together(parts), head)
        network.load_state_dict(weights)
    except FileNotFoundError as error:
        raise TrainingError(
            f"{error.filename or folder / WEIGHTS} is missing; run `dvc repro`, which trains again"
        ) from None
    except (ValidationError, SafetensorError, RuntimeError, TypeError, KeyError) as error:
        first = " ".join(str(error).split())[:160]
        raise TrainingError(
            f"{folder / BLUEPRINT} and {WEIGHTS} do not make a network: {first}; run `dvc repro`, "
            "which trains again"
        ) from error
    return network.eval().requires_grad_(False)


def pooling_of(folder: Path) -> TilePooling | None:
    """How a network that `rebuild` can read pools the tiles of a part; None: not at all."""
    record = read_model(folder / BLUEPRINT, Blueprint).pooling
    return None if record is None else TilePooling(record.k, record.passing, record.temperature)


def _head(kind: str, weights: Mapping[str, Tensor]) -> Head:
    names = ("projection", "shift", "weight", "bias")
    given: list[Any] = [weights[f"head.{n}"] for n in names]
    if kind == "mean":
        parts = ("scale", "landmarks", "weight")
        n = sum(name.startswith("head.kernels.") for name in weights) // len(parts)
        of = [[weights[f"head.kernels.{i}.{part}"] for part in parts] for i in range(n)]
        given.append([KernelPart(*tensors) for tensors in of])
    return HEADS[kind](*given)
