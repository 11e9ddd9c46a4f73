"""How files store their pictures, read from their headers."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.image_mode import ImageMode, image_mode


def stored(mode: str, suffix: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (6, 4)).save(buffer, suffix, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "suffix", "words"),
    [
        ("L", "png", "grey"),
        ("LA", "png", "grey with alpha"),
        ("RGB", "jpeg", "colour"),
        ("RGBA", "png", "colour with alpha"),
        ("P", "png", "palette"),
        ("CMYK", "jpeg", "CMYK"),
        ("1", "png", "black and white"),
        ("I;16", "png", "16-bit grey"),
        ("I;16", "tiff", "16-bit grey"),
    ],
)
def test_the_mode_is_written_in_words(mode: str, suffix: str, words: str) -> None:
    assert image_mode(stored(mode, suffix)) == ImageMode(words)


def test_sixteen_bits_of_colour_are_not_taken_for_eight() -> None:
    _, data = cv2.imencode(".png", np.zeros((4, 6, 3), np.uint16))
    assert image_mode(data.tobytes()) == ImageMode("16-bit colour")


def test_a_camera_that_was_turned_is_found_by_exif() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert image_mode(stored("RGB", "jpeg", exif=exif)) == ImageMode("colour", rotated=True)
    exif[0x0112] = 1
    assert image_mode(stored("RGB", "jpeg", exif=exif)) == ImageMode("colour")


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_what_pillow_cannot_read_is_unknown(data: bytes) -> None:
    assert image_mode(data) == ImageMode("unknown")
