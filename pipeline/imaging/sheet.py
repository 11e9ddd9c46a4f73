"""Contact sheets: many small pictures on one, each with its caption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np

from pipeline.imaging import Pixels

CAPTION_PX = 18
GAP_PX = 4
FONT = cv2.FONT_HERSHEY_SIMPLEX


def contact_sheet(
    tiles: Sequence[tuple[str, Pixels]], *, columns: int, tile_px: int = 144
) -> Pixels:
    """Lay captioned pictures out in rows.

    Args:
        tiles: captions and pictures, uint8 height x width x 1 or 3.
        columns: pictures in a row.
        tile_px: side of the square each picture is fitted into.

    Returns:
        uint8 RGB, one picture on a white ground.
    """
    rows = -(-len(tiles) // columns)
    step_x, step_y = tile_px + GAP_PX, tile_px + CAPTION_PX + GAP_PX
    sheet = np.full((rows * step_y + GAP_PX, columns * step_x + GAP_PX, 3), 255, np.uint8)
    for i, (caption, picture) in enumerate(tiles):
        top, left = GAP_PX + i // columns * step_y, GAP_PX + i % columns * step_x
        small = thumbnail(picture, tile_px)
        height, width = small.shape[:2]
        sheet[top : top + height, left : left + width] = small
        _write(sheet, caption, left, top + tile_px + CAPTION_PX - 5, tile_px)
    return sheet


def thumbnail(picture: Pixels, side: int) -> Pixels:
    """Fit a picture, uint8 height x width x 1 or 3, into a square; uint8 RGB."""
    rgb = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.shape[2] == 1 else picture
    scale = side / max(rgb.shape[:2])
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return cast(Pixels, cv2.resize(rgb, size, interpolation=how))


def _write(sheet: Pixels, caption: str, left: int, baseline: int, width: int) -> None:
    text = caption.encode("ascii", "replace").decode()
    scale = 0.42
    while text and cv2.getTextSize(text, FONT, scale, 1)[0][0] > width:
        text = text[:-1]
    cv2.putText(sheet, text, (left, baseline), FONT, scale, (40, 40, 40), 1, cv2.LINE_AA)
