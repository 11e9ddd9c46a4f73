"""Two limits on the defect score, chosen on validation parts from what the plant can accept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.contracts.bundle import OperatingPoint
from pipeline.metrics.rates import samples_needed, upper_bound

ABOVE_ALL = 1.1  # a limit that no score reaches


@dataclass(frozen=True)
class Choice:
    """The limits, and whether the validation parts can support the promise behind them.

    Attributes:
        point: the limits.
        supported: the upper confidence bounds on escapes and overkill stay below what was promised,
            if parts are independent of each other.
        sentences: what a person should know about the choice.
    """

    point: OperatingPoint
    supported: bool
    sentences: tuple[str, ...]


def nothing_passes() -> Choice:
    """The limits of a recipe whose every class is bad: all parts fail, none can escape."""
    sentence = "no class of this recipe passes: every part is judged bad, none can escape"
    return Choice(OperatingPoint(pass_below=0.0, fail_from=0.0), True, (sentence,))


def choose(
    scores: npt.NDArray[np.float64],
    bad: npt.NDArray[np.bool_],
    *,
    max_escape: float,
    max_overkill: float,
    confidence: float,
) -> Choice:
    """Choose the pass limit from the bad parts and the fail limit from the good ones.

    Args:
        scores: defect score of each validation part, 0 to 1.
        bad: whether each part is really bad.
        max_escape: share of bad parts that may pass.
        max_overkill: share of good parts that may fail.
        confidence: the one-sided confidence with which `max_escape` and `max_overkill` must hold.

    Returns:
        Limits such that both shares hold with that confidence on parts like these. Scores between
        them are for review; where the two classes separate, one limit serves both.
    """
    if not bad.any():
        nothing = OperatingPoint(pass_below=0.0, fail_from=ABOVE_ALL)
        sentence = "validation has no bad part: no limit can be chosen, every part goes to review"
        return Choice(nothing, False, (sentence,))
    sentences = []
    bad_scores, good_scores = np.sort(scores[bad]), np.sort(scores[~bad])[::-1]
    escapes = _allowed(len(bad_scores), max_escape, confidence)
    supported = escapes is not None
    if not supported:
        bound = upper_bound(0, len(bad_scores), confidence)
        sentences.append(
            f"{len(bad_scores)} bad validation parts cannot prove an escape rate below "
            f"{max_escape:.1%}: without a single escape they prove {bound:.1%}; "
            f"{samples_needed(max_escape, confidence)} would do"
        )
    pass_below = float(bad_scores[min(escapes or 0, len(bad_scores) - 1)])
    if len(good_scores) == 0:
        sentences.append(
            "validation has no good part: no fail limit can be chosen, what does not pass goes to "
            "review"
        )
        point = OperatingPoint(pass_below=pass_below, fail_from=ABOVE_ALL)
        return Choice(point, supported, tuple(sentences))
    overkills = _allowed(len(good_scores), max_overkill, confidence)
    if overkills is None:
        supported = False
        sentences.append(
            f"{len(good_scores)} good validation parts cannot prove an overkill rate below "
            f"{max_overkill:.1%}; {samples_needed(max_overkill, confidence)} would do"
        )
    edge = good_scores[min(overkills or 0, len(good_scores) - 1)]
    fail_from = float(np.nextafter(edge, 2.0))
    if fail_from <= pass_below:
        pass_below = fail_from = (pass_below + fail_from) / 2
    point = OperatingPoint(pass_below=pass_below, fail_from=fail_from)
    return Choice(point, supported, tuple(sentences))


def _allowed(n: int, limit: float, confidence: float) -> int | None:
    """Most misses among n whose upper confidence bound stays within `limit`; None if not even 0."""
    misses = None
    for k in range(n):
        if upper_bound(k, n, confidence) > limit:
            break
        misses = k
    return misses
