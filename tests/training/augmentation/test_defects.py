"""Defects in masks, and how well one stands out."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from pipeline.imaging import Pixels
from pipeline.training.augmentation.defects import defects_of, visibility
from tests.training.augmentation.conftest import disc, ground


def with_pit(radius: float = 5, depth: int = 60) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    mask = disc(32, 32, radius)
    return (ground(0) - np.where(mask, depth, 0)[:, :, None]).astype(np.uint8), mask > 0


def test_each_connected_area_is_one_defect_with_size_and_place() -> None:
    mask = disc(20, 30, 6) | disc(50, 12, 3)
    small, large = sorted(defects_of(mask), key=lambda d: d.diameter_px)
    assert large.diameter_px == pytest.approx(12, abs=0.5)
    assert small.diameter_px == pytest.approx(6, abs=0.5)
    assert large.centre == pytest.approx((20, 30))
    assert large.area.sum() + small.area.sum() == (mask > 0).sum()


def test_a_defect_at_the_border_is_not_whole() -> None:
    assert [d.whole for d in defects_of(disc(32, 32, 5))] == [True]
    assert [d.whole for d in defects_of(disc(32, 2, 5))] == [False]
    assert [d.whole for d in defects_of(disc(62, 32, 5))] == [False]


def test_crumbs_are_not_defects_and_a_sound_part_has_none() -> None:
    crumb = np.zeros((64, 64), np.uint8)
    crumb[10, 10:13] = 255
    assert defects_of(crumb) == []
    assert defects_of(np.zeros((64, 64), np.uint8)) == []


def test_a_defect_stands_out_by_its_depth_over_the_grain() -> None:
    # The grain is 3 grey levels.
    assert visibility(*with_pit(depth=60)) == pytest.approx(20, rel=0.15)
    assert visibility(*with_pit(depth=30)) == pytest.approx(10, rel=0.15)
    assert visibility(*with_pit(depth=0)) < 1


def test_noise_buries_a_defect() -> None:
    image, area = with_pit(depth=30)
    noise = np.random.default_rng(1).normal(0, 30, image.shape)
    assert visibility((image + noise).clip(0, 255).astype(np.uint8), area) < 2


def test_blur_hides_a_thin_defect_though_its_mask_is_generous() -> None:
    image, generous = ground(0, grain=0), disc(32, 32, 12) > 0
    image[30:32, 24:40] -= 60
    blurred = cv2.blur(image, (1, 21))[:, :, None].astype(np.uint8)
    assert visibility(blurred, generous) < visibility(image, generous) / 2


def test_what_shows_in_one_colour_only_is_seen() -> None:
    image = ground(0, channels=3)
    area = disc(32, 32, 5) > 0
    image[area, 2] -= 60
    assert visibility(image, area) > 15


def test_other_defects_are_not_part_of_the_surround() -> None:
    image, area = with_pit(depth=30)
    other = (disc(32, 32, 16) > 0) & ~(disc(32, 32, 9) > 0)
    image[other & (np.indices(other.shape)[1] > 20)] -= 100
    alone = visibility(with_pit(depth=30)[0], area)
    assert visibility(image, area, other) == pytest.approx(alone, rel=0.2)
    assert visibility(image, area) > alone * 1.4


def test_nothing_to_compare_with_is_not_a_number() -> None:
    image = ground(0)
    assert np.isnan(visibility(image, np.zeros((64, 64), bool)))
    assert np.isnan(visibility(image, np.ones((64, 64), bool)))
