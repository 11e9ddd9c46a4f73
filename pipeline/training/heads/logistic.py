"""Multinomial logistic regression on features, in a Nystroem space: the probe's head."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from pydantic import Field
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear
from torch.utils.data import DataLoader

from pipeline.errors import TrainingError
from pipeline.inference.predictor import softmax
from pipeline.training import Floats
from pipeline.training.features.cache import Recall, compute_again
from pipeline.training.head_modules import KernelHead
from pipeline.training.heads.nystroem import KernelSettings, NystroemSpace

Strength = Annotated[float, Field(gt=0)]


class HeadSettings(KernelSettings):
    """Settings of the trained head."""

    l2: Strength | Annotated[tuple[Strength, ...], Field(min_length=1)] = Field(
        (0.005, 0.015, 0.05),
        description="Strength of the L2 regularisation; a larger one fits less closely. Of "
        "several, the one with the least out-of-fold log loss is chosen; the first where ingest "
        "made no folds.",
    )
    max_epochs: int = Field(8, ge=1, description="Epochs of L-BFGS, of 10 iterations each.")

    @property
    def strengths(self) -> tuple[float, ...]:
        """The values of `l2` to choose from."""
        return self.l2 if isinstance(self.l2, tuple) else (self.l2,)


def logits_of(head: nn.Module, features: Floats) -> Floats:
    """Logits float32 N,K from features float32 N,D."""
    with torch.inference_mode():
        logits: Floats = head(torch.from_numpy(features))[0].numpy()
    return logits


def predict(head: nn.Module, features: Floats) -> Floats:
    """Class probabilities float32 N,K from features float32 N,D."""
    return softmax(logits_of(head, features))


class _HeadTraining(pl.LightningModule):
    """Multinomial logistic regressions of several strengths side by side, full batch.

    Reading `x` is most of the work, and they read it together.
    """

    def __init__(self, width: int, classes: int, strengths: Sequence[float]) -> None:
        super().__init__()
        n = len(strengths)
        self.weight = nn.Parameter(torch.zeros(n, classes, width))
        self.bias = nn.Parameter(torch.zeros(n, classes))
        self._strengths = torch.tensor(strengths)
        self.history: list[float] = []

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        x, target = batch
        n, classes = self.bias.shape
        logits = linear(x, self.weight.flatten(0, 1), self.bias.flatten())
        one_by_one = logits.view(-1, classes)  # rows: image, then strength
        misfit = cross_entropy(one_by_one, target.repeat_interleave(n, 0)) * n
        penalty = (self._strengths * self.weight.square().sum((1, 2))).sum() / (2 * len(x))
        loss = misfit + penalty
        self.log("loss", loss / n, prog_bar=True, batch_size=len(x))
        return loss

    def on_train_epoch_end(self) -> None:
        self.history.append(float(self.trainer.callback_metrics["loss"]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(
            self.parameters(), max_iter=10, history_size=10, line_search_fn="strong_wolfe"
        )


def fit(
    features: Floats,
    targets: Floats,
    config: HeadSettings,
    seed: int,
    l2: float | None = None,
    logger: Logger | Literal[False] = False,
    recall: Recall = compute_again,
) -> tuple[KernelHead, list[float]]:
    """Train a head.

    Args:
        features: float32 N,D.
        targets: float32 N,K; rows sum to 1 (soft labels are welcome).
        config: settings.
        seed: of the components and the choice of landmarks.
        l2: the regularisation chosen of `config.strengths`; without, the first.
        logger: gets the loss of each epoch.
        recall: keeps the kernel's space.

    Returns:
        The head, and the loss after each epoch.

    Raises:
        TrainingError: features that are not finite, or a loss that is not.
    """
    space = NystroemSpace.of(features, config, seed, recall)
    strength = config.strengths[0] if l2 is None else l2
    (head,), history = heads_in(space, targets, (strength,), config.max_epochs, logger)
    return head, history


def heads_in(
    space: NystroemSpace,
    targets: Floats,
    strengths: Sequence[float],
    max_epochs: int,
    logger: Logger | Literal[False] = False,
) -> tuple[list[KernelHead], list[float]]:
    """A head for each strength, fitted in one space, and the loss after each epoch."""
    model = logistic(space.x, torch.from_numpy(targets), strengths, max_epochs, logger)
    heads = []
    for weight, bias in zip(model.weight.detach(), model.bias.detach(), strict=True):
        solved = torch.linalg.solve_triangular(space.factor.T, weight.double().T, upper=True)
        heads.append(
            KernelHead(space.projection, space.shift, space.landmarks, solved.float(), bias)
        )
    return heads, model.history


def logistic(
    x: Tensor,
    targets: Tensor,
    strengths: Sequence[float],
    max_epochs: int,
    logger: Logger | Literal[False] = False,
) -> _HeadTraining:
    """Multinomial logistic regression of targets N,K on x N,W, both float32, for each strength.

    Raises:
        TrainingError: the loss is not finite.
    """
    model = _HeadTraining(x.shape[1], targets.shape[1], strengths)
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=max_epochs,
            logger=logger,
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
            deterministic=True,
        )
        whole: Any = [(x, targets)]
        loader: Any = DataLoader(whole, batch_size=None)
        trainer.fit(model, loader)
    if not np.isfinite(model.history).all():
        raise TrainingError(f"the loss became {model.history[-1]}; lower kernel_width or raise l2")
    return model
