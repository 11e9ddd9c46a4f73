"""RGB pixels to the network's input, as the `PreprocessSpec` says; integers all the way."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from pipeline.contracts.spec import PreprocessSpec, Roi
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels

INTERPOLATION = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}


def prepare(rgb: Pixels, spec: PreprocessSpec) -> Pixels:
    """Crop, convert, resize and equalise one image.

    Args:
        rgb: uint8, height x width x 3, RGB.
        spec: what to do.

    Returns:
        uint8 of shape `spec.shape`, C-contiguous.

    Raises:
        UnreadableImage: the ROI lies outside the image.
    """
    if spec.roi is not None:
        rgb = _crop(rgb, spec.roi)
    image = rgb
    if spec.colour == "grey":
        image = cast(Pixels, cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
    image = (
        _letterbox(image, spec)
        if spec.fit == "letterbox"
        else _resize(image, spec.width_px, spec.height_px, spec)
    )
    if spec.clahe is not None:
        image = _equalise(image, spec)
    return np.ascontiguousarray(image).reshape(spec.shape)


def _crop(rgb: Pixels, roi: Roi) -> Pixels:
    height, width = rgb.shape[:2]
    if roi.x_px + roi.width_px > width or roi.y_px + roi.height_px > height:
        raise UnreadableImage(
            f"the ROI ({roi.x_px},{roi.y_px} {roi.width_px}x{roi.height_px}) reaches outside "
            f"the image of {width}x{height} pixels"
        )
    return rgb[roi.y_px : roi.y_px + roi.height_px, roi.x_px : roi.x_px + roi.width_px]


def _resize(image: Pixels, width: int, height: int, spec: PreprocessSpec) -> Pixels:
    if image.shape[:2] == (height, width):
        return image
    resized = cv2.resize(image, (width, height), interpolation=INTERPOLATION[spec.interpolation])
    return cast(Pixels, resized)


def _letterbox(image: Pixels, spec: PreprocessSpec) -> Pixels:
    height, width = image.shape[:2]
    scale = min(spec.width_px / width, spec.height_px / height)
    inner_width = max(1, round(width * scale))
    inner_height = max(1, round(height * scale))
    canvas = np.full(spec.shape if image.ndim == 3 else spec.shape[:2], spec.pad_value, np.uint8)
    top, left = (spec.height_px - inner_height) // 2, (spec.width_px - inner_width) // 2
    canvas[top : top + inner_height, left : left + inner_width] = _resize(
        image, inner_width, inner_height, spec
    )
    return canvas


def _equalise(image: Pixels, spec: PreprocessSpec) -> Pixels:
    assert spec.clahe is not None
    clahe = cv2.createCLAHE(spec.clahe.clip_limit, (spec.clahe.tiles, spec.clahe.tiles))
    if image.ndim == 2:
        return cast(Pixels, clahe.apply(image))
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = clahe.apply(lab[:, :, 0])
    return cast(Pixels, cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))
