"""Figures of a classifier on labelled parts: ranking, class agreement, calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_recall_curve,
    recall_score,
    roc_auc_score,
    roc_curve,
)

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Curve:
    """A ROC and a precision-recall curve of one yes/no question."""

    name: str
    fpr: Floats
    tpr: Floats
    recall: Floats
    precision: Floats


def questions(
    labels: Ints, probabilities: Floats, passing: tuple[bool, ...]
) -> tuple[npt.NDArray[np.bool_], Floats]:
    """The yes/no questions that AUROC and average precision are about.

    With good and bad classes there is one: is the part bad? Otherwise one a class: is it this one?

    Returns:
        truth, bool N,Q and scores, float N,Q.
    """
    if any(passing):
        bad = ~np.array(passing)
        return bad[labels][:, None], probabilities[:, bad].sum(axis=1, keepdims=True)
    return labels[:, None] == np.arange(probabilities.shape[1]), probabilities


def auroc(truth: npt.NDArray[np.bool_], scores: Floats) -> float:
    """Area under the ROC curve, mean over questions; NaN when one has a single answer."""
    if (truth.all(axis=0) | ~truth.any(axis=0)).any():
        return float("nan")
    return float(roc_auc_score(truth, scores, average="macro"))


def average_precision(truth: npt.NDArray[np.bool_], scores: Floats) -> float:
    """Average precision, mean over questions; NaN when one has no positive."""
    if not truth.any(axis=0).all():
        return float("nan")
    return float(average_precision_score(truth, scores, average="macro"))


def macro_f1(labels: Ints, predicted: Ints, n_classes: int) -> float:
    """F1 averaged over classes that occur in the labels."""
    present = [c for c in range(n_classes) if (labels == c).any()]
    return float(f1_score(labels, predicted, labels=present, average="macro", zero_division=0.0))


def recalls(labels: Ints, predicted: Ints, names: tuple[str, ...]) -> dict[str, float | None]:
    """Share of each class that is recognised; None for classes that do not occur."""
    values = recall_score(
        labels, predicted, labels=range(len(names)), average=None, zero_division=0.0
    )
    return {name: float(values[c]) if (labels == c).any() else None for c, name in enumerate(names)}


def expected_calibration_error(labels: Ints, probabilities: Floats, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (Naeini et al., AAAI 2015)."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(confidence[bin_of == b].mean() - right[bin_of == b].mean()) * (bin_of == b).mean()
        for b in range(bins)
        if (bin_of == b).any()
    ]
    return float(sum(gaps))


def curve(name: str, truth: npt.NDArray[np.bool_], scores: Floats) -> Curve:
    """ROC and precision-recall points of one question (or of all, flattened: micro average)."""
    fpr, tpr, _ = roc_curve(truth.ravel(), scores.ravel())
    precision, recall, _ = precision_recall_curve(truth.ravel(), scores.ravel())
    return Curve(name, fpr, tpr, recall, precision)
