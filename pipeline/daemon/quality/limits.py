"""Limits of the p-chart and of Laney's p'-chart.

p-chart: Shewhart; as in Montgomery, "Introduction to Statistical Quality Control", section 7.2, and
ISO 7870-2. p'-chart: D. B. Laney, "Improved Control Charts for Attributes", Quality Engineering
14(4), 2002, pp. 531-537.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

P, P_PRIME = "p", "p_prime"
D2 = 1.128  # expected range of two values from a normal distribution, in its standard deviations
LARGE = 1000  # parts of a mean subgroup, from which on more than chance varies a share visibly
Z_99 = 2.3263478740408408  # 99 % quantile of the standard normal distribution

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """Limits of a control chart of shares.

    Attributes:
        chart: `p` or `p_prime`.
        centre: the mean share, 0 to 1.
        sigma_z: factor on the standard deviation of the binomial distribution; 1 for `p`.
    """

    chart: str
    centre: float
    sigma_z: float = 1.0

    def sigma(self, n: ArrayLike) -> Floats:
        """Standard deviation of the shares of subgroups of `n` parts: that of the binomial
        distribution, sqrt(p (1 - p) / n), times `sigma_z`."""
        size = np.asarray(n, np.float64)
        found: Floats = np.sqrt(self.centre * (1 - self.centre) / size) * self.sigma_z
        return found

    def lower(self, n: ArrayLike) -> Floats:
        """Lower limits of subgroups of `n` parts, three standard deviations away, at least 0."""
        return np.maximum(self.centre - 3 * self.sigma(n), 0.0)

    def upper(self, n: ArrayLike) -> Floats:
        """Upper limits of subgroups of `n` parts, three standard deviations away, at most 1."""
        return np.minimum(self.centre + 3 * self.sigma(n), 1.0)

    def standardized(self, n: ArrayLike, fails: ArrayLike) -> Floats:
        """Distances of shares from the centre, in standard deviations."""
        size = np.asarray(n, np.float64)
        found: Floats = (np.asarray(fails, np.float64) / size - self.centre) / self.sigma(n)
        return found


def fitted(n: Sequence[int], fails: Sequence[int]) -> Limits:
    """Limits from the subgroups of a baseline, in the order of time.

    The p'-chart is taken where subgroups are large (`LARGE` parts in the mean) and vary more than
    the binomial distribution allows: the sum of the squared standardised shares is above the 99 %
    quantile of chi-squared with one degree of freedom less than subgroups (the dispersion test;
    W. G. Cochran, "Some Methods for Strengthening the Common Chi-Squared Tests", Biometrics 10,
    1954), and Laney's sigma_z, from the moving ranges, is above 1. Else the p-chart: small
    subgroups that vary too much have a cause that can be found, which wide limits would hide.

    Args:
        n: parts of each subgroup.
        fails: of those.

    Raises:
        ValueError: fewer than two subgroups, or no part or every part failed.
    """
    total = sum(fails)
    if len(n) < 2 or not 0 < total < sum(n):
        raise ValueError("limits need two subgroups, and some parts that failed and some that not")
    plain = Limits(P, total / sum(n))
    z = plain.standardized(n, fails)
    sigma_z = laney_sigma_z(z)
    large = sum(n) >= LARGE * len(n)
    if large and sigma_z > 1 and float(np.sum(z**2)) > chi_squared_99(len(n) - 1):
        return Limits(P_PRIME, plain.centre, sigma_z)
    return plain


def laney_sigma_z(z: Floats) -> float:
    """Laney's sigma_z: the mean moving range of standardised shares, divided by 1.128."""
    return float(np.mean(np.abs(np.diff(z)))) / D2


def chi_squared_99(degrees: int) -> float:
    """99 % quantile of chi-squared, within 0.1 % for the 20 subgroups of a baseline and more.

    The approximation of E. B. Wilson and M. M. Hilferty, PNAS 17, 1931, pp. 684-688.
    """
    spread = 2 / (9 * degrees)
    return degrees * (1 - spread + Z_99 * math.sqrt(spread)) ** 3
