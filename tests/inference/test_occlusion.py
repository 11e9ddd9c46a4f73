"""Occlusion finds what a score comes from: where covering lowers it."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.imaging import Pixels
from pipeline.inference.occlusion import Floats, Judge, occlusion, steps

GOOD_FIRST = (True, False)


def judge_of(row: slice, column: slice) -> Judge:
    """Bad as far as a part of the picture is bright."""

    def judge(images: Pixels) -> Floats:
        bad = images[:, row, column].mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - bad, bad], axis=1).astype(np.float32)

    return judge


def heat_of(judge: Judge, image: Pixels, passing: tuple[bool, ...] = GOOD_FIRST) -> Floats:
    found = list(occlusion(judge, image, passing, 1))
    assert len(found) == steps() + 1
    assert all(heat is None for heat in found[:-1])
    heat = found[-1]
    assert heat is not None
    return heat


def spotted(channels: int = 3) -> Pixels:
    image = np.full((66, 88, channels), 40, np.uint8)
    image[40:52, 60:76] = 250
    return image


@pytest.mark.parametrize("channels", [1, 3])
def test_the_hottest_place_is_where_the_score_comes_from(channels: int) -> None:
    heat = heat_of(judge_of(slice(40, 52), slice(60, 76)), spotted(channels))
    assert heat.shape == (66, 88)
    assert heat.dtype == np.float32
    top, left = np.unravel_index(int(heat.argmax()), heat.shape)
    assert 34 <= top <= 58
    assert 54 <= left <= 82
    assert heat.max() == pytest.approx(1, abs=0.05)
    assert heat[:22, :30].max() < 0.05


def test_a_picture_in_which_nothing_matters_has_no_hot_place() -> None:
    even = np.full((64, 64, 1), 128, np.uint8)
    assert heat_of(judge_of(slice(0, 64), slice(0, 64)), even).max() == 0


def test_faint_evidence_looks_faint() -> None:
    image = np.full((64, 64, 1), 128, np.uint8)
    image[30:34, 30:34] = 140
    assert 0 < heat_of(judge_of(slice(0, 64), slice(0, 64)), image).max() < 0.5


def test_where_every_class_is_bad_the_one_asked_about_counts() -> None:
    judge = judge_of(slice(40, 52), slice(60, 76))
    all_bad = heat_of(judge, spotted(), (False, False))
    assert np.array_equal(all_bad, heat_of(judge, spotted()))


def test_a_picture_smaller_than_the_places_has_a_heat_map_too() -> None:
    image = np.full((5, 4, 1), 40, np.uint8)
    image[3:, 2:] = 250
    assert heat_of(judge_of(slice(3, 5), slice(2, 4)), image).shape == (5, 4)
