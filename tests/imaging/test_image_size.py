"""The size that an image file claims."""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.imaging import codec, image_size
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


def test_what_holds_no_more_than_it_is_long_is_left_to_the_codec() -> None:
    assert size_px(saved("PPM")) is None


def test_what_is_cut_off_or_no_picture_claims_nothing() -> None:
    for kind in ("JPEG", "PNG", "BMP", "TIFF", "WEBP"):
        data = saved(kind)
        claims = {size_px(data[:n_bytes]) for n_bytes in range(len(data))}
        assert None in claims
        assert SIZE in claims
    assert size_px(b"") is None
    assert size_px(b"not a picture") is None


def test_of_a_jpeg_only_the_head_is_looked_through() -> None:
    hidden = saved("JPEG")[2:]
    assert size_px(b"\xff\xd8" + bytes(image_size.HEAD_BYTES) + hidden) is None
