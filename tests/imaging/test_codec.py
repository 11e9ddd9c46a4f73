"""Bytes to RGB: colour order, depth, and pictures that are cut off."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels
from pipeline.imaging.codec import SUFFIXES, decode, encode_jpeg, encode_png, read


def palette_png() -> bytes:
    """A PNG of one pixel, index 1 of the palette black, red; OpenCV itself writes no palettes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 3, 0, 0, 0))
    palette = chunk(b"PLTE", bytes([0, 0, 0, 255, 0, 0]))
    pixel = chunk(b"IDAT", zlib.compress(bytes([0, 1])))
    return b"\x89PNG\r\n\x1a\n" + header + palette + pixel + chunk(b"IEND", b"")


def encode(image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], suffix: str = ".png") -> bytes:
    """Encode with plain OpenCV, so in BGR order."""
    return cv2.imencode(suffix, image)[1].tobytes()


@pytest.fixture
def picture() -> Pixels:
    """A smooth RGB picture without symmetry."""
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    return np.stack([ramp, 255 - ramp, ramp // 2], axis=2)


def test_a_red_png_is_red() -> None:
    bgr = np.zeros((4, 6, 3), np.uint8)
    bgr[:, :, 2] = 255
    rgb = decode(encode(bgr))
    assert rgb.shape == (4, 6, 3)
    assert (rgb == (255, 0, 0)).all()


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".tiff", ".webp", ".ppm"])
def test_colours_are_in_order_in_every_format(suffix: str) -> None:
    bgr = np.full((16, 16, 3), (200, 100, 20), np.uint8)
    assert np.abs(decode(encode(bgr, suffix)).astype(int) - (20, 100, 200)).max() <= 4


def test_a_grey_image_has_three_equal_channels() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert (decode(encode(grey)) == grey[:, :, None]).all()


def test_more_than_eight_bits_are_refused_since_no_scale_suits_every_camera() -> None:
    twelve_bit = np.array([[0, 0x00FF, 0x0FFF]], np.uint16)
    with pytest.raises(UnreadableImage, match="16 bits a channel; convert it to 8"):
        decode(encode(twelve_bit))


def test_alpha_is_dropped_and_the_colour_below_it_kept() -> None:
    bgra = np.zeros((2, 2, 4), np.uint8)
    bgra[:, :, 2] = 255
    assert (decode(encode(bgra)) == (255, 0, 0)).all()


def test_a_palette_becomes_its_colours() -> None:
    assert decode(palette_png())[0, 0].tolist() == [255, 0, 0]


def test_an_empty_file_says_so() -> None:
    with pytest.raises(UnreadableImage, match=r"^part-1 is empty \(0 bytes\)$"):
        decode(b"", "part-1")


def test_something_else_than_an_image_names_it_and_its_size() -> None:
    with pytest.raises(UnreadableImage, match=r"part-1 cannot be decoded \(12 bytes\)"):
        decode(b"not an image", "part-1")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp", ".ppm"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_refused(picture: Pixels, suffix: str, share: float) -> None:
    whole = encode(picture, suffix)
    with pytest.raises(UnreadableImage, match="cannot be decoded"):
        decode(whole[: int(len(whole) * share)])


def test_a_jpeg_cut_off_after_half_its_lines_is_refused_not_filled_with_grey() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    whole = encode(noise, ".jpg")
    with pytest.raises(UnreadableImage):
        decode(whole[: len(whole) // 2])


def test_a_png_with_a_flipped_bit_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = bytearray(encode(noise))
    data[len(data) // 2] ^= 1
    with pytest.raises(UnreadableImage):
        decode(bytes(data))


def test_a_png_comes_back_as_it_was(picture: Pixels) -> None:
    assert (decode(encode_png(picture)) == picture).all()


def test_a_grey_png_comes_back_as_it_was(picture: Pixels) -> None:
    grey = picture[:, :, :1].copy()
    assert (decode(encode_png(grey)) == grey).all()


def test_reading_a_file_is_decoding_its_bytes(tmp_path: Path, picture: Pixels) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(picture))
    assert (read(tmp_path / "a.png") == picture).all()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"gone\.png cannot be read: No such file"):
        read(tmp_path / "gone.png")


def test_every_known_ending_is_one_that_opencv_reads(tmp_path: Path) -> None:
    grey = np.full((8, 8), 77, np.uint8)
    colour = np.full((8, 8, 3), 77, np.uint8)
    for suffix in SUFFIXES:
        (tmp_path / f"a{suffix}").write_bytes(encode(grey if suffix == ".pgm" else colour, suffix))
        assert abs(int(read(tmp_path / f"a{suffix}")[4, 4, 0]) - 77) <= 2


def test_jpeg_keeps_red_red() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 0] = 200
    again = decode(encode_jpeg(red))
    assert np.abs(again.astype(int) - red).max() <= 4
