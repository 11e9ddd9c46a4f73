"""Figures of one trial, and by how much it beats another: intervals by drawing whole groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score

from pipeline.training import Floats

DRAWS = 400
OVERKILL = 0.05
Rows = npt.NDArray[np.intp]
Figure = Callable[[Rows, Floats, Rows], float]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Scores:
    """Out-of-fold probabilities of some parts.

    Attributes:
        labels: the class of each part, int N.
        probabilities: float32 N,K.
        groups: of each part, N.
        passing: which of the K classes are good.
    """

    labels: Rows
    probabilities: Floats
    groups: npt.NDArray[np.str_]
    passing: tuple[bool, ...]

    @property
    def objective(self) -> str:
        """AUROC of bad against good parts, or the mean F1 of the classes where none is good."""
        return "AUROC" if any(self.passing) else "macro-F1"

    def figure(self) -> Estimate:
        """The objective."""
        drawn = self._drawn(_weights(self.groups), self._objective())
        low, high = np.quantile(drawn, [0.025, 0.975])
        return Estimate(self._objective()(*self._all()), float(low), float(high))

    def escapes(self) -> float | None:
        """Share of bad parts that pass where 5 % of the good ones do not; None without either."""
        good = np.array(self.passing)[self.labels]
        if good.all() or not good.any():
            return None
        score = self._defect_score()
        return float((score[~good] <= np.quantile(score[good], 1 - OVERKILL)).mean())

    def gain_over(self, other: Scores) -> Estimate:
        """By how much the objective is better than by other scores of the same parts."""
        weights, figure = _weights(self.groups), self._objective()
        gains = self._drawn(weights, figure) - other._drawn(weights, figure)
        low, high = np.quantile(gains, [0.025, 0.975])
        value = figure(*self._all()) - figure(*other._all())
        return Estimate(value, float(low), float(high))

    def _all(self) -> tuple[Rows, Floats, Rows]:
        return self.labels, self._shown(), np.ones(len(self.labels), np.intp)

    def _shown(self) -> Floats:
        return self.probabilities if self.objective == "macro-F1" else self._defect_score()

    def _defect_score(self) -> Floats:
        score: Floats = self.probabilities[:, ~np.array(self.passing)].sum(axis=1)
        return score

    def _objective(self) -> Figure:
        passing = np.array(self.passing)
        if self.objective == "macro-F1":
            return _macro_f1
        return lambda labels, score, weights: auroc(~passing[labels], score, weights)

    def _drawn(self, weights: Sequence[Rows], figure: Figure) -> npt.NDArray[np.float64]:
        return np.array([figure(self.labels, self._shown(), w) for w in weights])


def auroc(bad: npt.NDArray[np.bool_], score: Floats, weights: Rows) -> float:
    """Area under the ROC curve of parts that count `weights` times; 0.5 where a kind is missing."""
    order = np.argsort(score, kind="stable")
    values, w = score[order], weights[order].astype(float)
    good = np.where(bad[order], 0.0, w)
    # Of equal scores half of the good ones count as lower.
    _, start, size = np.unique(values, return_index=True, return_counts=True)
    before = np.concatenate([[0.0], np.cumsum(good)])
    lower, upper = before[start], before[start + size]
    below = np.repeat((lower + upper) / 2, size)
    mass = np.where(bad[order], w, 0.0)
    pairs = mass.sum() * good.sum()
    return float((mass * below).sum() / pairs) if pairs else 0.5


def _macro_f1(labels: Rows, probabilities: Floats, weights: Rows) -> float:
    found = probabilities.argmax(axis=1)
    return float(f1_score(labels, found, average="macro", sample_weight=weights, zero_division=0))


def _weights(groups: npt.NDArray[np.str_]) -> list[Rows]:
    """How often each part counts, in each of `DRAWS` draws of as many groups as there are."""
    _, number = np.unique(groups, return_inverse=True)
    n = int(number.max()) + 1
    rng = np.random.default_rng(0)
    return [np.bincount(rng.integers(0, n, n), minlength=n)[number] for _ in range(DRAWS)]
