"""Crops, warps and tiles, on pictures whose pixels say where they come from."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts.spec import Rectify, Tiles, Unwrap
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels, geometry
from pipeline.imaging.locate import Place


def columns(height: int, width: int) -> Pixels:
    """Every pixel holds the number of its column."""
    return np.tile(np.arange(width, dtype=np.uint8), (height, 1))


def test_a_face_seen_at_an_angle_becomes_its_rectangle() -> None:
    face = np.zeros((60, 90), np.uint8)
    face[::10] = 200
    face[:, ::10] = 200
    corners = [(20.0, 15.0), (180.0, 40.0), (170.0, 150.0), (30.0, 140.0)]
    seen = np.array([(0, 0), (89, 0), (89, 59), (0, 59)], np.float32)
    matrix = cv2.getPerspectiveTransform(seen, np.array(corners, np.float32))
    picture = np.asarray(cv2.warpPerspective(face, matrix, (200, 180)), np.uint8)
    spec = Rectify.model_validate({"corners_px": corners, "width_px": 90, "height_px": 60})
    flat = geometry.rectify(picture, spec)(picture, cv2.INTER_LINEAR)
    assert flat.shape == face.shape
    assert np.corrcoef(flat.ravel(), face.ravel())[0, 1] > 0.8
    assert np.corrcoef(picture[:60, :90].ravel(), face.ravel())[0, 1] < 0.3


def test_corners_that_are_the_pictures_own_change_nothing() -> None:
    picture = columns(40, 50)
    corners = [(0, 0), (49, 0), (49, 39), (0, 39)]
    spec = Rectify.model_validate({"corners_px": corners, "width_px": 50, "height_px": 40})
    assert (geometry.rectify(picture, spec)(picture, cv2.INTER_LINEAR) == picture).all()


def test_a_corner_outside_the_picture_is_named() -> None:
    spec = Rectify.model_validate(
        {
            "corners_px": [(0, 0), (50, 0), (49, 39), (0, 39)],
            "width_px": 50,
            "height_px": 40,
        }
    )
    with pytest.raises(UnreadableImage, match=r"corner of rectify \(50,0\) lies outside .* 50x40"):
        geometry.rectify(columns(40, 50), spec)


@pytest.mark.parametrize(
    "corners",
    [
        [(0, 0), (0, 39), (49, 39), (49, 0)],  # the other way round
        [(0, 0), (49, 39), (49, 0), (0, 39)],  # crossed
        [(0, 0), (49, 0), (10, 5), (0, 39)],  # dented
        [(0, 0), (0, 0), (49, 39), (0, 39)],  # twice the same
    ],
)
def test_corners_that_do_not_go_round_a_face_are_refused(corners: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="do not go round a face: give top left, top right"):
        Rectify.model_validate({"corners_px": corners, "width_px": 50, "height_px": 40})


def test_a_ring_becomes_a_strip_with_the_outer_rim_on_top() -> None:
    y, x = np.mgrid[-50:51, -50:51]
    rings = np.clip(np.hypot(x, y) * 4, 0, 255).astype(np.uint8)
    spec = Unwrap(inner_px=10, outer_px=50)
    strip = geometry.unwrap(rings, spec)(rings, cv2.INTER_LINEAR)
    assert strip.shape == (40, round(2 * np.pi * 50))
    assert strip.std(axis=1).max() < 3  # every row is one radius
    assert strip[0].mean() == pytest.approx(49 * 4, abs=6)
    assert strip[-1].mean() == pytest.approx(10 * 4, abs=6)


def test_the_strip_starts_on_the_right_and_runs_clockwise() -> None:
    quarters = np.zeros((101, 101), np.uint8)
    quarters[51:, 51:] = 50  # from right to bottom comes first
    quarters[51:, :50] = 100
    quarters[:50, :50] = 150
    quarters[:50, 51:] = 200
    strip = geometry.unwrap(quarters, Unwrap(inner_px=20, outer_px=50))(quarters, cv2.INTER_NEAREST)
    quarter = strip.shape[1] // 4
    middles = [int(strip[15, quarter // 2 + i * quarter]) for i in range(4)]
    assert middles == [50, 100, 150, 200]


def test_a_ring_that_reaches_outside_is_named() -> None:
    with pytest.raises(UnreadableImage, match=r"the ring of unwrap .* outside the image of 50x40"):
        geometry.unwrap(columns(40, 50), Unwrap(outer_px=22))


def test_a_ring_without_width_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves no ring"):
        Unwrap(inner_px=30, outer_px=30.5)


def test_a_level_window_on_whole_pixels_is_a_plain_crop() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    matrix, size = Place((19.5, 14.5), (20, 10), 0.0, 1.0).window(0.0)
    assert (geometry.window(matrix, size)(picture, cv2.INTER_LINEAR) == picture[10:20, 10:30]).all()


def test_a_window_over_the_edge_repeats_the_edge() -> None:
    matrix, size = Place((0.0, 20.0), (21, 5), 0.0, 1.0).window(0.0)
    seen = geometry.window(matrix, size)(columns(40, 50), cv2.INTER_LINEAR)
    assert seen[0].tolist() == [0] * 11 + list(range(1, 11))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    overlap=st.floats(0, 0.5),
)
def test_tiles_cover_every_pixel_whatever_their_number(
    height: int, width: int, rows: int, columns: int, overlap: float
) -> None:
    picture = np.zeros((height, width), np.uint8)
    boxes = list(geometry.tiles(picture, Tiles(rows=rows, columns=columns, overlap=overlap)))
    assert len(boxes) == rows * columns
    for box in boxes:
        assert picture[box].size > 0
        picture[box] = 1
    assert picture.all()


def test_neighbouring_tiles_share_the_overlap() -> None:
    picture = np.zeros((10, 190), np.uint8)
    left, right = geometry.tiles(picture, Tiles(columns=2, overlap=0.1))
    assert (left[1].stop, right[1].start) == (100, 90)


def test_areas_that_touch_at_a_corner_are_one_and_each_has_its_box_and_size() -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[0, 0] = mask[1, 1] = 255
    mask[3:5, 4:7] = 1
    numbers, sides, middles = geometry.connected_areas(mask)
    assert sides.tolist() == [[0, 0, 2, 2, 2], [4, 3, 3, 2, 6]]
    assert middles.tolist() == [[0.5, 0.5], [5.0, 3.5]]
    assert numbers[1, 1] == 1
    assert numbers[4, 6] == 2
