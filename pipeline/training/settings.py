"""What `conf/<recipe>/train.yaml` may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.errors import choices
from pipeline.plugins import Strict
from pipeline.training import architectures
from pipeline.training.distillation import Distill
from pipeline.training.finetune import Finetune, TrainerSettings
from pipeline.training.heads import logistic

WEIGHTS = "^(auto|packaged|hub|none|file:.+)$"
Scale = Annotated[float, Field(gt=0, le=4)]


class Seen(Strict):
    """One network, and how it sees the image."""

    architecture: str = Field(
        "tf_efficientnet_lite0", description="A network; `lineside architectures` lists them."
    )
    weights: str = Field(
        "auto",
        pattern=WEIGHTS,
        description="auto: those a package ships, else the hub; packaged, hub or file:PATH: those "
        "and no others; none: a random start.",
    )
    scales: tuple[Scale, ...] = Field(
        (1.0,), min_length=1, description="Sizes at which it sees the image, as shares."
    )

    @field_validator("architecture")
    @classmethod
    def _is_known(cls, name: str) -> str:
        known = architectures.architectures()
        if name not in known:
            raise ValueError(f"unknown; {choices(name, known)}")
        return name


class Settings(Seen):
    """`conf/<recipe>/train.yaml`."""

    beside: tuple[Seen, ...] = Field(
        (), description="Further networks whose features stand beside the first's; probe only."
    )
    method: Literal["probe", "finetune", "auto"] = Field(
        "probe",
        description="probe: frozen features and a trained head; seconds on a CPU. finetune: the "
        "whole network, from that head on; for a GPU or a patient CPU. auto: probe on a CPU, on a "
        "GPU both, and what is better on validation parts.",
    )
    views: int = Field(1, ge=0, le=16, description="Augmented views of each training image.")
    soft_labels: float = Field(
        0.0, ge=0, le=1, description="Weight of the annotators' belief against the hard label."
    )
    head: logistic.Head = Field(default_factory=logistic.Head, description="The trained head.")
    finetune: Finetune = Field(default_factory=Finetune, description="Fine-tuning.")
    trainer: TrainerSettings = Field(
        default_factory=TrainerSettings, description="Where and how fine-tuning computes."
    )
    distill: Distill | None = Field(None, description="Learn from a larger network's answers too.")
    tracking: bool = Field(True, description="Log the training to MLflow while it goes on.")
    seed: int = Field(0, ge=0, description="The same seed gives the same weights.")

    @property
    def networks(self) -> tuple[Seen, ...]:
        """All of them, the first one first."""
        return (self, *self.beside)

    @model_validator(mode="after")
    def _one_network_is_tuned(self) -> Settings:
        if self.beside and self.method != "probe":
            raise ValueError(f"beside goes with method probe; {self.method} trains one network")
        return self
