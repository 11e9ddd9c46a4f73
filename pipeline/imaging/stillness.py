"""Is a camera's picture still the one before? Decided by its content, not by the rate of frames.

A sensor's noise makes every picture a new one. Where the same one comes again and again, the
camera, its driver or the converter in front of it is stuck, though frames keep coming.

The limits are measured on 1280x1024. A live but motionless scene, with noise of only 0.3 grey
levels, differs from frame to frame by 0.14 grey levels in the mean, and as JPEG of quality 95, 80
and 50 by 0.08, 0.05 and 0.08. A frozen picture that a video encoder (x264, CRF 18 to 28) goes on
encoding differs by 0.001 to 0.02. Video of low quality (CRF 23 and up) throws the noise of a
motionless scene away, by as little as 0.005: there the two cannot be distinguished.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.imaging import Pixels

SAME_MEAN = 0.02  # grey levels: mean absolute difference of two pictures that are the same
SAME_MOST = 10  # grey levels, anywhere: a small part that came into view is another picture
GRID = 64  # points a side that are looked at first, and are enough for a live picture
GRID_MEAN = 0.1  # grey levels; of a few thousand points the mean is not exact
ROWS = 256  # that are compared where the grid sees no difference


class Stillness:
    """Counts how often the same picture came; one for each camera.

    It keeps the last picture, which must not be written to any more.
    """

    def __init__(self) -> None:
        self._last: Pixels | None = None
        self._run = 0

    def same(self, pixels: Pixels) -> int:
        """How many pictures in a row, this one included, look the same: 1 for a new one.

        Args:
            pixels: uint8 height x width x channels. The same array again is the same frame, and
                is not counted again.
        """
        last, self._last = self._last, pixels
        if last is pixels:
            return self._run
        self._run = self._run + 1 if last is not None and alike(last, pixels) else 1
        return self._run


def alike(one: Pixels, other: Pixels) -> bool:
    """Do two pictures, uint8 height x width x channels, show the same but for an encoder's doing?

    Of a picture of 1280x1024 it looks at a row in the middle; where that is alike at every 16th
    pixel of every 16th row, and only where those are, too, at every 4th row.
    """
    if one.shape != other.shape:
        return False
    height, width = one.shape[:2]
    step = max(1, height // ROWS)
    middle = height // 2 // step * step  # one of the rows below: it distinguishes most parts
    if cv2.norm(one[middle], other[middle], cv2.NORM_INF) > SAME_MOST:
        return False
    down, across = max(1, height // GRID), max(1, width // GRID)
    grid = np.s_[down // 2 :: down, across // 2 :: across]
    apart = np.abs(one[grid].astype(np.int16) - other[grid])
    if apart.max(initial=0) > SAME_MOST or apart.mean() > GRID_MEAN:
        return False
    rows = np.s_[::step]
    if cv2.norm(one[rows], other[rows], cv2.NORM_INF) > SAME_MOST:
        return False
    return cv2.norm(one[rows], other[rows], cv2.NORM_L1) / one[rows].size <= SAME_MEAN
