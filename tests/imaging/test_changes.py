"""Changes of the line do to a frame what they say, and no more."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.imaging import Pixels
from pipeline.imaging.changes import CHANGES, Change, strength_text

GRADES = [(change, strength) for change in CHANGES for strength in change.strengths]
NAMES = [f"{change.name} {strength:g}" for change, strength in GRADES]


@pytest.fixture
def frame() -> Pixels:
    """A grey texture with a colour cast, neither black nor white anywhere."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 160, (75, 100, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_LINEAR), np.uint8)


def change(name: str, sign: int = 1) -> Change:
    return next(c for c in CHANGES if c.name == name and c.strengths[0] * sign > 0)


def dot(x: int, y: int, height: int = 100, width: int = 140) -> Pixels:
    frame = np.zeros((height, width, 3), np.uint8)
    frame[y - 1 : y + 2, x - 1 : x + 2] = 255
    return frame


def place(frame: Pixels) -> tuple[float, float]:
    """Where the light is, x and y."""
    grey = frame[:, :, 0].astype(float)
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    return float((x * grey).sum() / grey.sum()), float((y * grey).sum() / grey.sum())


@pytest.mark.parametrize("one", CHANGES, ids=lambda c: c.name)
def test_no_strength_changes_nothing(one: Change, frame: Pixels) -> None:
    assert (one(frame, 0, seed=3) == frame).all()


@pytest.mark.parametrize(("one", "strength"), GRADES, ids=NAMES)
def test_a_changed_frame_is_another_of_the_same_form(
    one: Change, strength: float, frame: Pixels
) -> None:
    before = frame.copy()
    changed = one(frame, strength, seed=3)
    assert changed.shape == frame.shape
    assert changed.dtype == np.uint8
    assert (changed != frame).any()
    assert (frame == before).all()


@pytest.mark.parametrize("one", CHANGES, ids=lambda c: f"{c.name} {c.strengths[0]:+g}")
def test_every_grade_changes_more_than_the_one_before(one: Change, frame: Pixels) -> None:
    moved = [np.abs(one(frame, s, seed=3).astype(int) - frame).mean() for s in one.strengths]
    assert moved == sorted(set(moved))


@pytest.mark.parametrize("one", CHANGES, ids=lambda c: c.name)
def test_the_same_seed_gives_the_same_picture(one: Change, frame: Pixels) -> None:
    first, second = (one(frame, one.strengths[-1], seed=5) for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize("name", ["noise", "shift", "rotation"])
def test_parts_differ_in_what_chance_decides(name: str, frame: Pixels) -> None:
    one = change(name)
    pictures = {one(frame, one.strengths[-1], seed=s).tobytes() for s in range(8)}
    assert len(pictures) > 1


def test_light_scales_every_pixel_and_saturates() -> None:
    frame = np.array([[[0, 100, 200]]], np.uint8)
    assert change("brightness")(frame, 50).tolist() == [[[0, 150, 255]]]
    assert change("brightness", -1)(frame, -50).tolist() == [[[0, 50, 100]]]


def test_contrast_keeps_the_mean_and_scales_the_deviation(frame: Pixels) -> None:
    flat = change("contrast", -1)(frame, -60)
    assert flat.mean() == pytest.approx(frame.mean(), abs=0.5)
    assert flat.std() == pytest.approx(0.4 * frame.std(), rel=0.02)


def test_what_contrast_pushes_below_black_is_black() -> None:
    frame = np.array([[[10] * 3, [250] * 3]], np.uint8)
    assert change("contrast")(frame, 60).tolist() == [[[0] * 3, [255] * 3]]


def test_noise_has_the_deviation_that_it_names_and_leaves_grey_grey() -> None:
    frame = np.full((80, 80, 3), 128, np.uint8)
    noisy = change("noise")(frame, 8, seed=1).astype(int)
    assert noisy.std() == pytest.approx(8, rel=0.05)
    assert (noisy[:, :, 0] == noisy[:, :, 1]).all()
    assert (noisy[:, :, 0] == noisy[:, :, 2]).all()


def test_blur_is_a_length_on_the_sensor_however_many_pixels_it_has() -> None:
    edge = np.zeros((100, 100, 3), np.uint8)
    edge[:, 50:] = 200
    fine = np.repeat(np.repeat(edge, 4, 0), 4, 1)
    small, large = change("blur")(edge, 2.0), change("blur")(fine, 2.0)
    shrunk = cv2.resize(large, (100, 100), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small).max() <= 3


def test_jpeg_keeps_the_order_of_the_channels() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 0] = 220
    r, g, b = change("jpeg")(red, 50).reshape(-1, 3).mean(axis=0)
    assert r > 180
    assert max(g, b) < 40


def test_a_shift_has_the_length_that_it_names() -> None:
    x, y = place(change("shift")(dot(70, 50), 8, seed=2))
    assert np.hypot(x - 70, y - 50) == pytest.approx(8, abs=0.2)


def test_a_rotation_turns_about_the_middle_by_its_angle() -> None:
    turned = change("rotation")(dot(110, 50, height=101, width=141), 8, seed=0)
    x, y = place(turned)
    assert np.hypot(x - 70, y - 50) == pytest.approx(40, abs=0.3)
    assert abs(np.degrees(np.arctan2(y - 50, x - 70))) == pytest.approx(8, abs=0.3)


def test_a_grade_is_written_in_words_of_the_line() -> None:
    assert strength_text("brightness", -25) == "light -25 %"
    assert strength_text("jpeg", 80) == "JPEG quality 20"
    assert len({strength_text(one.name, strength) for one, strength in GRADES}) == len(GRADES)
