"""The probe: a head trained on the features of a frozen network."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytorch_lightning as pl
import torch
from pydantic import Field
from pytorch_lightning.loggers import Logger
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear
from torch.utils.data import DataLoader

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.errors import TrainingError
from pipeline.inference.decide import defect_scores
from pipeline.inference.predictor import softmax
from pipeline.training.features.extraction import Floats
from pipeline.training.heads.calibration import temperature
from pipeline.training.heads.nystroem import Kernel, Recall, Space, forget
from pipeline.training.network import KernelHead

AT_ONCE = 2  # folds that are fitted at the same time; each holds its own copy of the features
Strength = Annotated[float, Field(gt=0)]


class Head(Kernel):
    """Settings of the trained head."""

    l2: Strength | Annotated[tuple[Strength, ...], Field(min_length=1)] = Field(
        (0.005, 0.015, 0.05),
        description="Regularisation; larger fits less. Of several, the one that says most of "
        "groups it has not seen; the first where ingest made no folds.",
    )
    max_epochs: int = Field(8, ge=1, description="Steps of L-BFGS, of 10 iterations each.")

    @property
    def strengths(self) -> tuple[float, ...]:
        """The values of `l2` to choose from."""
        return self.l2 if isinstance(self.l2, tuple) else (self.l2,)


def judge(head: nn.Module, features: Floats) -> Floats:
    """Logits float32 N,K from features float32 N,D."""
    with torch.inference_mode():
        logits: Floats = head(torch.from_numpy(features))[0].numpy()
    return logits


def predict(head: nn.Module, features: Floats) -> Floats:
    """Class probabilities float32 N,K from features float32 N,D."""
    return softmax(judge(head, features))


def worst_tiles(
    ids: npt.NDArray[Any], probabilities: Floats, taxonomy: Taxonomy
) -> npt.NDArray[np.intp]:
    """Which row of each part to believe: of several tiles the one with the highest defect score.

    The station's rule without limits, which are chosen by these scores.

    Args:
        ids: of the part that each row shows, N.
        probabilities: float32 N,K.
        taxonomy: says which of the K classes are bad.

    Returns:
        One position a part, in the order in which the parts come first.
    """
    bad = pd.Series(defect_scores(probabilities, taxonomy))
    return bad.groupby(ids, sort=False).idxmax().to_numpy()


@dataclass(frozen=True)
class Unseen:
    """What heads that never saw a part's fold, and so its group, say of it.

    Attributes:
        logits: float32 N,K of the parts as they are.
        l2: the regularisation that says most, of those offered.
        log_loss: of each offered at its best temperature, in nats a part.
    """

    logits: Floats
    l2: float
    log_loss: dict[float, float]


def out_of_fold(
    features: Floats,
    image_of: npt.NDArray[np.intp],
    targets: Floats,
    folds: npt.NDArray[np.intp],
    config: Head,
    seed: int,
    groups: Sequence[str] = (),
    kin: Sequence[frozenset[str]] = (),
    recall: Recall = forget,
) -> Unseen:
    """Judge every part by heads that do not know its group, and choose the regularisation so.

    Args:
        features: float32 F,D: the N parts as they are, then anything else.
        image_of: which image each row of features shows, F positions in `targets`.
        targets: float32 N+S,K, of the parts and of S synthetic images.
        folds: int N, 0 to k - 1, as `datasets.splits.assign_folds` gives them.
        config: settings of the head.
        seed: of each head.
        groups: of the N parts, where there are synthetic images.
        kin: for each of the S synthetic images the groups that it was made from; a head that may
            not know one of them does not see it.
        recall: keeps the space of each fold, which other settings of `l2` find there.

    Returns:
        The scores of the regularisation with the lowest log loss. Chosen by the same parts, they
        flatter a little: one number among a few, for thousands of parts.
    """
    n = len(folds)
    found = {l2: np.empty_like(targets[:n]) for l2 in config.strengths}

    def judge_fold(fold: int) -> None:
        known, unseen = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        held_out = {groups[int(i)] for i in unseen} if kin else set()
        made = [n + s for s, parents in enumerate(kin) if parents.isdisjoint(held_out)]
        rows = np.flatnonzero(np.isin(image_of, [*known, *made]))
        space = Space.of(features[rows], config, seed, recall)
        heads, _ = _heads(space, targets[image_of[rows]], config.strengths, config.max_epochs)
        for head, logits in zip(heads, found.values(), strict=True):
            logits[unseen] = judge(head, features[unseen])

    with _single_threaded(), ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(judge_fold, range(int(folds.max()) + 1)))
    truth = targets[:n]
    losses = {}
    for l2, logits in found.items():
        cooled = torch.from_numpy(logits / np.float32(temperature(logits, truth)))
        losses[l2] = float(cross_entropy(cooled, torch.from_numpy(truth)))
    best = min(losses, key=losses.__getitem__)
    return Unseen(found[best], best, losses)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Two fits with a thread each take less time than one after the other with two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


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
    config: Head,
    seed: int,
    l2: float | None = None,
    logger: Logger | Literal[False] = False,
    recall: Recall = forget,
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
    space = Space.of(features, config, seed, recall)
    strength = config.strengths[0] if l2 is None else l2
    (head,), history = _heads(space, targets, (strength,), config.max_epochs, logger)
    return head, history


def _heads(
    space: Space,
    targets: Floats,
    strengths: Sequence[float],
    max_epochs: int,
    logger: Logger | Literal[False] = False,
) -> tuple[list[KernelHead], list[float]]:
    """A head for each strength, and the loss after each epoch."""
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
