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
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear
from torch.utils.data import DataLoader

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.errors import TrainingError
from pipeline.inference.decide import defect_scores
from pipeline.inference.predictor import softmax
from pipeline.plugins import Strict
from pipeline.training.calibration import temperature
from pipeline.training.extraction import Floats
from pipeline.training.network import KernelHead, kernel

AT_ONCE = 2  # folds that are fitted at the same time; each holds its own copy of the features
Strength = Annotated[float, Field(gt=0)]


class Head(Strict):
    """Settings of the trained head."""

    components: int = Field(384, ge=2, description="Principal components kept of the features.")
    landmarks: int = Field(2048, ge=2, description="Training images that the kernel compares with.")
    kernel_width: float = Field(
        0.6, gt=0, description="1 / mean squared distance units; larger fits finer detail."
    )
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
        space = _Space.of(features[rows], config, seed)
        heads, _ = space.train(targets[image_of[rows]], config.strengths, config.max_epochs)
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
) -> tuple[KernelHead, list[float]]:
    """Train a head.

    Args:
        features: float32 N,D.
        targets: float32 N,K; rows sum to 1 (soft labels are welcome).
        config: settings.
        seed: of the components and the choice of landmarks.
        l2: the regularisation chosen of `config.strengths`; without, the first.
        logger: gets the loss of each epoch.

    Returns:
        The head, and the loss after each epoch.

    Raises:
        TrainingError: features that are not finite, or a loss that is not.
    """
    space = _Space.of(features, config, seed)
    strength = config.strengths[0] if l2 is None else l2
    (head,), history = space.train(targets, (strength,), config.max_epochs, logger)
    return head, history


@dataclass(frozen=True)
class _Space:
    """Features seen through the kernel: all that does not depend on targets and regularisation.

    Nystroem: with K_mm = L L', the features K_nm L'^-1 have the kernel as their inner product, so
    that plain L2 on the weights is the kernel's own regularisation.
    """

    projection: Tensor
    shift: Tensor
    landmarks: Tensor
    factor: Tensor
    x: Tensor

    @classmethod
    def of(cls, features: Floats, config: Head, seed: int) -> _Space:
        if not np.isfinite(features).all():
            bad = int((~np.isfinite(features)).any(axis=1).sum())
            raise TrainingError(f"the features of {bad} image(s) are not finite; training stopped")
        projection, shift = components(features, config, seed)
        embedding = torch.from_numpy(features) @ projection + shift
        rng = torch.Generator().manual_seed(seed)
        landmarks = embedding[torch.randperm(len(embedding), generator=rng)[: config.landmarks]]
        gram = kernel(landmarks.double(), landmarks.double())
        factor = torch.linalg.cholesky(gram + 1e-6 * torch.eye(len(gram), dtype=torch.float64))
        similarity = kernel(embedding, landmarks).double()
        x = torch.linalg.solve_triangular(factor.T, similarity, upper=True, left=False).float()
        return cls(projection, shift, landmarks, factor, x)

    def train(
        self,
        targets: Floats,
        strengths: Sequence[float],
        max_epochs: int,
        logger: Logger | Literal[False] = False,
    ) -> tuple[list[KernelHead], list[float]]:
        """A head for each strength, and the loss after each epoch."""
        model = logistic(self.x, torch.from_numpy(targets), strengths, max_epochs, logger)
        heads = []
        for weight, bias in zip(model.weight.detach(), model.bias.detach(), strict=True):
            solved = torch.linalg.solve_triangular(self.factor.T, weight.double().T, upper=True)
            heads.append(
                KernelHead(self.projection, self.shift, self.landmarks, solved.float(), bias)
            )
        return heads, model.history


def components(features: Floats, config: Head, seed: int) -> tuple[Tensor, Tensor]:
    """Standardise, keep principal components, scale by the kernel width: as one affine map.

    Args:
        features: float32 N,D.
        config: how many components, how wide.
        seed: of the randomised decomposition (Halko et al., SIAM Review 2011).

    Returns:
        Projection float32 D,P and shift float32 P: `embedding = features @ projection + shift`.
    """
    mean, std = features.mean(0), features.std(0)
    std[std < 1e-6] = np.inf  # a feature that never changes says nothing
    n = min(config.components, *features.shape)
    _, sizes, axes = randomized_svd((features - mean) / std, n, n_iter=1, random_state=seed)
    spread = float(np.square(sizes, dtype=np.float64).sum()) / max(1, len(features) - 1)
    scale = np.sqrt(config.kernel_width / max(spread, 1e-12))
    projection = axes.T.astype(np.float64) / std[:, None] * scale
    shift = -(mean @ projection)
    return torch.from_numpy(projection.astype(np.float32)), torch.from_numpy(
        shift.astype(np.float32)
    )


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
