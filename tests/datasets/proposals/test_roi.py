"""A proposed ROI: where pictures of one camera differ."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.datasets.proposals.roi import varying_area
from pipeline.imaging import Pixels


def parts(n: int = 12, side: int = 40) -> list[Pixels]:
    """Parts at one place before a background that is the same but for a little noise."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(n):
        picture = 100 + rng.integers(0, 6, (100, 200, 3), np.uint8)
        picture[30 : 30 + side, 60 : 60 + side] = rng.integers(0, 255, (side, side, 3), np.uint8)
        pictures.append(picture)
    return pictures


def test_what_is_the_same_in_all_pictures_is_left_out() -> None:
    roi = varying_area(parts())
    assert roi is not None
    assert (roi.x_px, roi.y_px, roi.width_px, roi.height_px) == (56, 28, 48, 44)


@pytest.mark.parametrize(
    "pictures",
    [[], parts(n=4), [*parts(), np.zeros((90, 200, 3), np.uint8)], parts(side=0)],
    ids=["none", "few", "two-sizes", "all-alike"],
)
def test_where_nothing_is_surely_the_same_none_is_proposed(pictures: list[Pixels]) -> None:
    assert varying_area(pictures) is None


def test_pictures_that_differ_almost_everywhere_are_kept_whole() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (60, 60, 3), np.uint8) for _ in range(12)]
    assert varying_area(pictures) is None
