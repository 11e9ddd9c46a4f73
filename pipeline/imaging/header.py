"""What an image file says of its size, read without decoding it."""

from __future__ import annotations

import io

import imagesize

# Those kinds that the codec decodes to more than the file holds. The library knows others, too;
# SVG among them, and XML is nothing to read from strangers.
STARTS = (b"\xff\xd8", b"\x89PNG", b"BM", b"II", b"MM", b"RIFF")


def size_px(data: bytes) -> tuple[int, int] | None:
    """Width and height that an image file claims, before any orientation is applied.

    Nothing more is checked: the file may be damaged, and `codec.decode` is the one to tell. Of
    several pages it is the first.

    Args:
        data: the bytes of a JPEG, PNG, BMP, TIFF or WebP file.

    Returns:
        None where that cannot be read, or it is no such file.
    """
    if not data.startswith(STARTS):
        return None
    try:
        width, height = imagesize.get(io.BytesIO(data))
    except Exception:  # of a damaged file it raises whatever its parser met
        return None
    if (width, height) == (-1, -1):
        return None
    return abs(width), abs(height)  # a bitmap's height is negative where it starts at the top
