"""Heat maps laid over the pictures they belong to."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.imaging import Pixels
from pipeline.imaging.sheet import thumbnail

# Perceptually uniform and fit for the colour-blind: hotter is always lighter, also in a grey print.
COLOURS = cv2.COLORMAP_INFERNO
OPAQUE = 0.85  # of the hottest place, so that the part can still be seen beneath it
COLDEST = 0.35  # of the colours: below they are as dark as a part


def overlay(image: Pixels, heat: npt.NDArray[np.float32]) -> Pixels:
    """Colour a picture where it is hot and leave it as it is where it is not.

    Args:
        image: uint8 H,W,1 or H,W,3 RGB.
        heat: float32 H,W, 0 to 1.

    Returns:
        uint8 H,W,3 RGB.
    """
    rgb = thumbnail(image, max(image.shape[:2]))
    levels = np.rint(255 * (COLDEST + (1 - COLDEST) * heat.clip(0, 1))).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, COLOURS), cv2.COLOR_BGR2RGB)
    alpha = OPAQUE * heat.clip(0, 1)[:, :, None]
    return cast(Pixels, np.rint(rgb * (1 - alpha) + colours * alpha).astype(np.uint8))


def spread(places: npt.NDArray[np.float32], size_px: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Heat of a few places (float32 h,w) over a whole picture of height and width: float32 H,W."""
    large = cv2.resize(places, size_px[::-1], interpolation=cv2.INTER_LINEAR)
    return cast("npt.NDArray[np.float32]", large)


def inside(heat: npt.NDArray[np.float32], mask: Pixels) -> float:
    """Share of all heat (H,W) that lies inside a mask (uint8 H,W, 0 is outside); NaN without."""
    total = float(heat.sum(dtype=np.float64))
    return float(heat[mask > 0].sum(dtype=np.float64)) / total if total > 0 else float("nan")
