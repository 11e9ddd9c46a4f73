"""Shares of parts with exact confidence intervals, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from pipeline.contracts.evaluation import Share
from pipeline.metrics import clustering

END = 0.975  # one-sided confidence of each end of a two-sided 95 % interval


@dataclass(frozen=True)
class Rate:
    """k of n, with the 95 % Clopper-Pearson interval (Biometrika 26, 1934).

    Attributes:
        k, n: counts; with n = 0 the rate is not defined.
    """

    k: int
    n: int

    @property
    def value(self) -> float | None:
        """k / n, or None without any."""
        return self.k / self.n if self.n else None

    @property
    def ci95(self) -> list[float] | None:
        """[low, high], or None without any."""
        if not self.n:
            return None
        return [lower_bound(self.k, self.n, END), upper_bound(self.k, self.n, END)]


def share(k: int, n: int) -> Share:
    """k of n independent parts as the report has it: value and 95 % interval, None without any."""
    rate = Rate(int(k), int(n))
    low, high = rate.ci95 or (None, None)
    return Share(k=rate.k, n=rate.n, value=rate.value, low=low, high=high)


def grouped_share(counted: npt.NDArray[np.bool_], groups: clustering.Groups | None = None) -> Share:
    """Share of the parts that count, with a 95 % interval that knows of their groups.

    Args:
        counted: bool N.
        groups: what each part shares with others, N; None: nothing is known of that.

    Returns:
        Clopper and Pearson's interval on as many parts as these are worth (`clustering`); where
        each part is its own group, on as many as there are.
    """
    k, n = int(counted.sum()), len(counted)
    if groups is None or not n:
        return share(k, n)
    worth = clustering.effective_number(counted, groups, END)
    low, high = (bound(k / n * worth, worth, END) for bound in (lower_bound, upper_bound))
    return Share(k=k, n=n, value=k / n, low=low, high=high)


def percent(share: float) -> str:
    """A share in per cent as every sentence and page has it: `5.3`, `0.68`, `0` or `100`.

    One decimal, two below 1 %, none where it is exactly nothing or all. Halves are rounded up, as
    the `toFixed` of the browsers that show the same figures does.
    """
    if share in (0, 1):
        return f"{share * 100:.0f}"
    step = "0.01" if abs(share) < 0.01 else "0.1"
    return str(Decimal(share * 100).quantize(Decimal(step), ROUND_HALF_UP))


def asked(share: float) -> str:
    """A share from the settings, in per cent without trailing zeros: `10`, `0.5`."""
    return f"{share * 100:.4g}"


def share_in_words(found: Share, what: str) -> str:
    """A share in words: `3 of 90 bad parts pass (3.3 %, 0.69 to 9.4 %)`."""
    if found.value is None or found.low is None or found.high is None:
        return f"0 of 0 {what}"
    interval = f"{percent(found.low)} to {percent(found.high)} %"
    return f"{found.k} of {found.n} {what} ({percent(found.value)} %, {interval})"


def upper_bound(k: float, n: float, confidence: float) -> float:
    """One-sided exact upper confidence bound on the rate behind k of n.

    The quantile of a beta distribution, hence defined for fractions of parts as well, which is what
    parts in groups are worth (`clustering`).
    """
    return 1.0 if k >= n else float(betaincinv(k + 1, n - k, confidence))


def lower_bound(k: float, n: float, confidence: float) -> float:
    """One-sided exact lower confidence bound on the rate behind k of n; see `upper_bound`."""
    return 0.0 if k <= 0 else float(betaincinv(k, n - k + 1, 1 - confidence))


def samples_needed(limit: float, confidence: float) -> int:
    """Bad parts without a single escape that prove a rate below `limit`.

    From (1 - limit)^n <= 1 - confidence; at 95 % about 3 / limit, the rule of three.
    """
    return int(np.ceil(np.log(1 - confidence) / np.log(1 - limit)))
