"""Settings `finetune:` and `trainer:` of train.yaml."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, field_validator
from pytorch_lightning.accelerators import CUDAAccelerator, MPSAccelerator

from pipeline.plugins import Strict

MOST_WORKERS = 16


class Finetune(Strict):
    """Settings of fine-tuning; the defaults suit hundreds to thousands of images."""

    epochs: int = Field(20, ge=1, description="Number of times that every training image is shown.")
    batch_size: int = Field(32, ge=2, description="Images per step, over all devices together.")
    lr: float = Field(2e-4, gt=0, description="Learning rate of the coarsest level of the network.")
    head_lr: float = Field(1e-3, gt=0, description="Learning rate of the head.")
    layer_decay: float = Field(
        0.75,
        gt=0,
        le=1,
        description="Learning rate of each finer level, as a share of that of the next coarser "
        "one.",
    )
    warmup: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of all steps in which the learning rate rises; then it falls along a "
        "cosine.",
    )
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW; biases have none.")
    ema: float = Field(
        0.995,
        ge=0,
        lt=1,
        description="Decay of the running mean of the weights, which is validated and exported; "
        "0: the last weights themselves.",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of each target spread over all classes."
    )
    balance: Literal["none", "weights", "logits"] = Field(
        "none",
        description="For rare classes: weights: each class weighs the same in the loss; logits: "
        "logit adjustment (Menon et al., ICLR 2021).",
    )
    mixup: float = Field(0.0, ge=0, description="Alpha of mixup; 0: off.")
    cutmix: float = Field(
        0.0,
        ge=0,
        description="Alpha of CutMix; 0: off. With both, each step uses one of them at random.",
    )
    patience: int = Field(
        6,
        ge=0,
        description="Epochs without a better validation loss after which training stops; 0: it "
        "never stops early.",
    )
    freeze_bn_below: int = Field(
        10_000,
        ge=0,
        description="Number of training images below which batch norm of pretrained weights "
        "stays as it is.",
    )
    channels_last: bool = Field(
        True, description="Use the channels-last memory layout, which is faster on most devices."
    )
    compile: bool = Field(
        False,
        description="Use torch.compile: minutes at the start, then faster steps; for long "
        "trainings.",
    )
    progressive: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0,),
        min_length=1,
        description="Image sizes as shares of the full size, each for an equal span of the "
        "epochs; [0.5, 0.75, 1.0] makes the first epochs faster.",
    )
    max_grad_norm: float = Field(
        1.0,
        ge=0,
        description="Largest norm of the gradient; longer ones are clipped. 0: no clipping.",
    )

    def freezes_batch_norm(self, images: int, *, pretrained: bool) -> bool:
        """Does batch norm stay as it is with so many training images?"""
        return pretrained and images < self.freeze_bn_below

    @field_validator("progressive")
    @classmethod
    def _ends_at_full_size(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if shares[-1] != 1:
            raise ValueError("must end with 1.0, the size that the line will see")
        return shares


class TrainerSettings(Strict):
    """Where and how fine-tuning computes; all but `num_workers` go to Lightning's Trainer."""

    accelerator: str = Field(
        "auto", description="Device for fine-tuning: auto, cpu, gpu, cuda or mps."
    )
    devices: int | list[int] | Literal["auto"] = Field(
        "auto",
        description="Number of devices, or a list of their indices; auto: all GPUs, or one CPU "
        "process.",
    )
    num_nodes: int = Field(1, ge=1, description="Number of machines.")
    strategy: str = Field("auto", description="auto, ddp, or another of Lightning's strategies.")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: bf16-mixed on a GPU that has it, else 32-true."
    )
    num_workers: int | Literal["auto"] = Field(
        "auto",
        description="Processes that load images, for each device; auto: none on two cores.",
    )

    @field_validator("strategy")
    @classmethod
    def _starts_the_command_again(cls, given: str) -> str:
        if "spawn" in given or "fork" in given:
            raise ValueError(f"{given} is not supported; use ddp, or start it with torchrun")
        return given

    def for_lightning(self) -> dict[str, Any]:
        """Arguments of `pl.Trainer`, with every auto that Lightning would not resolve resolved."""
        devices, nodes = self.devices, self.num_nodes
        if devices == "auto" and (processes := os.environ.get("LOCAL_WORLD_SIZE")):
            devices = int(processes)  # torchrun has set how many
            nodes = int(os.environ.get("GROUP_WORLD_SIZE", nodes))
        return {
            "accelerator": self.accelerator,
            "devices": devices,
            "num_nodes": nodes,
            "strategy": self.strategy,
            "precision": self.resolved_precision(),
        }

    def resolved_precision(self) -> str:
        """The precision that Lightning is asked for."""
        if self.precision != "auto":
            return self.precision
        mixed = cuda(self) is not None and torch.cuda.is_bf16_supported()
        return "bf16-mixed" if mixed else "32-true"

    def workers(self) -> int:
        """Processes that load images, for each training process.

        With two cores they lose: 459 to 524 images/s without, 330 to 401 with two workers.
        """
        if self.num_workers != "auto":
            return self.num_workers
        cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        return 0 if cores <= 2 else min(cores - 1, MOST_WORKERS)


def cuda(trainer: TrainerSettings) -> torch.device | None:
    """The CUDA device of this process for what is computed beside fine-tuning, if there is one."""
    if not (on_gpu(trainer) and torch.cuda.is_available()):
        return None
    named = trainer.devices[0] if isinstance(trainer.devices, list) else 0
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", named)))


def on_gpu(trainer: TrainerSettings) -> bool:
    """Will fine-tuning compute on a GPU?"""
    if trainer.accelerator == "auto":
        return bool(CUDAAccelerator.is_available() or MPSAccelerator.is_available())
    return trainer.accelerator in ("gpu", "cuda", "mps")
