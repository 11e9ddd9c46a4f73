"""Where pictures and captions stand on a contact sheet."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.imaging import Pixels
from pipeline.imaging.sheet import CAPTION_PX, GAP_PX, contact_sheet, thumbnail

SIDE = 20
STEP_X, STEP_Y = SIDE + GAP_PX, SIDE + CAPTION_PX + GAP_PX


def tile(value: int, height: int = SIDE, width: int = SIDE, channels: int = 3) -> Pixels:
    return np.full((height, width, channels), value, np.uint8)


@pytest.mark.parametrize(
    ("n", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (4, 3, 2), (6, 3, 2), (7, 3, 3), (1, 4, 1)]
)
def test_the_sheet_has_as_many_rows_as_it_needs(n: int, columns: int, rows: int) -> None:
    sheet = contact_sheet([("", tile(0))] * n, columns=columns, tile_px=SIDE)
    assert sheet.shape == (rows * STEP_Y + GAP_PX, columns * STEP_X + GAP_PX, 3)
    assert sheet.dtype == np.uint8


def test_pictures_stand_left_to_right_then_down_on_white() -> None:
    tiles = [("", tile(10 * i)) for i in range(5)]
    sheet = contact_sheet(tiles, columns=2, tile_px=SIDE)
    expected = np.full_like(sheet, 255)
    for i in range(5):
        top, left = GAP_PX + i // 2 * STEP_Y, GAP_PX + i % 2 * STEP_X
        expected[top : top + SIDE, left : left + SIDE] = 10 * i
    assert (sheet == expected).all()


def test_a_grey_picture_stands_in_three_channels() -> None:
    sheet = contact_sheet([("", tile(99, channels=1))], columns=1, tile_px=SIDE)
    assert (sheet[GAP_PX : GAP_PX + SIDE, GAP_PX : GAP_PX + SIDE] == 99).all()


def test_a_colour_picture_keeps_its_colour() -> None:
    red = tile(0)
    red[:, :, 0] = 255
    sheet = contact_sheet([("", red)], columns=1, tile_px=SIDE)
    assert sheet[GAP_PX, GAP_PX].tolist() == [255, 0, 0]


def test_a_wide_picture_keeps_its_proportions() -> None:
    sheet = contact_sheet([("", tile(0, height=40, width=80))], columns=1, tile_px=SIDE)
    black = np.argwhere((sheet == 0).all(axis=2))
    assert (black.max(axis=0) - black.min(axis=0) + 1).tolist() == [SIDE // 2, SIDE]


def test_a_caption_is_written_below_its_picture_and_only_there() -> None:
    sheet = contact_sheet([("abc", tile(255)), ("", tile(255))], columns=2, tile_px=60)
    rows, columns = np.nonzero((sheet < 255).any(axis=2))
    assert rows.min() >= GAP_PX + 60
    assert columns.max() < GAP_PX + 60


def test_a_long_caption_is_cut_at_the_edge_of_its_picture() -> None:
    sheet = contact_sheet([("W" * 80, tile(255)), ("", tile(255))], columns=2, tile_px=60)
    columns = np.nonzero((sheet < 255).any(axis=2))[1]
    assert columns.size
    assert columns.max() < GAP_PX + 60 + GAP_PX


def test_a_caption_in_another_script_does_not_fail() -> None:
    sheet = contact_sheet([("欠陥 Bänder", tile(255))], columns=1, tile_px=90)
    assert (sheet < 255).any()


def test_a_thumbnail_keeps_its_shape_within_the_square() -> None:
    assert thumbnail(tile(7, height=300, width=100), 60).shape == (60, 20, 3)
    assert thumbnail(tile(7, height=1, width=500, channels=1), 60).shape == (1, 60, 3)
