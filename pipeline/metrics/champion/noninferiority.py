"""Is a challenger worse than the champion by no more than a margin?

"No significant difference" does not answer that: few parts never show one. Non-inferiority is
shown the other way round (Blackwelder, Controlled Clinical Trials 3, 1982): the upper confidence
bound of the difference has to lie within the margin, so that too few parts prove nothing. Escapes
are judged by themselves; the other figures share one error by Holm's method (Scandinavian Journal
of Statistics 6, 1979).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.stats import norm, t

from pipeline.contracts.evaluation import LESS_IS_BETTER, Difference
from pipeline.metrics import clustering
from pipeline.metrics.rates import END
from pipeline.plugins import Strict

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

LEVEL = 0.05  # one-sided


class Margins(Strict):
    """By how much a challenger may be worse than the champion on the same test parts."""

    escapes: float | None = Field(
        0.02, gt=0, lt=1, description="More bad parts that pass; none: not asked."
    )
    overkill: float | None = Field(
        0.05, gt=0, lt=1, description="More good parts that fail; none: not asked."
    )
    review: float | None = Field(
        0.05, gt=0, lt=1, description="More parts that a person sees; none: not asked."
    )
    accuracy: float | None = Field(
        0.05, gt=0, lt=1, description="Fewer parts of the right class; none: not asked."
    )

    def asked(self, *, something_passes: bool) -> dict[str, float]:
        """The margin of each figure, that which counts most first; without limits of accuracy."""
        given = {
            "escape_rate": self.escapes,
            "overkill_rate": self.overkill,
            "review_rate": self.review,
            "accuracy": self.accuracy,
        }
        names = list(given) if something_passes else ["accuracy"]
        return {name: margin for name in names if (margin := given[name]) is not None}


@dataclass(frozen=True)
class Uncertainty:
    """How surely a difference is known.

    Attributes:
        error: its standard error.
        freedom: degrees of freedom of Student's t.
        groups: from how many groups its parts come.
        up, down: shares of the parts that the challenger's share gains and loses; 0 where the
            figure is not a share.
        worth: independent parts that prove as much as these do of the gained and lost ones.
    """

    error: float
    freedom: float
    groups: int
    up: float = 0.0
    down: float = 0.0
    worth: float = np.inf

    def at(self, difference: float) -> Uncertainty:
        """The spread that so large a difference, more or less, would have.

        By luck few parts are gained, and then the spread looks small as well. A test of a margin
        takes it as it would be there (Tango, Statistics in Medicine 17, 1998).
        """
        up, down = max(self.up, self.down + difference), max(self.down, self.up - difference)
        least = float(np.sqrt(max(up + down - (up - down) ** 2, 0.0) / self.worth))
        # The worth allows for few groups already, as Student's t does.
        least *= float(norm.ppf(1 - LEVEL) / t.ppf(1 - LEVEL, self.freedom))
        return replace(self, error=max(self.error, least))

    def half(self, confidence: float) -> float:
        """Half the width of the interval whose either end has that one-sided confidence."""
        return float(t.ppf(confidence, self.freedom) * self.error)


def spread(
    drawn: Floats, groups: clustering.Groups, moved: Ints | None = None
) -> Uncertainty | None:
    """The spread of a difference; None where draws or groups are too few to show it.

    A bootstrap over m groups is too narrow by (m - 1) / m. The degrees of freedom are those of
    groups of equal size with the same spread, fewer where few of them carry the difference
    (`jackknife`). Where answers differ on few parts it shows hardly any spread, so that of a share
    is taken as if one part more had moved either way, and is at least that of independent parts
    (Bonett and Price, Psychological Methods 17, 2012).

    Args:
        drawn: the difference in each draw of whole groups; NaN where it is not defined.
        groups: group of each part that the figure is about, N.
        moved: of each part 1, 0 or -1: counted in the challenger's share only, in both or neither,
            in the champion's only; int N. None: the figure is not a share.
    """
    finite = drawn[np.isfinite(drawn)]
    codes = clustering.codes(groups)
    sizes = np.bincount(codes).astype(np.float64) if len(codes) else np.ones(1)
    n, m = float(sizes.sum()), len(sizes)
    if m < 2 or not len(finite) or len(finite) < len(drawn) / 2:
        return None
    alike = max(n**2 / float(np.square(sizes).sum()), 2.0)
    found = Uncertainty(float(finite.std() * np.sqrt(alike / (alike - 1))), alike - 1, m)
    if moved is None:
        return found
    influence = np.square(np.bincount(codes, weights=moved - moved.mean()))
    freedom = found.freedom
    if influence.any():
        kurtosis = m * float(np.square(influence).sum()) / float(influence.sum()) ** 2
        freedom = min(freedom, max(2 * m / max(kurtosis - 1, 1e-9), 1.0))
    up, down = (float((moved == way).sum() + 1) / (n + 2) for way in (1, -1))
    independent = (up + down - (up - down) ** 2) / (n + 2)
    seen = float(moved.var()) / n
    error = max(found.error * np.sqrt(independent / seen) if seen else 0.0, np.sqrt(independent))
    worth = clustering.effective_number(moved != 0, groups, 1 - LEVEL)
    return Uncertainty(float(error), freedom, m, up, down, worth)


def interval(value: float, found: Uncertainty) -> tuple[float, float]:
    """95 %, two-sided."""
    return value - found.half(END), value + found.half(END)


def judge_margins(
    figures: Mapping[str, Difference],
    spreads: Mapping[str, Uncertainty | None],
    margins: Mapping[str, float],
) -> dict[str, Difference]:
    """Each difference with its margin, and whether the parts prove that it is kept.

    Args:
        figures: the differences by name.
        spreads: of each of them; None where it is not known.
        margins: for those that are asked for, that which counts most first.
    """
    judged = dict(figures)
    chances: dict[str, float] = {}
    others = max(len(margins) - 1, 1)
    for place, (name, margin) in enumerate(margins.items()):
        found, known = figures[name], spreads[name]
        if found.value is None:
            continue
        update: dict[str, float | int | bool | None] = {"margin": margin, "within": False}
        if known is not None:
            worse = _worse(name, found.value)
            known = known.at(margin if name in LESS_IS_BETTER else -margin)
            chances[name] = float(t.sf((margin - worse) / max(known.error, 1e-12), known.freedom))
            update["worst"] = worse + known.half(1 - LEVEL)
            level = LEVEL if place == 0 else LEVEL / others
            update["more_groups"] = _missing(known, margin - worse, 1 - level)
        judged[name] = found.model_copy(update=update)
    first = next(iter(margins), "")
    proved = _holm({name: p for name, p in chances.items() if name != first})
    if chances.get(first, 1.0) <= LEVEL:
        proved.add(first)
    return {
        name: found.model_copy(update={"within": True, "more_groups": 0})
        if name in proved
        else found
        for name, found in judged.items()
    }


def _worse(name: str, value: float) -> float:
    """A difference, counted so that more is worse."""
    return value if name in LESS_IS_BETTER else -value


def _holm(chances: Mapping[str, float]) -> set[str]:
    """Those that Holm's method calls proven."""
    proved: set[str] = set()
    for place, (name, p) in enumerate(sorted(chances.items(), key=lambda item: item[1])):
        if p > LEVEL / (len(chances) - place):
            break
        proved.add(name)
    return proved


def _missing(found: Uncertainty, room: float, confidence: float) -> int | None:
    """Groups to be added, like those there are, until the bound lies within the margin."""
    if room <= 0:
        return None
    return max(ceil(found.groups * ((found.half(confidence) / room) ** 2 - 1)), 1)
