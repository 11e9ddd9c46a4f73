"""Boxes in pixels and as text."""

from __future__ import annotations

import pytest

from pipeline.contracts.sample import Box
from pipeline.datasets.annotations.boxes import in_pixels, parsed, written
from pipeline.errors import UnreadableImage


def test_shares_of_the_sides_become_pixels() -> None:
    assert in_pixels([Box("a", 0.25, 0.5, 0.5, 1, relative=True)], 200, 100, "x") == (
        Box("a", 50, 50, 100, 100),
    )


def test_a_box_is_cut_off_at_the_borders() -> None:
    assert in_pixels([Box("a", -3, 90, 20, 103)], 200, 100, "x") == (Box("a", 0, 90, 20, 100),)


@pytest.mark.parametrize("sides", [(200, 0, 220, 9), (0, -9, 9, 0), (5, 5, 5, 9), (9, 5, 5, 9)])
def test_a_box_wholly_outside_or_without_a_size_is_a_fault(
    sides: tuple[int, int, int, int],
) -> None:
    with pytest.raises(UnreadableImage, match=r'x\.png has 200x100 pixels, and its box "a" \('):
        in_pixels([Box("a", *sides)], 200, 100, "x.png")


def test_text_gives_the_same_boxes_back() -> None:
    boxes = (Box("Öl", 1, 2, 3.25, 4), Box("b", 0, 0, 9, 9))
    assert parsed(written(boxes)) == boxes


def test_no_boxes_are_no_text() -> None:
    assert written(()) == ""
    assert parsed("") == ()
