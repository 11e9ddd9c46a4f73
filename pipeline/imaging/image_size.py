"""What an image file says of its size, read without decoding it."""

from __future__ import annotations

import io

import imagesize

# Those kinds that the codec decodes to more than the file holds. The library knows others, too;
# SVG among them, and XML is nothing to read from strangers.
JPEG = b"\xff\xd8"
STARTS = (JPEG, b"\x89PNG", b"BM", b"II", b"MM", b"RIFF")
HEAD_BYTES = 1 << 20


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
    # A JPEG is looked through byte by byte until its size comes, as it does near the start. A
    # TIFF's may stand at the end.
    most = HEAD_BYTES if data.startswith(JPEG) else len(data)
    try:
        width, height = imagesize.get(io.BytesIO(data[:most]), exif_rotation=False)
    except Exception:  # of a damaged file it raises whatever its parser met
        return None
    if (width, height) == (-1, -1):
        return None
    return abs(width), abs(height)  # a bitmap's height is negative where it starts at the top
