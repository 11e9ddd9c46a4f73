"""Boxes of annotated images, in pixels of the picture as it is, and as text in the manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import ceil, floor

import numpy as np

from pipeline.contracts.sample import Box
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels

_SIDES = ("left", "top", "right", "bottom")


def in_pixels(boxes: Iterable[Box], width_px: int, height_px: int, name: str) -> tuple[Box, ...]:
    """The boxes in pixels, cut off at the borders of a picture of this size.

    Args:
        boxes: of the picture.
        width_px, height_px: its size.
        name: what the message calls the picture.

    Raises:
        UnreadableImage: a box lies wholly outside, so that it was drawn in another picture.
    """
    found = []
    for box in boxes:
        x, y = (width_px, height_px) if box.relative else (1, 1)
        left, right = max(0.0, box.left * x), min(float(width_px), box.right * x)
        top, bottom = max(0.0, box.top * y), min(float(height_px), box.bottom * y)
        if not (left < right and top < bottom):
            sides = " ".join(f"{getattr(box, side):g}" for side in _SIDES)
            raise UnreadableImage(
                f'{name} has {width_px}x{height_px} pixels, and its box "{box.label}" ({sides}) '
                "lies outside; were the boxes drawn in a picture of another size?"
            )
        found.append(Box(box.label, left, top, right, bottom))
    return tuple(found)


def written(boxes: Iterable[Box]) -> str:
    """Boxes in pixels as JSON, "" where there are none; sides to a hundredth of a pixel."""
    rows = [
        {"label": box.label, **{side: round(getattr(box, side), 2) for side in _SIDES}}
        for box in boxes
    ]
    return json.dumps(rows, ensure_ascii=False) if rows else ""


def parsed(text: str) -> tuple[Box, ...]:
    """The boxes that `written` wrote."""
    return tuple(Box(**row) for row in json.loads(text)) if text else ()


def filled(boxes: Iterable[Box], width_px: int, height_px: int) -> Pixels:
    """A mask, uint8 H,W, that is 255 in boxes in pixels and 0 elsewhere."""
    mask = np.zeros((height_px, width_px), np.uint8)
    for box in boxes:
        rows = slice(floor(box.top), ceil(box.bottom))
        mask[rows, floor(box.left) : ceil(box.right)] = 255
    return mask
