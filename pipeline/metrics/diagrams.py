"""The points of the report's diagrams: reliability, detection error trade-off, a moving limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import det_curve

from pipeline.metrics.rates import share

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]


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


def reliability(labels: Ints, probabilities: Floats, bins: int = 15) -> Reliability:
    """Confidence against accuracy over equal-width bins, the points of a reliability diagram.

    Args:
        labels: int N.
        probabilities: float N,K.
        bins: how many parts 0 to 1 is cut into; those without a part are left out.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    filled = np.unique(bin_of)
    found = [share(right[bin_of == b].sum(), (bin_of == b).sum()) for b in filled]
    return Reliability(
        np.array([confidence[bin_of == b].mean() for b in filled], np.float64),
        np.array([s.value for s in found], np.float64),
        np.array([s.low for s in found], np.float64),
        np.array([s.high for s in found], np.float64),
        np.array([s.n for s in found], np.intp),
    )


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
