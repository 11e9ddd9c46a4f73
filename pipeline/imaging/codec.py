"""Encoded bytes to RGB pixels and back; the only place that knows OpenCV's BGR order."""

from __future__ import annotations

import os
import stat
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from pipeline.contracts.spec import RawPixels
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels, image_size, jpeg
from pipeline.imaging.raw import to_rgb

VERSION = f"OpenCV {cv2.__version__}, simplejpeg {simplejpeg.__version__}"
SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

# OpenCV decodes more formats (AVIF, JPEG 2000, GIF, OpenEXR, Radiance, ...): more ways for a
# damaged file to do harm, and none that a camera here writes.
_ENDINGS = {
    b"\xff\xd8": ".jpg",
    b"\x89P": ".png",
    b"BM": ".bmp",
    b"II": ".tif",
    b"MM": ".tif",
    b"RI": ".webp",
    b"P2": ".pgm",
    b"P5": ".pgm",
}
# RGB at once: turning OpenCV's own BGR round took a sixth of the time of decoding and resizing.
_FLAGS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH
_DEEP_FLAGS = cv2.IMREAD_COLOR_BGR | cv2.IMREAD_ANYDEPTH
_LARGEST_BYTES = 2**31 - 1  # imdecode takes no more
_MASK_COLOURS = 16
_LIMIT = "OPENCV_IO_MAX_IMAGE_PIXELS"
_CUT_OFF = "cut off, its end is missing; copy it again"


def decode(data: bytes, name: str = "image", raw: RawPixels | None = None) -> Pixels:
    """Decode an encoded image.

    Args:
        data: the bytes of a JPEG, PNG, BMP, TIFF, WebP or PNM file.
        name: what the message calls the image.
        raw: what its values mean, where they are a sensor's own; None: 8 bits a channel.

    Returns:
        uint8 RGB, height x width x 3: grey images have three equal channels, alpha is dropped (in
        TIFF, libtiff has multiplied the colours by it), EXIF's orientation is applied, and of
        several pages or frames it is the first.

    Raises:
        UnreadableImage: empty, cut off, damaged as far as its format lets that be seen
            (docs/station.md), not an image, larger than OPENCV_IO_MAX_IMAGE_PIXELS
            (`pipeline/__init__.py`), or of another depth than `raw` names; without it of more than
            8 bits a channel (no one scale would be right for 10, 12 and 16 bit cameras).
    """
    pixels = _decoded(data, name)
    if raw is not None:
        return to_rgb(pixels, raw, name)
    if pixels.dtype != np.uint8:
        raise UnreadableImage(
            f"{name} has {pixels.dtype.itemsize * 8} bits a channel; set `raw` (bit_depth, black, "
            "white) to your camera's range: under `source` in the line file, and in ingest.yaml"
        )
    return pixels


def ending(data: bytes) -> str:
    """What the name of an image file with these bytes ends with, "" where `decode` takes none."""
    return _ENDINGS.get(data[:2], ".ppm") if image_size.STARTS.match(data) else ""


def read(path: Path, raw: RawPixels | None = None) -> Pixels:
    """Decode an image file; raises UnreadableImage as `decode` does."""
    return decode(content(path, str(path)), str(path), raw)


def content(path: Path, name: str) -> bytes:
    """The bytes of an image file.

    Raises:
        UnreadableImage: it cannot be read, is larger than 2 GiB or is not a file; a pipe is not
            opened, since that would wait indefinitely.
    """
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST_BYTES:
            return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"{name} cannot be read: {error.strerror}") from None
    if stat.S_ISREG(status.st_mode):
        raise UnreadableImage(f"{name} has {status.st_size:,} bytes; no image here has over 2 GiB")
    kind = "directory" if stat.S_ISDIR(status.st_mode) else "pipe or device"
    raise UnreadableImage(f"{name} is a {kind}, not a file; rename or remove it")


def decode_mask(data: bytes, name: str = "mask") -> Pixels:
    """Decode a mask of any depth: uint8 height x width, 255 where a channel is not 0.

    Raises:
        UnreadableImage: as `decode` does, but for the depth.
    """
    marked = _decoded(data, name).any(axis=2)
    return np.where(marked, np.uint8(255), np.uint8(0))


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


def is_blank(data: bytes, name: str = "mask") -> bool:
    """Is every pixel of an encoded mask 0, at any depth? Raises UnreadableImage."""
    return not _decoded(data, name).any()


def looks_drawn(data: bytes, name: str = "mask") -> bool:
    """Has a picture so few colours, or is it so nearly black and white, as a mask does?

    At most 16 colours, or 98 in 100 pixels near the darkest or the brightest value: a mask that
    was saved as JPEG. Raises UnreadableImage.
    """
    pixels = _decoded(data, name)
    step = max(1, int((pixels.shape[0] * pixels.shape[1] / 2**18) ** 0.5))
    pixels = pixels[::step, ::step].reshape(-1, 3)
    if len(np.unique(pixels, axis=0)) <= _MASK_COLOURS:
        return True
    grey = pixels.max(axis=1).astype(np.float32)
    low, high = float(grey.min()), float(grey.max())
    near = np.minimum(grey - low, high - grey) <= 0.07 * (high - low)
    return bool(near.mean() >= 0.98)


def _decoded(data: bytes, name: str) -> npt.NDArray[Any]:
    """Three channels, RGB, at the depth they were stored with."""
    if not data:
        raise UnreadableImage(f"{name} is empty (0 bytes)")
    cannot = f"{name} cannot be decoded ({len(data)} bytes)"
    if fault := _fault(data):
        raise UnreadableImage(f"{cannot}: {fault}")
    claimed = _within_limit(data, name, cannot)
    try:
        pixels = jpeg.decode(data) if data.startswith(jpeg.START) else None
    except ValueError as error:
        reason = str(error).removeprefix("Corrupt JPEG data: ")
        raise UnreadableImage(f"{cannot}: damaged ({reason}); copy or send it again") from None
    if pixels is None:
        pixels = _by_opencv(data, cannot)
    if sorted(pixels.shape[:2]) != sorted(claimed):
        height, width = pixels.shape[:2]
        raise UnreadableImage(
            f"{cannot}: its header claims {claimed[0]}x{claimed[1]} pixels, it has {width}x{height}"
        )
    return pixels


def _within_limit(data: bytes, name: str, cannot: str) -> tuple[int, int]:
    """Width and height that it claims, checked before a decoder takes memory for them."""
    if (claimed := image_size.size_px(data)) is None:
        raise UnreadableImage(
            f"{cannot}: its header does not give its size, so no memory is taken for it; copy it "
            "again, or save it as JPEG, PNG, BMP, TIFF, WebP or PNM once more"
        )
    if claimed[0] * claimed[1] > most_pixels():
        raise UnreadableImage(
            f"{name} claims {claimed[0]:,} x {claimed[1]:,} pixels, more than {_LIMIT} "
            f"({most_pixels()}); if it has them, set that environment variable higher"
        )
    return claimed


def most_pixels() -> int:
    """The largest image that is decoded anywhere, in pixels.

    Raises:
        UnreadableImage: the environment variable that sets it is not a whole number.
    """
    given = os.environ[_LIMIT]
    if not given.isdecimal():
        raise UnreadableImage(
            f'the environment variable {_LIMIT} is "{given}"; write a number of pixels, such as '
            "50000000"
        )
    return int(given)


def _by_opencv(data: bytes, cannot: str) -> npt.NDArray[Any]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
        if pixels is not None and pixels.dtype != np.uint8:
            # Of a TIFF in deep colours OpenCV makes wrong RGB, but right BGR.
            bgr = cv2.imdecode(np.frombuffer(data, np.uint8), _DEEP_FLAGS)
            pixels = None if bgr is None else bgr[..., ::-1]
    except cv2.error as error:
        raise UnreadableImage(f"{cannot}: {error.err}") from None
    if pixels is None:
        raise UnreadableImage(f"{cannot}: damaged")
    return pixels


def _fault(data: bytes) -> str:
    """What can be seen to be wrong before anything is decoded, "" when nothing is."""
    if not image_size.STARTS.match(data):
        return "it does not begin as JPEG, PNG, BMP, TIFF, WebP or PNM does"
    if data.startswith(jpeg.START):
        if not jpeg.ends(data):
            return _CUT_OFF
        return "a scan is missing; copy or send it again" if jpeg.lacks_scans(data) else ""
    return _png_fault(memoryview(data)) if data.startswith(b"\x89PNG") else ""


def _png_fault(data: memoryview) -> str:
    """Chunks must lie within the file: OpenCV allocates what one claims, up to 4 GiB."""
    at = 8
    while True:
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            return _CUT_OFF
        # A chunk whose first letter is a capital is critical; readers pass over damage in others.
        critical = not data[at + 4] & 0x20
        if critical and zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            return "damaged, a checksum is wrong; copy it again"
        if bytes(data[at + 4 : at + 8]) == b"IEND":
            return ""
        at = end
