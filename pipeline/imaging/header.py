"""What an image file says of its size, read without decoding it."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

# A frame header (SOF0 to SOF15), which is none of the Huffman tables (C4), JPG (C8) and arithmetic
# conditioning (CC): ITU-T T.81, B.1.1.3.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_TIFF_FIELDS = {3: "H", 4: "I", 16: "Q"}  # SHORT, LONG, LONG8
_PNM_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PNM = re.compile(rb"P[1-6]%b(\d{1,20})%b(\d{1,20})" % (_PNM_GAP, _PNM_GAP))

Size = tuple[int, int]


def size_px(data: bytes) -> Size | None:
    """Width and height that an image file claims, before any orientation is applied.

    Nothing more is checked: the file may be damaged, and `codec.decode` is the one to tell. Of
    several pages it is the first.

    Args:
        data: the bytes of a JPEG, PNG, BMP, TIFF, WebP or PNM file.

    Returns:
        None where that cannot be read, or it is no such file.
    """
    for start, read in _READERS:
        if data.startswith(start):
            try:
                return read(data)
            except (struct.error, IndexError):
                return None
    return None


def _jpeg(data: bytes) -> Size | None:
    at = 2
    while found := _JPEG_MARKER.search(data, at):
        length, _, height, width = struct.unpack_from(">HBHH", data, found.end())
        if found[1][0] in _JPEG_FRAMES:
            return width, height
        at = found.end() + length
    return None


def _png(data: bytes) -> Size | None:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _bmp(data: bytes) -> Size | None:
    (head_bytes,) = struct.unpack_from("<I", data, 14)
    # The oldest head has 12 bytes; in later ones a negative height tells of rows from the top.
    width, height = struct.unpack_from("<HH" if head_bytes == 12 else "<ii", data, 18)
    return abs(width), abs(height)


def _tiff(data: bytes) -> Size | None:
    order = "<" if data.startswith(b"II") else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    count, entry, value = ("Q", 20, 12) if big else ("H", 12, 8)
    (entries,) = struct.unpack_from(order + count, data, at)
    at += struct.calcsize(order + count)
    found: dict[int, int] = {}
    for i in range(min(entries, 4096)):
        tag, kind = struct.unpack_from(order + "HH", data, at + i * entry)
        if tag in (256, 257) and kind in _TIFF_FIELDS:
            (found[tag],) = struct.unpack_from(
                order + _TIFF_FIELDS[kind], data, at + i * entry + value
            )
    return (found[256], found[257]) if len(found) == 2 else None


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8X":  # 24 bits each, less one
        return (
            1 + int.from_bytes(data[24:27], "little"),
            1 + int.from_bytes(data[27:30], "little"),
        )
    if kind == b"VP8L":  # 14 bits each, less one, behind a signature of 8
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)  # the upper two bits are a scale
    return width & 0x3FFF, height & 0x3FFF


def _pnm(data: bytes) -> Size | None:
    found = _PNM.match(data)
    return (int(found[1]), int(found[2])) if found else None


_READERS: tuple[tuple[bytes, Callable[[bytes], Size | None]], ...] = (
    (b"\xff\xd8", _jpeg),
    (b"\x89PNG", _png),
    (b"BM", _bmp),
    (b"II", _tiff),
    (b"MM", _tiff),
    (b"RIFF", _webp),
    (b"P", _pnm),
)
