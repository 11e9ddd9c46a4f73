"""Texture of a surface, wherever on the picture: numbers that distinguish kinds of parts."""

from __future__ import annotations

from typing import TypeAlias, cast

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.imaging import Pixels

Texture: TypeAlias = npt.NDArray[np.float32]
Plane: TypeAlias = npt.NDArray[np.float32]

SIDE_PX = 128
SCALES = 3
CELLS = 8
# Of the 64 cells in order: the least, the 10th, 25th, 50th, 75th and 90th in 100, and the greatest.
_RANKS = (0, 6, 16, 32, 47, 57, 63)
LOOKED_AT_PX = 1024  # in the middle of a picture
EVEN_PX = 16.0  # wider changes of grey are uneven light
FAINT = 1.5  # grey levels; less is noise
LENGTH = SCALES * 6 * (len(_RANKS) + 5) + 4


def texture(rgb: Pixels) -> Texture:
    """Describe a picture by how bright, how rough and how directed it is, and how unevenly so.

    Grey level, four directions of slope and the Laplacian of a 128 x 128 grey thumbnail, at three
    scales; of each the spread over 8 x 8 cells in order of size, so that it does not matter where
    a scratch lies. Four numbers describe the colour.

    Args:
        rgb: uint8, height x width x 3, RGB.

    Returns:
        float32 of `LENGTH` numbers, logarithms but for the colour.
    """
    small = cv2.resize(rgb, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    numbers: list[float] = []
    for _ in range(SCALES):
        for plane in _planes(grey):
            numbers += _spread(plane)
        grey = cast(Plane, cv2.pyrDown(grey))
    tiny = cv2.resize(small, (CELLS, CELLS), interpolation=cv2.INTER_AREA).astype(np.float32)
    colour = (tiny[:, :, ::2] - tiny[:, :, 1:2]).reshape(-1, 2)
    shades = np.log1p(np.asarray(numbers, np.float32))
    return np.concatenate([shades, colour.mean(axis=0), colour.std(axis=0)])


def _planes(grey: Plane) -> list[Plane]:
    """The grey picture, its slope across, down and along both diagonals, its Laplacian."""
    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=1)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=1)
    edges = cv2.Laplacian(grey, cv2.CV_32F)
    slopes = [across, down, across + down, across - down, edges]
    return [grey, *(cast(Plane, np.abs(slope)) for slope in slopes)]


def _spread(plane: Plane) -> list[float]:
    """Cells in order, mean, deviation and maximum, and how uneven rows and columns are."""
    cells = cv2.resize(plane, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    mean, deviation = cv2.meanStdDev(plane)
    sides = [cv2.meanStdDev(cv2.reduce(plane, i, cv2.REDUCE_AVG))[1][0, 0] for i in (1, 0)]
    ordered = np.sort(cells, axis=None)[_RANKS,]
    return [*ordered.tolist(), mean[0, 0], deviation[0, 0], cv2.minMaxLoc(plane)[1], *sides]


def structure_px(rgb: Pixels) -> float | None:
    """About how wide the structures of a surface are: half its mean wavelength, in pixels.

    Of a wave of length l the deviation is l / 2 pi times that of its slope; uneven light and the
    noise of single pixels are filtered out before.

    Args:
        rgb: uint8, height x width x 3, RGB.

    Returns:
        None where nothing but noise can be seen.
    """
    height, width = (max(0, side - LOOKED_AT_PX) // 2 for side in rgb.shape[:2])
    middle = rgb[height : height + LOOKED_AT_PX, width : width + LOOKED_AT_PX]
    grey = cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = cv2.GaussianBlur(grey, (0, 0), 1.0)
    waves = fine - cv2.GaussianBlur(grey, (0, 0), EVEN_PX)
    slope = [cv2.Sobel(fine, cv2.CV_32F, *way, ksize=1, scale=0.5) for way in ((1, 0), (0, 1))]
    steep = sum(float(np.square(s).mean()) for s in slope)
    deviation = float(waves.std())
    if deviation < FAINT or steep == 0:
        return None
    return float(np.pi * deviation / np.sqrt(steep))
