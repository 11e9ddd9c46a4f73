"""What an image file says of its size, read without decoding it."""

from __future__ import annotations

import io
import re
import struct

import imagesize

from pipeline.imaging import jpeg

# Those that the codec decodes. The library knows others, too; SVG among them, and XML is nothing
# to read from strangers.
STARTS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|BM|II[*+]\0|MM\0[*+]|RIFF....WEBP|P[1-6]\s", re.DOTALL
)
HEAD_BYTES = 1 << 16
_BITMAP_OF_OS2 = (12).to_bytes(4, "little")  # bytes of its header, in the place of a bitmap's own


def size_px(data: bytes) -> tuple[int, int] | None:
    """Width and height that an image file claims, before any orientation is applied.

    Nothing more is checked: the file may be damaged, which only `codec.decode` finds. Of
    several pages it is the first.

    Args:
        data: the bytes of a JPEG, PNG, BMP, TIFF, WebP or PNM file.

    Returns:
        None where that cannot be read, or it is not such a file; the codec refuses both.
    """
    if not STARTS.match(data):
        return None
    if data.startswith(jpeg.START):
        return jpeg.size_px(data)
    if data.startswith(b"BM") and data[14:18] == _BITMAP_OF_OS2 and len(data) >= 22:
        width, height = struct.unpack("<HH", data[18:22])
        return _positive(width, height)
    # A TIFF's may stand at the end.
    most = len(data) if data.startswith((b"II", b"MM")) else HEAD_BYTES
    try:
        width, height = imagesize.get(io.BytesIO(data[:most]), exif_rotation=False)
    except Exception:  # of a damaged file it raises whatever its parser met
        return None
    return _positive(width, abs(height))  # a bitmap's is negative where it starts at the top


def _positive(width: int, height: int) -> tuple[int, int] | None:
    return (width, height) if width > 0 and height > 0 else None
