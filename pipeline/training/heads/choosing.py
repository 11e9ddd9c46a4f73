"""Chooses among heads by their out-of-fold logits: the best, or several whose mean is better.

Averages as of Caruana et al., Ensemble Selection from Libraries of Models, ICML 2004: one after the
other that helps most, as long as one more helps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_softmax

from pipeline.training import Floats
from pipeline.training.heads.calibration import temperature
from pipeline.training.heads.candidates import Candidate
from pipeline.training.heads.fitting import HeadChoice
from pipeline.training.heads.objectives import Losses, Objective, Rows, overall

POOL = 12  # of the best, the best of each kind and of each space may join an average
SHARPER = (1.0, 0.85, 0.7)  # temperatures of a mean, which is less sure than its members


@dataclass(frozen=True)
class Ranked:
    """Candidates with calibrated out-of-fold logits.

    Attributes:
        cooled: log probabilities float32 N,K.
        temperatures: what the logits were divided by.
        objective: by what they are compared.
    """

    cooled: Mapping[Candidate, Floats]
    temperatures: Mapping[Candidate, float]
    objective: Objective

    @classmethod
    def of(cls, logits: Mapping[Candidate, Floats], objective: Objective) -> Ranked:
        """Calibrate each by one temperature."""
        factors = {c: temperature(x, objective.targets) for c, x in logits.items()}
        cooled = {
            c: log_softmax(found / np.float32(factors[c]), axis=1) for c, found in logits.items()
        }
        return cls(cooled, factors, objective)

    def joined(self, other: Ranked) -> Ranked:
        """With the candidates of another ranking of the same parts."""
        temperatures = {**self.temperatures, **other.temperatures}
        return replace(self, cooled={**self.cooled, **other.cooled}, temperatures=temperatures)

    def losses(self, rows: Rows) -> dict[Candidate, float]:
        """Loss of each on some parts, the least first, as of `overall`."""
        found = {c: overall(self.objective(p[rows], rows)) for c, p in self.cooled.items()}
        return dict(sorted(found.items(), key=lambda item: item[1]))


def choose(ranked: Ranked, rows: Rows, most: int) -> HeadChoice:
    """By the parts at `rows` alone, so many heads at most."""
    members = _average(ranked, rows, list(ranked.losses(rows)), most)
    return HeadChoice(tuple(members), tuple(ranked.temperatures[c] for c in members))


def mean_logits(choice: HeadChoice, logits: Mapping[Candidate, Floats], rows: Rows) -> Floats:
    """Logits of a choice, from those of its members, of some parts; float32 n,K."""
    found = sum(
        logits[member][rows] / np.float32(factor)
        for member, factor in zip(choice.members, choice.temperatures, strict=True)
    )
    return np.asarray(found, np.float32) / np.float32(len(choice.members))


def _average(ranked: Ranked, rows: Rows, order: Sequence[Candidate], most: int) -> list[Candidate]:
    members = [order[0]]
    kinds = {c.kind: c for c in reversed(order)}
    spaces = {c.space: c for c in reversed(order)}
    pool = dict.fromkeys([*order[:POOL], *kinds.values(), *spaces.values()])
    total = ranked.cooled[order[0]]
    current = overall(_sharpened(ranked, total, 1, rows))
    while len(members) < most:
        tried = {
            c: overall(_sharpened(ranked, total + ranked.cooled[c], len(members) + 1, rows))
            for c in pool
        }
        joining = min(tried, key=lambda c: tried[c])
        if tried[joining] >= current:
            break
        members.append(joining)
        total, current = total + ranked.cooled[joining], tried[joining]
    return members


def _sharpened(ranked: Ranked, total: Floats, n: int, rows: Rows) -> Losses:
    """Losses in the folds of a mean of `n` at its best temperature."""
    found = [
        ranked.objective(log_softmax(total[rows] / np.float32(n * s), axis=1), rows)
        for s in SHARPER
    ]
    return min(found, key=overall)
