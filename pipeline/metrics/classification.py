"""Figures of a classifier on labelled parts: ranking, class agreement, calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    average_precision_score,
    det_curve,
    f1_score,
    precision_recall_curve,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from pipeline.metrics.rates import share

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


@dataclass(frozen=True)
class Reliability:
    """How often the network is right when it says it is so sure; one row a bin that has parts.

    Attributes:
        confidence: mean probability of the most probable class.
        accuracy: share of these parts whose label it is.
        low, high: 95 % Clopper-Pearson interval of `accuracy`.
        n: parts in the bin.
    """

    confidence: Floats
    accuracy: Floats
    low: Floats
    high: Floats
    n: Ints


@dataclass(frozen=True)
class TradeOff:
    """What a single limit does, wherever it is put; shares are NaN without a part of the kind.

    Attributes:
        limit: scores below it pass, from it on they fail; ascending.
        escape: share of bad parts that pass.
        overkill: share of good parts that fail.
    """

    limit: Floats
    escape: Floats
    overkill: Floats


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
    confidence, right, bin_of = _binned(labels, probabilities, bins)
    gaps = [
        abs(confidence[bin_of == b].mean() - right[bin_of == b].mean()) * (bin_of == b).mean()
        for b in range(bins)
        if (bin_of == b).any()
    ]
    return float(sum(gaps))


def reliability(labels: Ints, probabilities: Floats, bins: int = 15) -> Reliability:
    """Confidence against accuracy over equal-width bins, the points of a reliability diagram.

    Args:
        labels: int N.
        probabilities: float N,K.
        bins: how many parts 0 to 1 is cut into; those without a part are left out.
    """
    confidence, right, bin_of = _binned(labels, probabilities, bins)
    filled = np.unique(bin_of)
    found = [share(right[bin_of == b].sum(), (bin_of == b).sum()) for b in filled]
    return Reliability(
        np.array([confidence[bin_of == b].mean() for b in filled], np.float64),
        np.array([s.value for s in found], np.float64),
        np.array([s.low for s in found], np.float64),
        np.array([s.high for s in found], np.float64),
        np.array([s.n for s in found], np.intp),
    )


def _binned(
    labels: Ints, probabilities: Floats, bins: int
) -> tuple[Floats, npt.NDArray[np.bool_], Ints]:
    """Confidence of each part, whether it is right, and the bin it falls into."""
    confidence = probabilities.max(axis=1)
    bin_of = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    return confidence, probabilities.argmax(axis=1) == labels, bin_of


def det(truth: npt.NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """Detection error trade-off (Martin et al., Eurospeech 1997): overkill and escape shares.

    Args:
        truth: whether each part is bad; bool N.
        scores: its defect score; float N.

    Returns:
        Shares of good parts rejected and of bad parts passed, one point a limit, for axes on a
        normal-deviate scale; both empty where no part is bad or none good.
    """
    if truth.all() or not truth.any():
        return np.empty(0), np.empty(0)
    overkill, escape, _ = det_curve(truth, scores)
    return overkill, escape


def trade_off(scores: Floats, bad: npt.NDArray[np.bool_], points: int = 201) -> TradeOff:
    """Escapes and overkill of a single limit at evenly spaced places from 0 to 1 and just above."""
    limits = np.append(np.linspace(0.0, 1.0, points), np.nextafter(1.0, 2.0))
    good_scores, bad_scores = np.sort(scores[~bad]), np.sort(scores[bad])
    with np.errstate(invalid="ignore"):
        escape = np.searchsorted(bad_scores, limits) / np.float64(len(bad_scores))
        passed = np.searchsorted(good_scores, limits) / np.float64(len(good_scores))
    return TradeOff(limits, escape, 1 - passed)


def curve(name: str, truth: npt.NDArray[np.bool_], scores: Floats) -> Curve:
    """ROC and precision-recall points of one question (or of all, flattened: micro average)."""
    fpr, tpr, _ = roc_curve(truth.ravel(), scores.ravel())
    precision, recall, _ = precision_recall_curve(truth.ravel(), scores.ravel())
    return Curve(name, fpr, tpr, recall, precision)
