"""What a search for a head wants less of, in each fold: log loss, 1 - macro-F1, 1 - partial AUROC.

Partial AUROC: McClish, Analyzing a Portion of the ROC Curve, Medical Decision Making 9, 1989.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score, roc_auc_score

from pipeline.errors import TrainingError
from pipeline.training import Floats
from pipeline.training.heads.settings import HeadSettings

Rows = npt.NDArray[np.intp]
Losses = npt.NDArray[np.floating]


class Objective:
    """Judges log probabilities of parts, fold by fold.

    Attributes:
        name: of the settings.
        targets: float32 N,K, of the parts.
    """

    def __init__(
        self, config: HeadSettings, targets: Floats, folds: Rows, passing: Sequence[bool]
    ) -> None:
        """Set which parts are judged.

        Args:
            config: which objective.
            targets: float32 N,K.
            folds: of each part, int N.
            passing: of each class, whether its parts are good.

        Raises:
            TrainingError: a partial AUROC is asked for and either good or bad parts are lacking.
        """
        self.name, self.targets = config.objective, targets
        self._folds, self._up_to = folds, config.escapes_up_to
        self._truth, self._good = targets.argmax(axis=1), np.array(passing, bool)
        if self.name == "partial_auroc" and len(set(self._good[self._truth])) < 2:
            raise TrainingError(
                "head.objective partial_auroc compares good with bad parts, and all training "
                "parts are of one kind; use log_loss"
            )

    def __call__(self, chances: Floats, rows: Rows) -> Losses:
        """Of log probabilities n,K of the parts `rows`: one loss for each fold that has any."""
        folds, found = self._folds[rows], []
        for fold in np.unique(folds):
            here = folds == fold
            found.append(self._loss(chances[here], rows[here]))
        return np.array(found)

    def _loss(self, chances: Floats, rows: Rows) -> float:
        if self.name == "log_loss":
            return float(-(self.targets[rows] * chances).sum(axis=1).mean())
        truth = self._truth[rows]
        if self.name == "macro_f1":
            return 1 - float(f1_score(truth, chances.argmax(axis=1), average="macro"))
        good = self._good[truth]
        if good.all() or not good.any():
            return np.nan
        # Escapes are the false positives of a test for good parts.
        score = np.exp(chances[:, self._good]).sum(axis=1)
        return 1 - float(roc_auc_score(good, score, max_fpr=self._up_to))


def overall(by_fold: Losses) -> float:
    """Of the losses in folds one: by the mean of their square roots.

    In the plain mean one hard group would decide alone, in the geometric mean one easy group.
    """
    return float(np.sqrt(np.maximum(by_fold[~np.isnan(by_fold)], 0)).mean() ** 2)
