"""JPEG, decoded strictly: what libjpeg-turbo warns of and goes on after is an error here.

OpenCV passes over those warnings. They report a scan that ends before its last block or goes on
behind it, of codes that are in no table, and of restart markers out of turn. A flipped bit that
makes another valid scan of the same length is not seen: JPEG has no checksum.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import simplejpeg

from pipeline.imaging import Pixels

START = b"\xff\xd8"
# Neither a stuffed 0xFF, a fill byte nor a restart marker: ITU-T T.81, B.1.1.
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_END, _SCAN, _EXIF = 0xD9, 0xDA, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the same range holds tables
_COEFFICIENTS = 64
# EXIF's orientation in either byte order, unless it is one 16-bit number that means upright. Such
# bytes may stand for something else: OpenCV decides, and is only slower.
_TURNED = re.compile(
    rb"\x01\x12(?!\0\x03\0\0\0\x01\0\x01)|\x12\x01(?!\x03\0\x01\0\0\0\x01\0)", re.DOTALL
)


def size_px(data: bytes) -> tuple[int, int] | None:
    """Width and height by the header, before any orientation is applied; None: it has none."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return width, height


def decode(data: bytes) -> Pixels | None:
    """Decode a JPEG as OpenCV does, to the same pixels, but strictly.

    Returns:
        uint8 RGB, height x width x 3; None where it is whole, but is in the colours of print or may
            have to be turned, which OpenCV does.

    Raises:
        ValueError: libjpeg-turbo's error or first warning.
    """
    _, _, colours, _ = simplejpeg.decode_jpeg_header(data)
    for_print = colours in ("CMYK", "YCCK")
    if for_print or _may_be_turned(data):
        # At an eighth of the size, which reads all of the scans.
        space = "CMYK" if for_print else "RGB"
        simplejpeg.decode_jpeg(data, space, min_height=1, min_width=1, min_factor=8, strict=True)
        return None
    return cast(Pixels, simplejpeg.decode_jpeg(data, "RGB", strict=True))


def ends(data: bytes) -> bool:
    """Does the end marker follow (that of a thumbnail inside a segment does not count)?"""
    return any(marker == _END for marker, _ in _segments(data))


def lacks_scans(data: bytes) -> bool:
    """Is a scan missing that the header promises: a colour's, or of a progressive one the last?"""
    missing: dict[int, set[int]] = {}
    for marker, segment in _segments(data):
        if marker in _FRAMES:
            missing |= {number: set(range(_COEFFICIENTS)) for number in segment[6::3]}
        elif marker == _SCAN and segment:
            behind = 1 + 2 * segment[0]
            first, last, precision = segment[behind : behind + 3].ljust(3, b"\xff")
            if precision & 0x0F == 0:  # else further scans make the coefficients exact
                for number in segment[1:behind:2]:
                    missing.get(number, set()).difference_update(range(first, last + 1))
    return any(missing.values())


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers and what their segments hold, to the end marker; coded data is passed over."""
    at = len(START)
    while found := _MARKER.search(data, at):
        marker, begin = found[1][0], found.end() + 2
        if marker == _END:
            yield marker, b""
            return
        at = found.end() + int.from_bytes(data[found.end() : begin], "big")
        yield marker, data[begin:at]


def _may_be_turned(data: bytes) -> bool:
    for marker, segment in _segments(data):
        if marker == _SCAN:
            return False
        if marker == _EXIF and segment.startswith(b"Exif\0") and _TURNED.search(segment):
            return True
    return False
