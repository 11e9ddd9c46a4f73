"""The probe of a recipe in tiles that nothing marks: its pooling chosen, its head trained by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.inference.decide import defect_scores
from pipeline.inference.predictor import softmax
from pipeline.training import Floats
from pipeline.training.features.backbone_features import BackboneFeatures
from pipeline.training.head_modules import Head
from pipeline.training.heads.calibration import temperature
from pipeline.training.pooling.fitting import HeadSpace, fit
from pipeline.training.pooling.selection import WORST, Fit, PoolingChoice, Rows, choose, offered
from pipeline.training.tile_pooling import TilePooling


@dataclass(frozen=True)
class UnmarkedTiles:
    """Features of tiles of which only the part has a label.

    Attributes:
        features: all T tiles of a part next to each other, in every view.
        targets: float32 N,K, of the parts that the N images show.
        weights: how much each image counts in the loss, float32 N.
        folds: of the images, int N; -1 where ingest made none.
        n_tiles: of a part, T.
        taxonomy: the K classes.
    """

    features: BackboneFeatures
    targets: Floats
    weights: Floats
    folds: Rows
    n_tiles: int
    taxonomy: Taxonomy

    def choose(self, wanted: str, head_of: Fit, tiles: Floats | None = None) -> PoolingChoice:
        """The pooling by grouped out-of-fold scores; without folds the first that is wanted.

        Args:
            wanted: the setting `pooling`.
            head_of: trains a head on some rows of the features, to start from.
            tiles: probabilities N,K by heads that know no pooling, out of fold; the worst of each
                part is compared too where any pooling may be taken. None: it is not.

        Raises:
            TrainingError: a loss that is not finite.
        """
        poolings = offered(wanted, self.n_tiles)
        if self.folds.max() < 0:
            name, k = next(iter(poolings.items()))
            return PoolingChoice(name, k, np.empty((0, self.targets.shape[1]), np.float32), {})
        its, passing, worst = self.features, self.taxonomy.passing, None
        if tiles is not None and wanted == "auto":
            scores = defect_scores(tiles, self.taxonomy).reshape(-1, self.n_tiles)
            rows = np.arange(len(scores)) * self.n_tiles + scores.argmax(axis=1)
            worst = np.log(tiles[rows].clip(1e-30))
        return choose(
            *(its.values, its.image_of, self.targets, self.weights, self.folds),
            *(self.n_tiles, passing, poolings, head_of, worst),
        )

    def fit(self, head: Head, pooling: TilePooling) -> tuple[Head, list[float]]:
        """Train a head of one kernel or none on, through a pooling; returns it and the losses.

        Raises:
            TrainingError: a loss that is not finite.
        """
        space, its = HeadSpace.of(head), self.features
        images = its.image_of[:: self.n_tiles]
        targets = torch.from_numpy(self.targets[images] * self.weights[images, None])
        w, bias, losses = fit(space, space.seen(its.values), self.n_tiles, targets, pooling)
        return space.with_weights(w, bias), losses

    def calibrated(self, choice: PoolingChoice) -> tuple[TilePooling, Floats]:
        """The pooling with the temperature of its out-of-fold scores, and these, float32 P,K."""
        factor = temperature(choice.logits, self.targets[: len(self.folds) : self.n_tiles])
        found = softmax((choice.logits / factor).astype(np.float32))
        return TilePooling(choice.k, self.taxonomy.passing, factor), found


def pooling_losses(facts: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a choice, as `PoolingChoice.facts`, for an MLflow run."""
    return {f"oof_log_loss_{name}": loss for name, loss in facts["oof_log_losses"].items()}


def fixed(wanted: str, n_tiles: int, passing: Sequence[bool]) -> TilePooling | None:
    """The pooling that fine-tuning has by the setting `pooling`: nothing is chosen there.

    None where there is nothing to pool, or the worst tile is wanted.
    """
    if n_tiles == 1 or wanted == WORST:
        return None
    return TilePooling(min(2, n_tiles) if wanted == "top_k" else 0, passing)
