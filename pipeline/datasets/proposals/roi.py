"""A proposed ROI: what differs between pictures; a frame around it that never does is left out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pipeline.contracts.spec import Roi
from pipeline.imaging import Pixels

DIFFERS = 12  # grey levels between the darkest and the brightest of all pictures at one place
LEAST_SHARE = 0.01  # of a row or column that differs, for it to be kept
MARGIN = 0.02  # of a side, kept beside what differs
WORTH = 0.2  # of the picture that has to be left out to be worth a setting
FEWEST = 8  # pictures that have to be looked at


def varying_area(pictures: Iterable[Pixels]) -> Roi | None:
    """The rectangle in which pictures differ from each other.

    Args:
        pictures: uint8 H,W,3 each, taken by a camera that stands still; all are asked for.

    Returns:
        None where they have several sizes, are few, or differ almost everywhere.
    """
    low: Pixels | None = None
    high: Pixels | None = None
    seen, same = 0, True
    for picture in pictures:
        seen += 1
        if low is None or high is None:
            low, high = picture.copy(), picture.copy()
        elif same := same and picture.shape == low.shape:
            np.minimum(low, picture, out=low)
            np.maximum(high, picture, out=high)
    if low is None or high is None or seen < FEWEST or not same:
        return None
    differs = (high - low).max(axis=2) > DIFFERS
    top, bottom = _span(differs.mean(axis=1) > LEAST_SHARE)
    left, right = _span(differs.mean(axis=0) > LEAST_SHARE)
    height, width = differs.shape
    if bottom <= top or (bottom - top) * (right - left) > (1 - WORTH) * height * width:
        return None
    return Roi(x_px=left, y_px=top, width_px=right - left, height_px=bottom - top)


def _span(wanted: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """First and last (exclusive) that are wanted, with a margin; 0, 0 where none is."""
    there = np.flatnonzero(wanted)
    if not len(there):
        return 0, 0
    margin = round(MARGIN * len(wanted))
    return max(0, int(there[0]) - margin), min(len(wanted), int(there[-1]) + 1 + margin)
