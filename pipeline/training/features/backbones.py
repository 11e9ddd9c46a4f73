"""The frozen backbones: their settings, and one torch module of all their features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, field_validator

from pipeline.errors import choices
from pipeline.plugins import Strict
from pipeline.training import architectures
from pipeline.training.architectures import Backbone
from pipeline.training.network import Features, Together

WEIGHTS = "^(auto|packaged|hub|none|file:.+)$"
Scale = Annotated[float, Field(gt=0, le=4)]


class BackboneSpec(Strict):
    """One backbone: which network, whose weights, and the sizes at which it sees the image."""

    architecture: str = Field(
        "tf_efficientnet_lite0",
        description="Name of the network; `lineside architectures` lists them.",
    )
    weights: str = Field(
        "auto",
        pattern=WEIGHTS,
        description="auto: weights that a package ships, else those of the hub; packaged, hub "
        "or file:PATH: only from there; none: random weights.",
    )
    scales: tuple[Scale, ...] = Field(
        (1.0,),
        min_length=1,
        description="Image sizes at which features are computed, as shares of the prepared size.",
    )

    @field_validator("architecture")
    @classmethod
    def _is_known(cls, name: str) -> str:
        known = architectures.architectures()
        if name not in known:
            raise ValueError(f"unknown; {choices(name, known)}")
        return name


@dataclass(frozen=True)
class Backbones:
    """Backbones side by side.

    Attributes:
        specs: as asked for, in their order.
        built: the networks with their weights.
        features: one module of all their features.
    """

    specs: tuple[BackboneSpec, ...]
    built: list[Backbone]
    features: Features | Together

    @property
    def names(self) -> str:
        """Names of the networks."""
        return " + ".join(b.architecture.name for b in self.built)

    @property
    def weights(self) -> str:
        """Where their weights come from."""
        return " + ".join(dict.fromkeys(b.weights for b in self.built))


def build(
    specs: Sequence[BackboneSpec], size_px: tuple[int, int], seed: int, smallest: float = 1.0
) -> Backbones:
    """Build the networks.

    Args:
        specs: at least one.
        size_px: (height, width) of prepared images.
        seed: of weights that start at random.
        smallest: the smallest share of that size that training shows them.

    Raises:
        TrainingError: no such architecture or weights, or images too small for it.
    """
    built, parts = [], []
    for spec in specs:
        share = min(spec.scales) * smallest
        height, width = (round(side * share) for side in size_px)
        architectures.require_size(architectures.find(spec.architecture), (height, width))
        backbone = architectures.build(spec.architecture, spec.weights, seed)
        built.append(backbone)
        parts.append(Features(backbone, size_px, spec.scales))
    return Backbones(tuple(specs), built, parts[0] if len(parts) == 1 else Together(parts))
