"""Settings of `conf/<recipe>/train.yaml`."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator

from pipeline.training import finetune as finetuning
from pipeline.training.distillation import Distill
from pipeline.training.features.backbones import BackboneSpec
from pipeline.training.finetune import Finetune, TrainerSettings
from pipeline.training.heads.settings import HeadSettings
from pipeline.training.normal.settings import NormalSettings


class Settings(BackboneSpec):
    """`conf/<recipe>/train.yaml`."""

    beside: tuple[BackboneSpec, ...] = Field(
        (),
        description="Further networks whose features are appended to the first's; for method "
        "probe only.",
    )
    method: Literal["probe", "finetune", "normal", "auto"] = Field(
        "probe",
        description="probe: backbone features and a trained head; seconds on a CPU. finetune: "
        "the whole network, starting from that head; for a GPU or a patient CPU. normal: what good "
        "parts look like, for lines that know no bad one. auto: normal while too few bad parts are "
        "known; then probe on a CPU; on a GPU both, and the one that is better on validation "
        "parts.",
    )
    views: int = Field(
        1,
        ge=0,
        le=16,
        description="Augmented views of each training image; 0: only the images themselves.",
    )
    soft_labels: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Weight of the annotators' belief against the hard label, 0 to 1; 0: hard "
        "labels only.",
    )
    head: HeadSettings = Field(
        default_factory=HeadSettings, description="Settings of the trained head."
    )
    normal: NormalSettings = Field(
        default_factory=NormalSettings, description="Settings of the model of good parts."
    )
    finetune: Finetune = Field(default_factory=Finetune, description="Settings of fine-tuning.")
    trainer: TrainerSettings = Field(
        default_factory=TrainerSettings,
        description="Device, processes and precision of fine-tuning.",
    )
    pooling: Literal["auto", "worst", "noisy_or", "top_k"] = Field(
        "auto",
        description="How the tiles of a part (spec.tiles in preprocess.yaml) judge it where no "
        "mask or box labels them. worst: each bears the part's label, and the worst one decides. "
        "noisy_or: trained so that a part is bad if any tile is. top_k: trained by the mean of "
        "the k worst, k chosen out of fold. auto: the best of all out of fold.",
    )
    distill: Distill | None = Field(
        None, description="Learn from the answers of a larger network too; none: from labels only."
    )
    trials: bool = Field(
        True,
        description="Where three pixels of a picture or more become one, try larger inputs on 300 "
        "training images, for a remark in the report.",
    )
    tracking: bool = Field(True, description="Log the training to MLflow while it runs.")
    seed: int = Field(
        0, ge=0, description="Seed; the same seed gives the same weights on the same machine."
    )

    @property
    def networks(self) -> tuple[BackboneSpec, ...]:
        """All of them, the first one first."""
        return (self, *self.beside)

    @property
    def fine_tunes(self) -> bool:
        """Does the method fine-tune on this machine?"""
        wanted = self.method == "auto" and finetuning.on_gpu(self.trainer)
        return wanted or self.method == "finetune"

    @property
    def good_only(self) -> bool:
        """Are good parts enough for the method?"""
        return self.method in ("normal", "auto")

    @property
    def pretrained(self) -> bool:
        """Does the first backbone start from weights that are worth keeping?"""
        return self.weights != "none"

    @property
    def features_device(self) -> torch.device | None:
        """The GPU that computes features; None: the CPU, through ONNX Runtime.

        A machine that fine-tunes on a GPU does not make it wait for features from a CPU.
        """
        return finetuning.cuda(self.trainer) if self.fine_tunes else None

    @model_validator(mode="after")
    def _one_network_is_tuned(self) -> Settings:
        if self.beside and self.method != "probe":
            raise ValueError(f"beside goes with method probe; {self.method} trains one network")
        return self
