"""Where the part lies, on scenes whose truth is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.contracts.spec import Contour, Template
from pipeline.datasets.adapters import elpv
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels
from pipeline.imaging.codec import read
from pipeline.imaging.locate import Place, by_contour, by_template

WIDTH, HEIGHT = 640, 480
BRIGHTER = Contour(by="contour", part="brighter")
UPRIGHT = Contour(by="contour", part="brighter", upright=True)
TURNED = Template(by="template", reference="golden", max_turn_deg=12)


@pytest.fixture(scope="module")
def part() -> Pixels:
    """A piece of a real solar cell, brightened to stand out, 240 x 160."""
    config = elpv.Config(type="elpv")
    cell = read(elpv.root(config) / "images" / "cell0005.png")[60:220, 30:270, 0]
    lifted: Pixels = np.clip(cell.astype(int) // 2 + 110, 0, 255).astype(np.uint8)
    return lifted


def scene(part: Pixels, x: float, y: float, turn_deg: float, n: int = 1) -> Pixels:
    """The part on a dark, noisy background, centred on x, y; `n` copies, 250 px apart."""
    picture = np.full((HEIGHT, WIDTH), 30.0)
    for i in range(n):
        place = Place((x + 250 * i, y), (part.shape[1], part.shape[0]), turn_deg, 1.0)
        matrix, _ = place.window(0.0)
        lies = cv2.warpAffine(part, matrix, (WIDTH, HEIGHT))
        covered = cv2.warpAffine(np.full_like(part, 255), matrix, (WIDTH, HEIGHT)) > 127
        picture = np.where(covered, lies, picture)
    noisy = picture + np.random.default_rng(0).normal(0, 4, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("x", "y", "turn"), [(320, 240, 0), (301.4, 222.7, 7.3), (350, 250, -11)])
def test_a_golden_sample_is_found_within_a_pixel_and_a_degree(
    part: Pixels, x: float, y: float, turn: float
) -> None:
    place = by_template(scene(part, x, y, turn), part, TURNED)
    assert place.centre == pytest.approx((x, y), abs=1.0)
    assert place.turn_deg == pytest.approx(turn, abs=1.0)
    assert place.confidence > 0.75


def test_without_a_golden_sample_in_the_picture_the_confidence_is_low(part: Pixels) -> None:
    empty = np.random.default_rng(1).integers(20, 40, (HEIGHT, WIDTH)).astype(np.uint8)
    assert by_template(empty, part, TURNED).confidence < 0.3


def test_an_even_picture_resembles_no_golden_sample(part: Pixels) -> None:
    even = np.full((HEIGHT, WIDTH), 90, np.uint8)
    assert by_template(even, part, TURNED).confidence == 0.0


def test_a_picture_smaller_than_the_golden_sample_is_unreadable(part: Pixels) -> None:
    with pytest.raises(UnreadableImage, match=r'\(100x100\) is smaller .* "golden" \(240x160\)'):
        by_template(np.zeros((100, 100), np.uint8), part, TURNED)


@pytest.mark.parametrize("turn", [0.0, 9.5, -20.0])
def test_the_largest_area_is_found_and_its_turn(part: Pixels, turn: float) -> None:
    place = by_contour(scene(part, 330, 235, turn), UPRIGHT)
    assert place.centre == pytest.approx((330, 235), abs=1.5)
    assert place.turn_deg == pytest.approx(turn, abs=1.0)
    assert place.size == pytest.approx((240, 160), abs=4)
    assert place.confidence > 0.7


def test_a_box_that_is_not_turned_holds_the_turned_part(part: Pixels) -> None:
    place = by_contour(scene(part, 330, 235, 20), BRIGHTER)
    assert place.turn_deg == 0
    width = 240 * np.cos(np.deg2rad(20)) + 160 * np.sin(np.deg2rad(20))
    assert place.size[0] == pytest.approx(width, abs=4)


def test_a_dark_part_on_a_bright_background_is_found(part: Pixels) -> None:
    dark = Contour(by="contour", part="darker")
    place = by_contour(255 - scene(part, 300, 250, 0), dark)
    assert place.centre == pytest.approx((300, 250), abs=1.5)


def test_two_parts_in_the_picture_halve_the_confidence(part: Pixels) -> None:
    one = by_contour(scene(part, 180, 240, 0), BRIGHTER).confidence
    two = by_contour(scene(part, 180, 240, 0, n=2), BRIGHTER).confidence
    assert two == pytest.approx(one / 2, abs=0.1)


def test_an_even_picture_is_kept_whole_with_confidence_0() -> None:
    place = by_contour(np.full((40, 60), 90, np.uint8), BRIGHTER)
    assert (place.size, place.confidence) == ((60, 40), 0.0)


def test_a_large_picture_is_measured_in_its_own_pixels(part: Pixels) -> None:
    large = cv2.resize(scene(part, 320, 240, 5), None, fx=3, fy=3)
    place = by_contour(np.asarray(large, np.uint8), UPRIGHT)
    assert place.centre == pytest.approx((961, 721), abs=5)
    assert place.size == pytest.approx((720, 480), abs=12)


def test_a_window_has_the_margin_on_every_side() -> None:
    matrix, size = Place((50.0, 40.0), (20, 10), 0.0, 1.0).window(0.5)
    assert size == (40, 20)
    assert matrix[:, 2].tolist() == [50 - 19.5, 40 - 9.5]


def test_a_part_far_turned_in_a_corner_is_found() -> None:
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(60, 220, (10, 10)).astype(np.uint8), (80, 80))
    golden = np.asarray(texture, np.uint8)
    matrix, _ = Place((100.0, 100.0), (80, 80), 40.0, 1.0).window(0.0)
    picture = np.full((400, 1200), 30, np.uint8)
    lies = cv2.warpAffine(golden, matrix, (1200, 400))
    covered = cv2.warpAffine(np.full_like(golden, 255), matrix, (1200, 400)) > 127
    scene = np.where(covered, lies, picture).astype(np.uint8)
    wide = Template(by="template", reference="golden", max_turn_deg=45)
    place = by_template(scene, golden, wide)
    assert place.centre == pytest.approx((100, 100), abs=1.5)
    assert place.turn_deg == pytest.approx(40, abs=1.5)


def test_a_long_narrow_picture_is_measured_as_well_as_a_square_one() -> None:
    picture = np.full((100, 4096), 20, np.uint8)
    picture[30:66, 200:3900] = 200
    place = by_contour(picture, BRIGHTER)
    assert place.centre == pytest.approx((2049.5, 47.5), abs=4)
    assert place.size[1] == pytest.approx(36, abs=9)


def test_an_upright_window_holds_the_part_to_its_edges() -> None:
    picture = np.full((1500, 2048), 20, np.uint8)
    picture[200:1200, 300:1500] = 200
    assert by_contour(picture, UPRIGHT).size == pytest.approx((1200, 1000), abs=6)
    assert min(by_contour(picture, UPRIGHT).size) >= 1000
