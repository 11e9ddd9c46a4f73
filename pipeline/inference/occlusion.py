"""Where in a picture a defect score comes from, through ONNX Runtime alone.

Occlusion (Zeiler and Fergus, ECCV 2014): a patch of the picture is filled with the colour around
it, and what the score loses then, the patch had added. The report's heat maps, which need torch,
are sharper; both show the same places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.imaging import Pixels
from pipeline.imaging.overlay import spread

Floats = npt.NDArray[np.float32]
Judge = Callable[[Pixels], Floats]  # uint8 1,H,W,C -> float32 1,K: probabilities of classes

PLACES = 11  # along each side
PATCH = 3  # steps from one place to the next that a patch covers
FAINT = 0.5  # of log odds: a picture whose hottest place adds less has no hot place
SURE = 1e-6  # probabilities nearer to 0 and 1 count as this


def steps() -> int:
    """How often `occlusion` judges."""
    return PLACES * PLACES + 1


def occlusion(
    judge: Judge, image: Pixels, passing: Sequence[bool], part_class: int
) -> Iterator[Floats | None]:
    """Judge a picture again and again, each time with another patch covered.

    Args:
        judge: the network.
        image: uint8 H,W,C, prepared.
        passing: for each of the K classes, is a part of it good?
        part_class: the class asked about where no class passes, or all do.

    Yields:
        None after each judgement, so that the caller can pause or stop between two; at the end the
        heat, float32 H,W from 0 to 1.
    """
    whole = _log_odds(judge(image[None]), passing, part_class)
    yield None
    lost = np.zeros((PLACES, PLACES), np.float32)
    height, width = image.shape[:2]
    for row in range(PLACES):
        for column in range(PLACES):
            top, bottom = _covered(row, height)
            left, right = _covered(column, width)
            patched = image.copy()
            patched[top:bottom, left:right] = _around(image, top, bottom, left, right)
            lost[row, column] = whole - _log_odds(judge(patched[None]), passing, part_class)
            yield None
    raised = lost.clip(0)
    heat = (raised / max(float(raised.max()), FAINT)).astype(np.float32)
    yield spread(heat, (height, width))


def _log_odds(probabilities: Floats, passing: Sequence[bool], part_class: int) -> float:
    """Log odds that the part is bad, or of the class asked about."""
    p = probabilities[0]
    bad = ~np.asarray(passing)
    if bad.all() or not bad.any():
        bad = np.arange(len(p)) == part_class
    share = float(np.clip(p[bad].sum(), SURE, 1 - SURE))
    return float(np.log(share / (1 - share)))


def _covered(place: int, size_px: int) -> tuple[int, int]:
    """First and last (excluded) pixel of the patch at a place along a side."""
    step_px = size_px / PLACES
    middle_px, half_px = (place + 0.5) * step_px, PATCH * step_px / 2
    return max(0, round(middle_px - half_px)), min(size_px, max(1, round(middle_px + half_px)))


def _around(image: Pixels, top: int, bottom: int, left: int, right: int) -> npt.NDArray[np.uint8]:
    """The mean colour of a frame around a patch, of the whole picture where nothing is around."""
    rim_px = max(1, (bottom - top) // 4, (right - left) // 4)
    outer = image[max(0, top - rim_px) : bottom + rim_px, max(0, left - rim_px) : right + rim_px]
    inner = image[top:bottom, left:right]
    n = outer.shape[0] * outer.shape[1] - inner.shape[0] * inner.shape[1]
    if n <= 0:
        mean = image.mean(axis=(0, 1))
    else:
        mean = (outer.sum(axis=(0, 1), dtype=np.int64) - inner.sum(axis=(0, 1), dtype=np.int64)) / n
    colour: npt.NDArray[np.uint8] = np.rint(mean).astype(np.uint8)
    return colour
