"""Encoded bytes to RGB pixels and back; the only place that knows OpenCV's BGR order."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def decode(data: bytes, name: str = "image") -> Pixels:
    """Decode an encoded image.

    Args:
        data: the bytes of a JPEG, PNG, BMP, TIFF, WebP or PNM file.
        name: what the message calls the image.

    Returns:
        uint8 RGB, height x width x 3 (grey images have three equal channels).

    Raises:
        UnreadableImage: empty, cut off, not an image, or deeper than 8 bits a channel (no one
            scale would be right for 10, 12 and 16 bit cameras).
    """
    bgr = _decoded(data, name)
    if bgr.dtype != np.uint8:
        raise UnreadableImage(
            f"{name} has {bgr.dtype.itemsize * 8} bits a channel; convert it to 8, by the scale "
            "that your camera's range asks for"
        )
    return cast(Pixels, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def read(path: Path) -> Pixels:
    """Decode an image file; raises UnreadableImage as `decode` does."""
    return decode(_content(path), str(path))


def encode_png(pixels: Pixels) -> bytes:
    """Encode uint8 H,W,3 RGB or H,W,1 grey as PNG."""
    out = pixels if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(".png", out)
    if not ok:
        raise UnreadableImage(f"an image of shape {pixels.shape} cannot be encoded as PNG")
    return data.tobytes()


def encode_jpeg(pixels: Pixels, quality: int = 80) -> bytes:
    """Encode uint8 H,W,3 RGB as JPEG, for people to look at: it loses detail."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise UnreadableImage(f"an image of shape {pixels.shape} cannot be encoded as JPEG")
    return data.tobytes()


def is_blank(path: Path) -> bool:
    """Is every pixel of a mask 0, at any depth? Raises UnreadableImage."""
    return not _decoded(_content(path), str(path)).any()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"{path} cannot be read: {error.strerror}") from None


def _decoded(data: bytes, name: str) -> npt.NDArray[Any]:
    """Three channels in OpenCV's order, at the depth they were stored with."""
    if not data:
        raise UnreadableImage(f"{name} is empty (0 bytes)")
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise UnreadableImage(f"{name} cannot be decoded: {error.err}") from None
    if bgr is None:
        raise UnreadableImage(f"{name} cannot be decoded ({len(data)} bytes): damaged or no image")
    return bgr
