"""Figures of a network on parts that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.metrics.classification import auroc, questions
from pipeline.training import Floats
from pipeline.training.features.extraction import Images
from pipeline.training.heads import out_of_fold


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

    def figures(self, logits: Floats, prior: Floats | None = None) -> Figures:
        """Judge logits float32 N,K; of several tiles the worst speaks for the part.

        Args:
            logits: as exported.
            prior: log share of each class, K, where training took it out of the logits.
        """
        chances = np.exp(log_softmax(logits.astype(np.float64), axis=1))
        tiles = out_of_fold.worst_tiles(self.ids, chances.astype(np.float32), self.taxonomy)
        adjusted = logits[tiles].astype(np.float64) + (0 if prior is None else prior)
        loss = -(self.targets[tiles] * log_softmax(adjusted, axis=1)).sum(axis=1).mean()
        truth, predicted = self.labels[tiles], chances[tiles]
        return Figures(
            log_loss=float(loss),
            accuracy=float((predicted.argmax(axis=1) == truth).mean()),
            auroc=auroc(*questions(truth, predicted, self.taxonomy.passing)),
        )
