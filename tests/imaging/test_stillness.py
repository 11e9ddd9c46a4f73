"""The same picture again, by its content."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.datasets.adapters import elpv
from pipeline.imaging import Pixels
from pipeline.imaging.changes import CHANGES
from pipeline.imaging.codec import read
from pipeline.imaging.stillness import Stillness, alike

SIZE = (640, 512)
SEEDS = range(5)


@pytest.fixture(scope="module")
def cells() -> list[Pixels]:
    """Three solar cells as a camera would show them."""
    config = elpv.Config(type="elpv")
    found = [read(elpv.root(config) / s.path) for s in elpv.read(config)[:3]]
    return [
        cv2.resize(cell, SIZE, interpolation=cv2.INTER_CUBIC).astype(np.uint8) for cell in found
    ]


def live(cell: Pixels, noise: float, seed: int) -> Pixels:
    """What a sensor makes of a motionless scene."""
    (change,) = (c for c in CHANGES if c.name == "noise")
    return change(cell, noise, seed)


def as_jpeg(picture: Pixels, quality: int) -> Pixels:
    (change,) = (c for c in CHANGES if c.name == "jpeg")
    return change(picture, 100 - quality)


def test_one_picture_again_and_again_is_counted(cells: list[Pixels]) -> None:
    still = Stillness()
    assert [still.same(cells[0].copy()) for _ in range(4)] == [1, 2, 3, 4]


def test_another_part_begins_again(cells: list[Pixels]) -> None:
    still = Stillness()
    shown = [cells[0], cells[0].copy(), cells[1], cells[2], cells[2].copy()]
    assert [still.same(cell) for cell in shown] == [1, 2, 1, 1, 2]


@pytest.mark.parametrize("noise", [0.3, 1])
def test_live_camera_before_a_motionless_part_is_not_still(
    cells: list[Pixels], noise: float
) -> None:
    still = Stillness()
    assert [still.same(live(cells[0], noise, seed)) for seed in SEEDS] == [1] * len(SEEDS)


@pytest.mark.parametrize("quality", [95, 80, 50])
def test_live_camera_that_sends_jpeg_is_not_still(cells: list[Pixels], quality: int) -> None:
    still = Stillness()
    shown = [as_jpeg(live(cells[0], 0.3, seed), quality) for seed in SEEDS]
    assert [still.same(picture) for picture in shown] == [1] * len(SEEDS)


def test_frozen_picture_that_an_encoder_goes_on_sending_is_still(cells: list[Pixels]) -> None:
    frozen = cells[0]
    sent = frozen.copy()
    sent[::20, ::10] ^= 1  # in the mean 0.005 grey levels, as measured
    assert (sent != frozen).any()
    assert alike(frozen, sent)


def test_small_part_in_a_noiseless_scene_is_another_picture() -> None:
    empty: Pixels = np.zeros((512, 640, 3), np.uint8)
    for x, y in ((0, 0), (301, 203), (632, 504)):
        part = empty.copy()
        part[y : y + 8, x : x + 8] = 40
        assert not alike(empty, part)


def test_picture_of_another_size_is_another_picture(cells: list[Pixels]) -> None:
    assert not alike(cells[0], cells[0][:-1])


def test_frame_that_is_looked_at_twice_is_counted_once(cells: list[Pixels]) -> None:
    still = Stillness()
    assert [still.same(cells[0]) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 200, 3), (63, 65, 1)])
def test_pictures_of_any_size_are_compared(shape: tuple[int, ...]) -> None:
    dark: Pixels = np.zeros(shape, np.uint8)
    assert alike(dark, dark.copy())
    assert not alike(dark, dark + np.uint8(50))


def test_what_was_shown_is_left_as_it_was(cells: list[Pixels]) -> None:
    one, other = cells[0].copy(), cells[0].copy()
    alike(one, other)
    assert (one == cells[0]).all()
    assert (other == cells[0]).all()
