"""A short vector for each picture: close for two copies of one shot, far for two parts."""

from __future__ import annotations

from typing import TypeAlias, cast

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.imaging import Pixels

Fingerprint: TypeAlias = npt.NDArray[np.float32]

SIDE_PX = 64
WAVES = 16
LENGTH = WAVES * WAVES - 1
# Grey levels a thumbnail pixel. What JPEG changes is about the same in every picture; without a
# floor it would count tenfold in a picture with little to see, such as a plain steel strip.
FLOOR = 3.0

_ROW, _COLUMN = np.mgrid[:WAVES, :WAVES]
# From a cosine's weight to its share in the thumbnail's root mean square slope.
_SLOPE = (np.pi * np.hypot(_ROW, _COLUMN) / SIDE_PX**2).astype(np.float32)


def fingerprint(rgb: Pixels) -> Fingerprint:
    """Describe what a picture shows, whatever its size, compression and exposure.

    The 16 x 16 lowest cosines of a 64 x 64 grey thumbnail, as in PDQ (Facebook, "The TMK+PDQF
    video-hashing algorithm and the PDQ image-hashing algorithm", 2019), but kept as numbers:
    signs alone do not distinguish one solar cell from the next. Each is weighted with its
    frequency, so that edges count and even light does not, and all are divided by the picture's
    slope. Colour, flips and rotations are not seen through: a mirrored copy is another picture.

    Args:
        rgb: uint8, height x width x 3, RGB.

    Returns:
        float32 of `LENGTH` numbers with a Euclidean norm below 1; all zero for an even picture.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    waves = cv2.dct(small.astype(np.float32))[:WAVES, :WAVES] * _SLOPE
    slopes = waves.ravel()[1:]
    return cast(Fingerprint, slopes / np.float32(np.hypot(np.linalg.norm(slopes), FLOOR)))
