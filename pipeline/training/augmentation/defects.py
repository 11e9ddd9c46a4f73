"""Defects as masks show them: one connected area each, and how well it stands out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.imaging import Pixels
from pipeline.imaging.geometry import connected_areas

Bools = npt.NDArray[np.bool_]

SMALLEST_AREA_PX = 4  # fewer are crumbs of the resizing, not drawn by an annotator
GAP_PX, RING_PX = 3, 8
LEAST_RING_AREA_PX = 24


@dataclass(frozen=True)
class Defect:
    """One connected area of a mask.

    Attributes:
        area: where it is, bool H,W.
        diameter_px: of the circle of the same area.
        centre: x and y in pixels.
        whole: does it end inside the image?
    """

    area: Bools
    diameter_px: float
    centre: tuple[float, float]
    whole: bool


def defects_of(mask: Pixels) -> list[Defect]:
    """The defects of one mask, uint8 H,W (0 is sound), crumbs left out; 8-connected."""
    areas, stats, centres = connected_areas(mask)
    height, width = mask.shape
    found = []
    for i, (sides, centre) in enumerate(zip(stats, centres, strict=True), 1):
        left, top, w, h, n_px = (int(v) for v in sides)
        if n_px < SMALLEST_AREA_PX:
            continue
        whole = left > 0 and top > 0 and left + w < width and top + h < height
        x, y = (float(v) for v in centre)
        found.append(Defect(areas == i, math.sqrt(4 * n_px / math.pi), (x, y), whole))
    return found


def surround(area: Bools, other: Bools | None = None) -> Bools:
    """A ring around an area, clear of its blurred edge and of other defects."""
    filled = area.astype(np.uint8)
    near, far = (cv2.dilate(filled, _disc(r)) for r in (GAP_PX, GAP_PX + RING_PX))
    ring: Bools = (far > 0) & (near == 0)
    return ring if other is None else ring & ~other


def visibility(image: Pixels, area: Bools, other: Bools | None = None) -> float:
    """How far a defect rises above the variation around it, in units of that variation.

    The root of the mean squared difference from the surround's median, less the surround's own
    variance, over its deviation (from the median absolute deviation, and at least one grey level):
    a contrast-to-noise ratio that also sees thin defects in generous masks. Of the channels the
    largest counts.

    Args:
        image: uint8 H,W,C.
        area: where the defect is, bool H,W.
        other: further defects, which do not belong to its surround.

    Returns:
        0 for what does not stand out, NaN where there is no defect or no surround to compare with.
    """
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    if not len(rows):
        return float("nan")
    reach = GAP_PX + RING_PX + 1
    part = (
        slice(max(0, rows[0] - reach), rows[-1] + reach + 1),
        slice(max(0, columns[0] - reach), columns[-1] + reach + 1),
    )
    ring = surround(area[part], None if other is None else other[part])
    if ring.sum() < LEAST_RING_AREA_PX:
        return float("nan")
    inside, around = (image[part][where].astype(np.float64) for where in (area[part], ring))
    level = np.median(around, axis=0)
    deviation = np.maximum(1.4826 * np.median(np.abs(around - level), axis=0), 1.0)
    energy = ((inside - level) ** 2).mean(axis=0) / deviation**2 - 1
    return float(np.sqrt(np.maximum(energy, 0)).max())


def _disc(radius: int) -> npt.NDArray[np.uint8]:
    side = 2 * radius + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(np.uint8)
