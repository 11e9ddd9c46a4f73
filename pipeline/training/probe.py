"""The probe: a head trained on the features of a frozen network."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytorch_lightning as pl
import torch
from pydantic import Field
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.errors import TrainingError
from pipeline.inference.decide import defect_scores
from pipeline.inference.predictor import softmax
from pipeline.plugins import Strict
from pipeline.training.extraction import Floats
from pipeline.training.network import KernelHead, kernel


class Head(Strict):
    """Settings of the trained head."""

    components: int = Field(384, ge=2, description="Principal components kept of the features.")
    landmarks: int = Field(2048, ge=2, description="Training images that the kernel compares with.")
    kernel_width: float = Field(
        0.6, gt=0, description="1 / mean squared distance units; larger fits finer detail."
    )
    l2: float = Field(0.015, gt=0, description="Regularisation; larger fits less.")
    max_epochs: int = Field(8, ge=1, description="Steps of L-BFGS, of 10 iterations each.")


def predict(head: KernelHead, features: Floats) -> Floats:
    """Class probabilities float32 N,K from features float32 N,D."""
    with torch.inference_mode():
        return softmax(head(torch.from_numpy(features))[0].numpy())


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


def out_of_fold(
    features: Floats,
    image_of: npt.NDArray[np.intp],
    targets: Floats,
    folds: npt.NDArray[np.intp],
    config: Head,
    seed: int,
    groups: Sequence[str] = (),
    kin: Sequence[frozenset[str]] = (),
) -> Floats:
    """What heads that never saw a part's fold, and so its group, say of it.

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
        Probabilities float32 N,K of the parts as they are.
    """
    n = len(folds)
    found = np.empty_like(targets[:n])
    for fold in range(int(folds.max()) + 1):
        known, unseen = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        held_out = {groups[int(i)] for i in unseen} if kin else set()
        made = [n + s for s, parents in enumerate(kin) if parents.isdisjoint(held_out)]
        rows = np.flatnonzero(np.isin(image_of, [*known, *made]))
        head, _ = fit(features[rows], targets[image_of[rows]], config, seed)
        found[unseen] = predict(head, features[unseen])
    return found


class _HeadTraining(pl.LightningModule):
    """Multinomial logistic regression on kernel features, full batch."""

    def __init__(self, width: int, classes: int, l2: float) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self._l2 = l2
        self.history: list[float] = []

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        x, target = batch
        penalty = self._l2 / (2 * len(x)) * self.linear.weight.square().sum()
        loss = cross_entropy(self.linear(x), target) + penalty
        self.log("loss", loss, prog_bar=True)
        return loss

    def on_train_epoch_end(self) -> None:
        self.history.append(float(self.trainer.callback_metrics["loss"]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(
            self.parameters(), max_iter=10, history_size=10, line_search_fn="strong_wolfe"
        )


def fit(
    features: Floats, targets: Floats, config: Head, seed: int
) -> tuple[KernelHead, list[float]]:
    """Train a head.

    Args:
        features: float32 N,D.
        targets: float32 N,K; rows sum to 1 (soft labels are welcome).
        config: settings.
        seed: of the components and the choice of landmarks.

    Returns:
        The head, and the loss after each epoch.

    Raises:
        TrainingError: features that are not finite, or a loss that is not.
    """
    if not np.isfinite(features).all():
        bad = int((~np.isfinite(features)).any(axis=1).sum())
        raise TrainingError(f"the features of {bad} image(s) are not finite; training stopped")
    projection, shift = _components(features, config, seed)
    embedding = torch.from_numpy(features) @ projection + shift
    rng = torch.Generator().manual_seed(seed)
    landmarks = embedding[torch.randperm(len(embedding), generator=rng)[: config.landmarks]]
    # Nystroem: with K_mm = L L', the features K_nm L'^-1 have the kernel as their inner
    # product, so that plain L2 on the weights is the kernel's own regularisation.
    gram = kernel(landmarks, landmarks).double()
    factor = torch.linalg.cholesky(gram + 1e-6 * torch.eye(len(gram), dtype=torch.float64))
    similarity = kernel(embedding, landmarks).double()
    x = torch.linalg.solve_triangular(factor.T, similarity, upper=True, left=False).float()
    model = _train(x, torch.from_numpy(targets), config)
    trained = model.linear.weight.detach().double().T
    weight = torch.linalg.solve_triangular(factor.T, trained, upper=True).float()
    head = KernelHead(projection, shift, landmarks, weight, model.linear.bias.detach())
    return head, model.history


def _components(features: Floats, config: Head, seed: int) -> tuple[Tensor, Tensor]:
    """Standardise, keep principal components, scale by the kernel width: as one affine map."""
    mean, std = features.mean(0), features.std(0)
    std[std < 1e-6] = np.inf  # a feature that never changes says nothing
    n = min(config.components, *features.shape)
    standard = (features - mean) / std
    pca = PCA(n, svd_solver="randomized", iterated_power=2, random_state=seed).fit(standard)
    kept = pca.components_.T.astype(np.float64) / std[:, None]
    spread = float(pca.explained_variance_.sum())
    scale = np.sqrt(config.kernel_width / max(spread, 1e-12))
    projection = torch.from_numpy((kept * scale).astype(np.float32))
    return projection, torch.from_numpy((-(mean @ kept) * scale).astype(np.float32))


def _train(x: Tensor, targets: Tensor, config: Head) -> _HeadTraining:
    model = _HeadTraining(x.shape[1], targets.shape[1], config.l2)
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=config.max_epochs,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
            deterministic=True,
        )
        loader: Any = DataLoader(TensorDataset(x, targets), batch_size=len(x))
        trainer.fit(model, loader)
    if not np.isfinite(model.history).all():
        raise TrainingError(f"the loss became {model.history[-1]}; lower kernel_width or raise l2")
    return model
