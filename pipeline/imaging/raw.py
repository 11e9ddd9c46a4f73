"""A sensor's own values to RGB, by the scale and the colour filter that the settings name."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.contracts.spec import RawPixels
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels

# By the two colours of the first row and of the second, as GenICam and FFmpeg name them.
_DEMOSAICED = {
    "RGGB": cv2.COLOR_BayerRGGB2RGB,
    "GRBG": cv2.COLOR_BayerGRBG2RGB,
    "GBRG": cv2.COLOR_BayerGBRG2RGB,
    "BGGR": cv2.COLOR_BayerBGGR2RGB,
}


def to_rgb(values: npt.NDArray[Any], raw: RawPixels, name: str) -> Pixels:
    """Scale a sensor's values, and make colours of those behind a colour filter.

    Args:
        values: uint8 or uint16, height x width, or x 3 in RGB (grey files have equal channels).
        raw: what they mean.
        name: what the message calls the picture.

    Returns:
        uint8 RGB, height x width x 3: `raw.black` is 0, the white value 255, what lies beyond is
        cut off.

    Raises:
        UnreadableImage: they are not of that depth, or a colour filter is named and they are in
            colour already.
    """
    n_bits = values.dtype.itemsize * 8
    if values.dtype not in (np.uint8, np.uint16) or n_bits != raw.stored_bits:
        raise UnreadableImage(
            f"{name} has {n_bits} bits a channel; `raw.bit_depth` {raw.bit_depth} is for "
            f"{raw.stored_bits}: make the setting fit the camera, or leave `raw` out for pictures "
            "of 8 bits"
        )
    if raw.bayer is not None:
        if values.ndim == 3:
            if not (values == values[..., :1]).all():
                raise UnreadableImage(
                    f"{name} is in colour already; leave `raw.bayer` ({raw.bayer}) out"
                )
            values = values[..., 0]
        values = cv2.cvtColor(np.ascontiguousarray(values), _DEMOSAICED[raw.bayer])
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    return cast(Pixels, _table(raw.black, raw.white_value)[values])


@lru_cache(maxsize=16)
def _table(black: int, white: int) -> npt.NDArray[np.uint8]:
    """What each value becomes: integers in, the nearest of 256 steps out."""
    scaled = (np.arange(1 << 16, dtype=np.float64) - black) * (255 / (white - black))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
