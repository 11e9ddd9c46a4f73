"""Defect masks in files and as run lengths."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from pipeline.datasets.annotations import defect_mask
from pipeline.errors import DataError, UnreadableImage
from pipeline.imaging.codec import encode_png


def picture(width: int, height: int, x: int, y: int) -> bytes:
    pixels = np.zeros((height, width, 1), np.uint8)
    pixels[y, x] = 3
    return encode_png(pixels)


def set_pixels(mask: str, contents: list[bytes], size: tuple[int, int] = (4, 3)) -> list[list[int]]:
    """Row and column of all that is set."""
    found = np.argwhere(defect_mask.decoded(mask, contents, size, "a.jpg"))
    return [list(map(int, place)) for place in found]


def test_several_masks_are_joined() -> None:
    mask = defect_mask.joined(["m/0.png", "m/1.png"])
    assert set_pixels(mask, [picture(4, 3, 1, 0), picture(4, 3, 3, 2)]) == [[0, 1], [2, 3]]
    assert defect_mask.files(mask) == ["m/0.png", "m/1.png"]


def test_each_mask_must_fit_the_image() -> None:
    mask = defect_mask.joined(["m/0.png", "m/1.png"])
    with pytest.raises(UnreadableImage, match=r"a\.jpg has 4x3 pixels, its mask m/1\.png 3x4"):
        set_pixels(mask, [picture(4, 3, 0, 0), picture(3, 4, 0, 0)])


def test_run_lengths_are_counted_down_the_columns_from_one() -> None:
    mask = defect_mask.runs(["2 2", "12 1"], "t.csv:2")
    assert set_pixels(mask, []) == [[1, 0], [2, 0], [2, 3]]


def test_a_run_may_go_on_in_the_next_column() -> None:
    assert set_pixels(defect_mask.runs(["3 2"], "t.csv:2"), []) == [[0, 1], [2, 0]]


def test_a_run_beyond_the_picture_is_a_fault() -> None:
    with pytest.raises(UnreadableImage, match=r"4x3 pixels, its run length 12 2 ends beyond"):
        set_pixels(defect_mask.runs(["12 2"], "t.csv:2"), [])


@pytest.mark.parametrize("text", ["1", "1 2 3", "a b", "0 4", "1 0", "1 -2", "1.0 2", "٣ 2"])
def test_run_lengths_that_are_not_pairs_of_numbers_are_refused_with_the_line(text: str) -> None:
    with pytest.raises(DataError, match=r"^t\.csv:2 has run lengths '.*'; expected pairs"):
        defect_mask.runs([text], "t.csv:2")


def test_the_digest_of_one_file_is_that_of_its_bytes() -> None:
    assert defect_mask.digest("m.png", [b"abc"]) == hashlib.sha256(b"abc").hexdigest()


def test_the_digest_changes_with_each_file_and_with_run_lengths() -> None:
    several = defect_mask.joined(["0.png", "1.png"])
    found = {
        defect_mask.digest(several, [b"a", b"b"]),
        defect_mask.digest(several, [b"a", b"c"]),
        defect_mask.digest("rle:1 2", []),
        defect_mask.digest("rle:1 3", []),
        defect_mask.digest("", []),
    }
    assert len(found) == 5
    assert "" in found
