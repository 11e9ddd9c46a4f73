"""Pictures of another size than in training: two parts side by side, a piece of one, distorted."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.contracts.frame_sizes import FrameSizes

SQUARE = FrameSizes(least_aspect=1, largest_aspect=1, least_px=300, largest_px=300)
VARIED = FrameSizes(least_aspect=0.5, largest_aspect=2, least_px=200, largest_px=800)


@pytest.mark.parametrize("size", [(300, 300), (330, 300), (300, 330), (340, 340), (260, 260)])
def test_a_picture_about_as_in_training_is_like_it(size: tuple[int, int]) -> None:
    assert SQUARE.difference(*size, tolerance=0.2) == ""


def test_two_parts_side_by_side_differ_from_training() -> None:
    assert SQUARE.difference(600, 300, tolerance=0.2) == (
        "its width is 2.00 times its height, in training it was 1.00"
    )


def test_a_quarter_of_a_part_differs_from_training() -> None:
    assert SQUARE.difference(150, 150, tolerance=0.2) == (
        "it is as large as a square of 150 px, in training it was 300"
    )


def test_all_that_lies_between_the_sizes_of_training_is_like_it() -> None:
    assert VARIED.difference(400, 300, tolerance=0) == ""
    assert "in training it was 0.50 to 2.00" in VARIED.difference(900, 300, tolerance=0)


def test_a_wider_tolerance_takes_more() -> None:
    assert SQUARE.difference(600, 300, tolerance=1.0) == ""


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValidationError, match="larger than the largest"):
        FrameSizes(least_aspect=2, largest_aspect=1, least_px=1, largest_px=2)
