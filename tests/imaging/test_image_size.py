"""The size that an image file claims."""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.imaging import codec
from pipeline.imaging.image_size import size_px

SIZE = (40, 30)


def saved(kind: str, mode: str = "RGB", size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    buffer = io.BytesIO()
    ramp = Image.fromarray(np.arange(size[0] * size[1], dtype=np.uint8).reshape(size[::-1]))
    ramp.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"mode": "L", "restart_marker_blocks": 4}),
        ("PNG", {}),
        ("PNG", {"mode": "1"}),
        ("BMP", {}),
        ("BMP", {"mode": "P"}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"big_tiff": True}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"mode": "RGBA"}),
        ("WEBP", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}),
    ],
)
def test_the_size_is_the_one_that_is_decoded(kind: str, options: dict[str, Any]) -> None:
    data = saved(kind, **options)
    assert size_px(data) == SIZE
    assert codec.decode(data).shape[:2] == SIZE[::-1]


@pytest.mark.parametrize("suffix", sorted(codec.SUFFIXES - {".pgm", ".ppm"}))
def test_what_opencv_writes_is_read(suffix: str) -> None:
    assert size_px(cv2.imencode(suffix, np.zeros((30, 40, 3), np.uint8))[1].tobytes()) == SIZE


def test_a_tiff_of_the_other_byte_order_is_read() -> None:
    entries = struct.pack(">HHIHH", 256, 3, 1, 40, 0) + struct.pack(">HHII", 257, 4, 1, 30)
    assert size_px(b"MM\0*" + struct.pack(">IH", 8, 2) + entries) == SIZE


def test_a_bitmap_from_the_top_has_a_height_all_the_same() -> None:
    data = bytearray(saved("BMP"))
    struct.pack_into("<i", data, 22, -30)
    assert size_px(bytes(data)) == SIZE


def test_the_size_of_a_thumbnail_is_not_the_pictures() -> None:
    whole, thumbnail = saved("JPEG"), saved("JPEG", size=(8, 6))
    segment = b"\xff\xe1" + (2 + len(thumbnail)).to_bytes(2, "big") + thumbnail
    assert size_px(whole[:2] + segment + whole[2:]) == SIZE


@pytest.mark.parametrize("kind", range(1, 7))
def test_every_netpbm_has_a_size_comments_and_all(kind: int) -> None:
    assert size_px(b"P%d\n# 1 1\n40 # wide\n\t30 255\n" % kind) == SIZE


def test_a_bitmap_of_os2_has_a_size() -> None:
    os2 = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 40, 30, 1, 24) + bytes(40 * 30 * 3)
    data = os2[:10] + struct.pack("<I", 26) + os2[14:]
    assert size_px(data) == SIZE
    assert codec.decode(data).shape[:2] == SIZE[::-1]


def test_what_is_cut_off_or_no_picture_claims_nothing() -> None:
    for kind in ("JPEG", "PNG", "BMP", "TIFF", "WEBP"):
        data = saved(kind)
        claims = {size_px(data[:n_bytes]) for n_bytes in range(len(data))}
        assert None in claims
        assert SIZE in claims
    assert size_px(b"") is None
    assert size_px(b"not a picture") is None


@pytest.mark.parametrize("kind", ["GIF", "JPEG2000", "ICO", "SGI", "TGA", "PCX"])
def test_a_format_that_is_not_decoded_has_no_size(kind: str) -> None:
    assert size_px(saved(kind)) is None
