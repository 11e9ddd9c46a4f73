"""Figures of a network on parts that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_softmax

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.inference.predictor import softmax
from pipeline.metrics.classification import auroc, questions
from pipeline.training import Floats
from pipeline.training.features.extraction import Images
from pipeline.training.heads import out_of_fold
from pipeline.training.tile_pooling import TilePooling


@dataclass(frozen=True)
class Figures:
    """Of validation parts; `auroc` is NaN where one kind is missing."""

    log_loss: float
    accuracy: float
    auroc: float


@dataclass(frozen=True)
class HeldOut:
    """Validation images and what is true of their parts.

    Attributes:
        images: where they are.
        rows: positions of N of them.
        ids: of the part that each shows, N.
        targets: float32 N,K, of the part.
        labels: class of the part, int N.
        taxonomy: the recipe's classes.
    """

    images: Images
    rows: npt.NDArray[np.intp]
    ids: npt.NDArray[np.object_]
    targets: Floats
    labels: npt.NDArray[np.intp]
    taxonomy: Taxonomy

    def figures(
        self, logits: Floats, prior: Floats | None = None, pooling: TilePooling | None = None
    ) -> Figures:
        """Judge logits float32 N,K; of several tiles the worst speaks for the part.

        Args:
            logits: as exported.
            prior: log share of each class, K, where training took it out of the logits.
            pooling: of the tiles of a part, where training went through one.
        """
        tiles, found = self.of_parts(logits, pooling)
        adjusted = found.astype(np.float64) + (0 if prior is None else prior)
        loss = -(self.targets[tiles] * log_softmax(adjusted, axis=1)).sum(axis=1).mean()
        truth, predicted = self.labels[tiles], softmax(found)
        return Figures(
            log_loss=float(loss),
            accuracy=float((predicted.argmax(axis=1) == truth).mean()),
            auroc=auroc(*questions(truth, predicted, self.taxonomy.passing)),
        )

    def of_parts(
        self, logits: Floats, pooling: TilePooling | None = None
    ) -> tuple[npt.NDArray[np.intp], Floats]:
        """One row of each of P parts, and the logits of the parts, float32 P,K."""
        if pooling is None:
            rows = out_of_fold.worst_tiles(self.ids, softmax(logits), self.taxonomy)
            return rows, logits[rows]
        _, firsts = np.unique(self.ids, return_index=True)
        firsts.sort()
        tiles = torch.from_numpy(logits.reshape(len(firsts), -1, logits.shape[1]))
        with torch.no_grad():
            return firsts, pooling(tiles)[0].numpy()
