"""Colours and orientation of an image file, read before it is decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image
from PIL.ImageFile import ImageFile

MODES = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey with alpha",
    "I": "grey, deep",
    "F": "grey, float",
    "P": "palette",
    "PA": "palette with alpha",
    "RGB": "colour",
    "RGBA": "colour with alpha",
    "YCbCr": "colour",
    "CMYK": "CMYK",
    "LAB": "Lab",
}
_UNKNOWN = "unknown"
_ORIENTATION = 0x0112
_UPRIGHT = 1


@dataclass(frozen=True)
class ImageMode:
    """How a file stores its picture.

    Attributes:
        colours: as stored, in words (a value of `MODES`, or with "16-bit" in front).
        rotated: by EXIF the camera was not held upright.
    """

    colours: str = ""
    rotated: bool = False


def image_mode(data: bytes) -> ImageMode:
    """Read the header of an encoded image, without its pixels; mode "unknown" if Pillow cannot."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            # Of a PNG without EXIF Pillow would decode the pixels to look behind them for it.
            known = image.format != "PNG" or "exif" in image.info
            turned = known and image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT
            return ImageMode(_mode(image), turned)
    # Pillow raises SyntaxError for some broken chunks; what OpenCV reads is judged by OpenCV.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return ImageMode(_UNKNOWN)


def _mode(image: Image.Image) -> str:
    # Pillow calls a 16-bit colour file plain RGB; only how it would unpack it shows that.
    tiles = image.tile if isinstance(image, ImageFile) else []
    raw = str(tiles[0].args) if tiles else ""
    deep = "16-bit " if image.mode.startswith("I;16") or ";16" in raw else ""
    plain = image.mode.split(";")[0] if not image.mode.startswith("I;16") else "L"
    return deep + MODES.get("L" if deep and plain == "I" else plain, plain)
