"""Where pixels go: crops, warps and tiles; a `Warp` moves a picture and its mask alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.contracts.spec import Point, Rectify, Roi, Tiles, Unwrap
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels

AnyPixels = npt.NDArray[Any]  # a picture, uint8, or a mask on its way, float32
# A picture (height x width, perhaps x channels) and OpenCV's interpolation to a new picture.
Warp = Callable[[AnyPixels, int], AnyPixels]
Box = tuple[slice, slice]
LONGEST_PX = 32_766  # what OpenCV's remap takes


def crop(picture: Pixels, roi: Roi) -> Warp:
    """Keep a rectangle; raises UnreadableImage when it reaches outside the picture."""
    height, width = picture.shape[:2]
    if roi.x_px + roi.width_px > width or roi.y_px + roi.height_px > height:
        raise UnreadableImage(
            f"the ROI ({roi.x_px},{roi.y_px} {roi.width_px}x{roi.height_px}) reaches outside "
            f"the image of {width}x{height} pixels"
        )
    box = (slice(roi.y_px, roi.y_px + roi.height_px), slice(roi.x_px, roi.x_px + roi.width_px))
    return lambda image, _: image[box]


def rectify(picture: Pixels, spec: Rectify) -> Warp:
    """Map four corners onto a rectangle; raises UnreadableImage when one is outside."""
    _refuse_outside(picture, spec.corners_px, "a corner of rectify")
    corners = np.array(spec.corners_px, np.float32)
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    # A warp looks at single pixels: what is to shrink is warped large, then averaged.
    target = (spec.width_px, spec.height_px, spec.width_px, spec.height_px)
    times = max(1, int(np.ceil((sides / target).max())))
    size = (spec.width_px * times, spec.height_px * times)
    right, bottom = size[0] - 1, size[1] - 1
    onto = np.array([(0, 0), (right, 0), (right, bottom), (0, bottom)], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, onto)

    def warp(image: AnyPixels, how: int) -> AnyPixels:
        flat = cv2.warpPerspective(image, matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
        if times > 1:
            small = (spec.width_px, spec.height_px)
            flat = cv2.resize(flat, small, interpolation=cv2.INTER_AREA)
        return cast(AnyPixels, flat)

    return warp


def window(matrix: npt.NDArray[np.float64], size: tuple[int, int]) -> Warp:
    """Look through a window that may be turned: `matrix` (2 x 3) maps it into the picture."""
    return lambda image, how: cast(
        AnyPixels,
        cv2.warpAffine(
            image,
            matrix,
            size,
            flags=how | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
    )


def unwrap(picture: Pixels, spec: Unwrap) -> Warp:
    """Unroll a ring, as long as its outer rim; raises UnreadableImage when it reaches outside."""
    height, width = picture.shape[:2]
    if max(height, width) > LONGEST_PX:
        raise UnreadableImage(
            f"unwrap takes pictures of up to {LONGEST_PX} px a side, this has {width}x{height}; "
            "keep less of it with roi"
        )
    x, y = spec.centre_px or ((width - 1) / 2, (height - 1) / 2)
    outer = spec.outer_px
    # A ring as large as the picture touches its border half a pixel further out.
    rim = outer - 0.5
    _refuse_outside(picture, ((x - rim, y - rim), (x + rim, y + rim)), "the ring of unwrap")
    size = (round(outer), round(2 * np.pi * outer))
    inner = min(round(spec.inner_px), size[0] - 1)

    def warp(image: AnyPixels, how: int) -> AnyPixels:
        rays = cv2.warpPolar(image, size, (x, y), outer, how | cv2.WARP_POLAR_LINEAR)
        return cast(AnyPixels, cv2.rotate(rays[:, inner:], cv2.ROTATE_90_COUNTERCLOCKWISE))

    return warp


def tiles(picture: Pixels, spec: Tiles) -> Iterator[Box]:
    """The tiles of a picture, row by row, each as an index into it; together they cover it."""
    height, width = picture.shape[:2]
    for top, bottom in _spans(height, spec.rows, spec.overlap):
        for left, right in _spans(width, spec.columns, spec.overlap):
            yield slice(top, bottom), slice(left, right)


def _spans(length: int, n: int, overlap: float) -> Iterator[tuple[int, int]]:
    """Start and end of n equal spans, each sharing `overlap` of itself with the next."""
    side = length / (1 + (n - 1) * (1 - overlap))
    for i in range(n):
        start = i * side * (1 - overlap)
        # A picture of fewer pixels than tiles still gives tiles of one pixel.
        first = min(round(start), length - 1)
        yield first, max(first + 1, min(length, round(start + side)))


def _refuse_outside(picture: Pixels, points: tuple[Point, ...], what: str) -> None:
    height, width = picture.shape[:2]
    for x, y in points:
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            raise UnreadableImage(
                f"{what} ({x:g},{y:g}) lies outside the image of {width}x{height} pixels"
            )


def connected_areas(mask: Pixels) -> tuple[npt.NDArray[np.int32], AnyPixels, AnyPixels]:
    """The connected areas of a mask, uint8 H,W (0 is outside), N of them; 8-connected.

    Returns:
        The number of its area at each pixel, int32 H,W, from 1 (0 outside); left, top, width,
        height and pixels of each, int32 N,5; x and y of the middle of each, float64 N,2.
    """
    _, numbers, stats, middles = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8))
    return cast(npt.NDArray[np.int32], numbers), stats[1:], middles[1:]
