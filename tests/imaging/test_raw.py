"""A sensor's values to RGB: by what the settings say, and never by what the values look like."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from pipeline.contracts.spec import RawPixels
from pipeline.errors import UnreadableImage
from pipeline.imaging.codec import decode, decode_mask
from pipeline.imaging.raw import to_rgb

MONO12 = RawPixels(bit_depth=12)


def encode(values: npt.NDArray[Any], ending: str = ".png") -> bytes:
    """Encode with plain OpenCV, so in BGR order."""
    return cv2.imencode(ending, values)[1].tobytes()


def deep(*values: int) -> npt.NDArray[np.uint16]:
    return np.array([values], np.uint16)


@pytest.mark.parametrize("ending", [".png", ".tiff", ".pgm"])
def test_twelve_bits_are_scaled_alike_in_every_format(ending: str) -> None:
    data = encode(deep(0, 8, 9, 2048, 4095), ending)
    assert decode(data, raw=MONO12)[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_black_and_white_are_the_ends_and_what_lies_beyond_is_cut_off() -> None:
    raw = RawPixels(bit_depth=16, black=1000, white=3000)
    assert decode(encode(deep(0, 1000, 2000, 3000, 65535)), raw=raw)[0, :, 0].tolist() == [
        *(0, 0, 128, 255, 255)
    ]


def test_bits_at_the_top_of_sixteen_have_their_own_white() -> None:
    shifted = RawPixels(bit_depth=12, white=65520)
    values = deep(0, 100, 2048, 4095)
    assert np.array_equal(to_rgb(values << 4, shifted, "x"), to_rgb(values, MONO12, "x"))


@pytest.mark.parametrize("ending", [".png", ".tiff", ".ppm"])
def test_deep_colours_keep_their_order(ending: str) -> None:
    bgr = np.random.default_rng(0).integers(0, 4096, (20, 30, 3), dtype=np.uint16)
    seen = decode(encode(bgr, ending), raw=MONO12).astype(int)
    assert np.abs(seen - bgr[..., ::-1] / 4095 * 255).max() <= 0.5


def test_a_mask_in_deep_colours_is_marked_where_it_is() -> None:
    marked = np.zeros((4, 6, 3), np.uint16)
    marked[1, 2, 2] = 4000
    assert np.argwhere(decode_mask(encode(marked, ".tiff"))).tolist() == [[1, 2]]


def test_a_depth_other_than_the_settings_is_refused_with_their_name() -> None:
    eight = encode(np.zeros((4, 4), np.uint8))
    with pytest.raises(UnreadableImage, match=r"8 bits a channel; `raw.bit_depth` 12 is for 16"):
        decode(eight, raw=MONO12)
    with pytest.raises(UnreadableImage, match=r"16 bits a channel; `raw.bit_depth` 8 is for 8"):
        decode(encode(deep(1, 2)), raw=RawPixels(bit_depth=8))


@pytest.mark.parametrize("bayer", ["RGGB", "GRBG", "GBRG", "BGGR"])
@pytest.mark.parametrize("bit_depth", [8, 12])
def test_each_colour_filter_gives_back_the_colour_before_it(bayer: str, bit_depth: int) -> None:
    raw = RawPixels.model_validate({"bit_depth": bit_depth, "bayer": bayer})
    full = (1 << bit_depth) - 1
    orange = {"R": full, "G": full // 2, "B": 0}
    mosaic = np.zeros((16, 16), np.uint8 if bit_depth == 8 else np.uint16)
    for colour, (y, x) in zip(bayer, [(0, 0), (0, 1), (1, 0), (1, 1)], strict=True):
        mosaic[y::2, x::2] = orange[colour]
    seen = decode(encode(mosaic), raw=raw)
    assert np.abs(seen[2:-2, 2:-2].astype(int) - (255, 127, 0)).max() <= 1


def test_a_picture_in_colour_has_no_filter() -> None:
    colour = np.zeros((4, 4, 3), np.uint16)
    colour[..., 0] = 9
    raw = RawPixels(bit_depth=12, bayer="RGGB")
    with pytest.raises(UnreadableImage, match=r"in colour already; leave `raw.bayer` \(RGGB\) out"):
        decode(encode(colour), raw=raw)


@pytest.mark.parametrize("range_", [{"black": 4095}, {"black": 100, "white": 100}])
def test_a_range_without_width_is_refused(range_: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="is not below white"):
        RawPixels.model_validate({"bit_depth": 12} | range_)
