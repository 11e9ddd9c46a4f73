"""Multinomial logistic regression on features of any space: the probe's heads are made of it."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.nn.functional import linear, log_softmax
from torch.utils.data import DataLoader

from pipeline.errors import TrainingError
from pipeline.inference.predictor import softmax
from pipeline.training import Floats

ITERATIONS = 10  # of L-BFGS in an epoch


def logits_of(head: nn.Module, features: Floats) -> Floats:
    """Logits float32 N,K from features float32 N,D."""
    with torch.inference_mode():
        logits: Floats = head(torch.from_numpy(features))[0].numpy()
    return logits


def predict(head: nn.Module, features: Floats) -> Floats:
    """Class probabilities float32 N,K from features float32 N,D."""
    return softmax(logits_of(head, features))


class Regressions(pl.LightningModule):
    """Multinomial logistic regressions side by side on the same `x`, full batch.

    Reading `x` is most of the work, and they read it together.

    Attributes:
        weight: float32 S,K,W, of S regressions, after training.
        bias: float32 S,K.
        history: the loss after each epoch.
    """

    def __init__(
        self, x: Tensor, targets: Tensor, strengths: Sequence[float], emphasis: Tensor | None = None
    ) -> None:
        """Begin with equal probabilities.

        Args:
            x: float32 N,W.
            targets: float32 N,K; rows sum to 1.
            strengths: of the L2 regularisation, one for each regression.
            emphasis: how much each row counts in each regression, float32 N,S, of mean 1.
        """
        super().__init__()
        n, classes = len(strengths), targets.shape[1]
        self._strengths = torch.tensor(strengths, dtype=torch.float32) / len(x)
        self._emphasis = torch.ones(len(x), n) if emphasis is None else emphasis
        # Of the loss's curvature in each direction: with it L-BFGS needs a fifth of the steps.
        curvature = x.square().mean(0) / 4 + self._strengths[:, None]
        self._unit = curvature.clamp_min(1e-12).rsqrt()[:, None]
        self._scaled = nn.Parameter(torch.zeros(n, classes, x.shape[1]))
        self.bias = nn.Parameter(torch.zeros(n, classes))
        self.history: list[float] = []

    @property
    def weight(self) -> Tensor:
        """Of `x` as it was given."""
        return self._scaled * self._unit

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        """The sum over all regressions."""
        n, classes = self.bias.shape
        weight = self.weight
        logits = linear(x, weight.flatten(0, 1), self.bias.flatten()).view(-1, n, classes)
        misfit = -(targets[:, None] * log_softmax(logits, 2)).sum(2)
        penalty = (self._strengths * weight.square().sum((1, 2))).sum() / 2
        return (misfit * self._emphasis).sum() / len(x) + penalty

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """Lightning calls it."""
        x, targets = batch
        loss = self.loss(x, targets)
        self.log("loss", loss / len(self.bias), prog_bar=True, batch_size=len(x))
        return loss

    def on_train_epoch_end(self) -> None:
        """Lightning calls it."""
        self.history.append(float(self.trainer.callback_metrics["loss"]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """L-BFGS with a line search."""
        return torch.optim.LBFGS(
            self.parameters(),
            max_iter=ITERATIONS,
            history_size=10,
            line_search_fn="strong_wolfe",
        )


def solve(
    x: Tensor,
    targets: Tensor,
    strengths: Sequence[float],
    max_epochs: int,
    emphasis: Tensor | None = None,
) -> Regressions:
    """Train regressions without a record; arguments as of `Regressions` and `logistic`."""
    model = Regressions(x, targets, strengths, emphasis)
    optimizer = model.configure_optimizers()

    def closure() -> Any:
        optimizer.zero_grad()
        loss = model.loss(x, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    for _ in range(max_epochs):
        model.history.append(float(cast(Tensor, optimizer.step(closure)).detach()))
    return _finite(model)


def logistic(
    x: Tensor,
    targets: Tensor,
    strengths: Sequence[float],
    max_epochs: int,
    logger: Logger | Literal[False] = False,
    emphasis: Tensor | None = None,
) -> Regressions:
    """Multinomial logistic regression of targets N,K on x N,W, both float32, for each strength.

    Raises:
        TrainingError: the loss is not finite.
    """
    model = Regressions(x, targets, strengths, emphasis)
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
    return _finite(model)


def _finite(model: Regressions) -> Regressions:
    if not np.isfinite(model.history).all():
        raise TrainingError(f"the loss became {model.history[-1]}; lower kernel_width or raise l2")
    return model
