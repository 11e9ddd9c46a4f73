"""How pictures fit the network's input."""

from __future__ import annotations

import pytest

from pipeline.contracts.spec import Contour, PreprocessSpec, Roi, Tiles
from pipeline.datasets.proposals.fit import (
    cost_ms,
    fit_of,
    padding,
    remarks,
    shown_size,
    shrinking,
)

SPEC = PreprocessSpec(width_px=100, height_px=100, fit="letterbox")


def changed(**settings: object) -> PreprocessSpec:
    return SPEC.model_copy(update=settings)


def test_letterbox_pads_what_the_proportions_leave_and_stretch_nothing() -> None:
    assert padding(SPEC, 400, 100) == padding(SPEC, 100, 400) == 0.75
    assert padding(SPEC, 100, 100) == 0
    assert padding(changed(fit="stretch"), 400, 100) == 0


def test_shrinking_is_of_the_side_that_loses_most() -> None:
    assert shrinking(SPEC, 400, 100) == 4
    assert shrinking(SPEC, 50, 50) == 0.5


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (changed(roi=Roi(x_px=0, y_px=0, width_px=50, height_px=20)), (50, 20)),
        (changed(tiles=Tiles(rows=1, columns=2, overlap=0.5)), (200, 200)),
    ],
    ids=["roi", "tiles"],
)
def test_roi_and_tiles_show_less_of_the_picture(
    spec: PreprocessSpec, expected: tuple[float, float]
) -> None:
    assert shown_size(spec, 300, 200) == expected


def test_a_picture_that_is_not_shrunk_loses_no_pixel() -> None:
    (line,) = fit_of(SPEC, [(80, 80)], (80, 80)).lines
    assert "no pixel is lost" in line


def test_cost_goes_by_area_scales_and_tiles() -> None:
    usual = PreprocessSpec(width_px=224, height_px=224)
    tiled = usual.model_copy(update={"tiles": Tiles(rows=2, columns=2)})
    assert cost_ms(usual, (1.0,)) == pytest.approx(5.9, abs=0.05)
    assert cost_ms(tiled, (1.0, 1.0)) == pytest.approx(8 * cost_ms(usual, (1.0,)))


def test_a_recipe_that_shrinks_or_pads_much_names_what_measures_the_remedy() -> None:
    shrunk, padded = remarks(SPEC, [(800, 400)] * 3, "valves")
    assert "8 pixels of a picture become one, so a defect under 96 px is under 12 px" in shrunk
    assert "letterbox fills 50% of the network's input with borders" in padded
    assert "`lineside tune valves` measures" in shrunk


def test_what_more_pixels_gained_in_a_trial_stands_in_the_remark() -> None:
    tried = "on 60 training images 224x224 changed AUROC by +0.020 (+0.010 to +0.030)"
    shrunk, padded = remarks(SPEC, [(800, 400)] * 3, "valves", tried)
    assert tried in shrunk
    assert tried not in padded


def test_a_recipe_that_fits_and_one_that_locates_its_part_have_no_remark() -> None:
    assert remarks(SPEC, [(120, 110)], "valves") == []
    located = changed(locate=Contour(by="contour", part="brighter"))
    assert remarks(located, [(800, 400)], "valves") == []
