"""Preparation that pictures suggest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.sample import Box, Sample
from pipeline.datasets.proposals.pixels import ProposedPixels, propose_pixels
from pipeline.datasets.scanning import scan
from pipeline.imaging.codec import encode_png


def proposed(
    home: Path,
    *sizes: tuple[int, int],
    colour: bool = False,
    defect_px: int = 0,
    boxed: bool = False,
) -> ProposedPixels:
    """For noisy pictures of these sizes (height, width), with a defect of so many pixels a side."""
    rng = np.random.default_rng(0)
    scans = []
    for i, (height, width) in enumerate(sizes):
        grey = rng.integers(80, 160, (height, width, 1), np.uint8)
        picture = np.repeat(grey, 3, axis=2)
        picture[..., 2] //= 2 if colour else 1
        (home / f"{i}.png").write_bytes(encode_png(picture))
        mask, boxes = "", tuple[Box, ...]()
        if defect_px and boxed:
            boxes = (Box("dent", 4, 4, 4 + defect_px, 4 + defect_px),)
        elif defect_px:
            drawn = np.zeros((height, width, 3), np.uint8)
            drawn[4 : 4 + defect_px, 4 : 4 + defect_px] = 255
            mask = f"{i}-mask.png"
            (home / mask).write_bytes(encode_png(drawn))
        sample = Sample(str(i), f"{i}.png", "dent", str(i), mask=mask, boxes=boxes)
        scans.append(scan(sample, home))
    assert [s.fault for s in scans if s.fault] == []
    return propose_pixels(scans, home)


def test_pictures_without_colour_are_prepared_in_grey(tmp_path: Path) -> None:
    assert proposed(tmp_path, (50, 50)).spec.colour == "grey"


def test_one_picture_with_colour_keeps_it(tmp_path: Path) -> None:
    assert proposed(tmp_path, (50, 50), colour=True).spec.colour == "rgb"


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(300, 300)] * 3, (224, 224, "stretch")),
        ([(180, 320)] * 3, (288, 160, "stretch")),
        ([(320, 180)] * 3, (160, 288, "stretch")),
        ([(200, 260), (260, 200), (200, 200)], (224, 224, "letterbox")),
        ([(100, 300), (300, 100), (200, 200)], (224, 224, "stretch")),
        ([(40, 400)] * 3, (448, 128, "stretch")),
    ],
    ids=["square", "wide", "high", "mixed", "very-mixed", "very-long"],
)
def test_size_and_fit_follow_the_proportions(
    sizes: list[tuple[int, int]], expected: tuple[int, int, str], tmp_path: Path
) -> None:
    spec = proposed(tmp_path, *sizes).spec
    assert (spec.width_px, spec.height_px, spec.fit) == expected


def test_masks_of_small_defects_propose_tiles_in_which_they_are_large_enough(
    tmp_path: Path,
) -> None:
    found = proposed(tmp_path, (900, 1200), defect_px=20)
    tiles = found.spec.tiles
    assert tiles is not None
    assert (tiles.rows, tiles.columns) == (3, 4)
    assert "a quarter of those marked is under 20 px wide" in found.reasons["tiles"]
    assert found.without_tiles.spec.tiles is None


def test_masks_of_large_defects_propose_none(tmp_path: Path) -> None:
    assert proposed(tmp_path, (400, 400), defect_px=60).spec.tiles is None


def test_tiles_of_a_long_strip_are_never_more_than_there_is_picture(tmp_path: Path) -> None:
    tiles = proposed(tmp_path, (100, 3000), defect_px=6).spec.tiles
    assert tiles is not None
    assert (tiles.rows, tiles.columns) == (1, 14)


def test_boxes_of_small_defects_propose_a_larger_input_and_no_tiles(tmp_path: Path) -> None:
    found = proposed(tmp_path, (600, 600), defect_px=24, boxed=True)
    assert (found.spec.width_px, found.spec.tiles) == (288, None)
    assert "would be smaller than 12 px" in found.reasons["size"]


def test_large_pictures_without_marks_name_how_small_a_defect_is_lost(tmp_path: Path) -> None:
    found = proposed(tmp_path, (672, 672))
    assert "those under 36 px in the image are under 12 px" in found.reasons["tiles"]


def test_borders_shrinking_and_small_defects_are_named_with_what_follows(tmp_path: Path) -> None:
    found = proposed(tmp_path, (300, 1200), defect_px=20, boxed=True)
    assert (found.before.padding, round(found.before.shrunk, 2)) == (0.75, 5.36)
    first, second = found.before.lines
    assert "1200x300 pixels (4 to 1): borders fill 75% of the network's input" in first
    assert "small defects are 3.7 px there (a quarter of those marked" in second
    assert found.advice[0] == (
        "fit: stretch, 448x128: letterbox would fill 75% of the input with borders"
    )
    assert "by the multiply-adds of the template's network" in found.cost


def test_without_marks_the_width_of_the_surfaces_structure_is_named(tmp_path: Path) -> None:
    found = proposed(tmp_path, (448, 448))
    assert found.before.defect_px is None
    assert found.before.texture_px is not None
    assert "nothing marks defects; the surface's own structure" in found.before.lines[1]


def test_pictures_that_stay_shrunk_are_advised_to_try_a_larger_input(tmp_path: Path) -> None:
    found = proposed(tmp_path, (1200, 1200))
    assert "5.4 pixels still become one" in found.advice[-1]
    assert "lineside tune" in found.advice[-1]


def test_the_cost_grows_with_the_input(tmp_path: Path) -> None:
    square, tiled = proposed(tmp_path, (300, 300)), proposed(tmp_path, (900, 900), defect_px=20)
    assert tiled.spec.n_tiles == 9
    assert square.cost.startswith("about 9 ms a frame at the line, 9 ms with 224x224")
    assert tiled.cost.startswith("about 80 ms")
