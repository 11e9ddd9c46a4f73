"""Heat on a picture: seen where it is hot, invisible where it is not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.imaging.overlay import inside, overlay


@pytest.mark.parametrize("channels", [1, 3])
def test_a_cold_picture_stays_as_it_is(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 12, channels), dtype=np.uint8)
    seen = overlay(image, np.zeros((8, 12), np.float32))
    assert seen.shape == (8, 12, 3)
    assert (seen == image).all()


def test_the_hotter_place_stands_out_more() -> None:
    image = np.full((4, 6, 1), 90, np.uint8)
    heat = np.zeros((4, 6), np.float32)
    heat[1, 1], heat[2, 4] = 0.5, 1.0
    away = np.abs(overlay(image, heat).astype(int) - 90).sum(axis=2)
    assert 0 < away[1, 1] < away[2, 4]
    assert (away > 0).sum() == 2


def test_the_hottest_place_is_bright_on_a_black_part_and_yellow_not_blue() -> None:
    red, green, blue = overlay(np.zeros((1, 1, 1), np.uint8), np.ones((1, 1), np.float32))[0, 0]
    assert min(red, green) > 180
    assert blue < red


def test_the_share_inside_counts_heat_not_area() -> None:
    heat = np.array([[3, 1], [0, 0]], np.float32)
    mask = np.array([[255, 0], [0, 255]], np.uint8)
    assert inside(heat, mask) == 0.75


def test_without_heat_no_share_is_defined() -> None:
    assert math.isnan(inside(np.zeros((2, 2), np.float32), np.full((2, 2), 255, np.uint8)))
