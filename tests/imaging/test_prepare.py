"""RGB pixels to the network's input, for every option of the spec."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts.spec import Clahe, Contour, FlatField, PreprocessSpec, Roi, Tiles
from pipeline.datasets.adapters import elpv
from pipeline.errors import DataError, UnreadableImage
from pipeline.imaging import Pixels
from pipeline.imaging.codec import read
from pipeline.imaging.prepare import Preparation


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def prepare(rgb: Pixels, spec: PreprocessSpec) -> Pixels:
    """The one image of a spec without tiles."""
    (image,) = Preparation(spec)(rgb).images
    return np.asarray(image)


def cell() -> Pixels:
    """A real solar cell, 300 x 300."""
    config = elpv.Config(type="elpv")
    return read(elpv.root(config) / "images" / "cell0001.png")


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    spec=st.builds(
        PreprocessSpec,
        colour=st.sampled_from(["grey", "rgb"]),
        width_px=st.integers(8, 40),
        height_px=st.integers(8, 40),
        fit=st.sampled_from(["stretch", "letterbox"]),
        interpolation=st.sampled_from(["nearest", "linear", "cubic", "area", "lanczos"]),
        clahe=st.none() | st.builds(Clahe, tiles=st.sampled_from([1, 8, 64])),
    ),
)
def test_every_image_becomes_contiguous_uint8_of_the_promised_shape(
    height: int, width: int, spec: PreprocessSpec
) -> None:
    out = prepare(noise(height, width), spec)
    assert out.shape == spec.shape == (spec.height_px, spec.width_px, spec.channels)
    assert out.dtype == np.uint8
    assert out.flags.c_contiguous


def test_an_image_of_the_right_size_passes_unchanged() -> None:
    image = noise(20, 30)
    assert (prepare(image, PreprocessSpec(width_px=30, height_px=20)) == image).all()


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_a_grey_cell_of_native_size_keeps_every_value(fit: str) -> None:
    rgb = cell()
    spec = PreprocessSpec.model_validate(
        {"colour": "grey", "width_px": 300, "height_px": 300, "fit": fit}
    )
    assert (prepare(rgb, spec)[:, :, 0] == rgb[:, :, 0]).all()


def test_grey_weighs_the_channels_as_rgb() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 255
    out = prepare(red, PreprocessSpec(colour="grey", width_px=8, height_px=8))
    assert (out == 76).all()  # 0.299 of 255; a blue 255 would give 29


def test_the_roi_is_cut_out_of_the_original() -> None:
    image = noise(40, 50)
    roi = Roi(x_px=7, y_px=3, width_px=20, height_px=10)
    out = prepare(image, PreprocessSpec(width_px=20, height_px=10, roi=roi))
    assert (out == image[3:13, 7:27]).all()


def test_a_roi_of_the_networks_size_is_contiguous_not_a_view_of_the_frame() -> None:
    image = noise(40, 50)
    spec = PreprocessSpec(
        width_px=20, height_px=10, roi=Roi(x_px=7, y_px=3, width_px=20, height_px=10)
    )
    out = prepare(image, spec)
    assert out.flags.c_contiguous
    assert not np.shares_memory(out, image)


def test_a_roi_up_to_the_edges_is_inside() -> None:
    image = noise(40, 50)
    roi = Roi(x_px=30, y_px=20, width_px=20, height_px=20)
    out = prepare(image, PreprocessSpec(width_px=20, height_px=20, roi=roi))
    assert (out == image[20:, 30:]).all()


@pytest.mark.parametrize("roi", [(31, 20, 20, 20), (30, 21, 20, 20), (0, 0, 51, 1), (60, 0, 1, 1)])
def test_a_roi_outside_the_image_is_an_unreadable_image(roi: tuple[int, int, int, int]) -> None:
    x, y, width, height = roi
    spec = PreprocessSpec(
        width_px=20, height_px=20, roi=Roi(x_px=x, y_px=y, width_px=width, height_px=height)
    )
    with pytest.raises(UnreadableImage, match="reaches outside the image of 50x40 pixels"):
        prepare(noise(40, 50), spec)


def test_stretching_fills_the_frame() -> None:
    white = np.full((10, 40, 3), 255, np.uint8)
    assert (prepare(white, PreprocessSpec(width_px=20, height_px=20)) == 255).all()


@pytest.mark.parametrize("wide", [True, False])
def test_a_letterbox_keeps_proportions_in_the_middle_of_padding(wide: bool) -> None:
    size = (10, 50) if wide else (50, 10)
    white = np.full((*size, 3), 255, np.uint8)
    spec = PreprocessSpec(width_px=20, height_px=20, fit="letterbox", pad_value=7)
    expected = np.full((20, 20, 3), 7, np.uint8)
    across = expected if wide else expected.transpose(1, 0, 2)
    across[8:12] = 255  # 50 x 10 becomes 20 x 4
    assert (prepare(white, spec) == expected).all()


def test_a_letterbox_enlarges_a_small_image_to_touch_the_frame() -> None:
    white = np.full((5, 10, 3), 255, np.uint8)
    spec = PreprocessSpec(colour="grey", width_px=40, height_px=40, fit="letterbox")
    out = prepare(white, spec)[:, :, 0]
    assert out[10:30].min() == 255
    assert out[:10].max() == out[30:].max() == 0


def test_area_shrinks_by_averaging() -> None:
    checks = np.indices((16, 16)).sum(axis=0) % 2 * 200
    image = np.repeat(checks.astype(np.uint8)[:, :, None], 3, axis=2)
    assert (prepare(image, PreprocessSpec(width_px=8, height_px=8)) == 100).all()


def test_nearest_invents_no_values() -> None:
    image = np.where(noise(31, 31) > 127, 255, 0).astype(np.uint8)
    spec = PreprocessSpec(width_px=16, height_px=16, interpolation="nearest")
    assert set(np.unique(prepare(image, spec))) == {0, 255}


def test_clahe_raises_the_contrast_of_a_dull_picture() -> None:
    ramp = np.linspace(100, 120, 64).astype(np.uint8)
    dull = np.repeat(np.tile(ramp, (64, 1))[:, :, None], 3, axis=2)
    plain = PreprocessSpec(colour="grey", width_px=64, height_px=64)
    lifted = plain.model_copy(update={"clahe": Clahe(clip_limit=8, tiles=1)})
    assert prepare(dull, lifted).std() > 2 * prepare(dull, plain).std()


def test_clahe_changes_lightness_and_leaves_colour() -> None:
    ramp = np.linspace(90, 150, 64)
    tinted = np.stack([np.tile(ramp * f, (64, 1)) for f in (1.0, 0.8, 0.6)], axis=2)
    image = tinted.astype(np.uint8)
    plain = PreprocessSpec(width_px=64, height_px=64)
    lifted = plain.model_copy(update={"clahe": Clahe(clip_limit=4, tiles=2)})
    before = cv2.cvtColor(prepare(image, plain), cv2.COLOR_RGB2LAB).astype(int)
    after = cv2.cvtColor(prepare(image, lifted), cv2.COLOR_RGB2LAB).astype(int)
    assert np.abs(after[:, :, 0] - before[:, :, 0]).max() > 10
    assert np.abs(after[:, :, 1:] - before[:, :, 1:]).max() <= 3  # rounding, clipping


def test_preparing_does_not_touch_the_original() -> None:
    image = noise(32, 32)
    before = image.copy()
    spec = PreprocessSpec(width_px=32, height_px=32, clahe=Clahe(clip_limit=4, tiles=4))
    prepare(image, spec)
    assert (image == before).all()


def test_the_same_image_gives_the_same_bytes() -> None:
    rgb = cell()
    spec = PreprocessSpec(
        colour="grey", width_px=224, height_px=160, fit="letterbox", clahe=Clahe(tiles=8)
    )
    assert prepare(rgb, spec).tobytes() == prepare(rgb.copy(), spec).tobytes()


def test_a_flat_field_evens_out_the_light() -> None:
    light = np.tile(np.linspace(60, 240, 64), (48, 1))
    reference = np.repeat(light.astype(np.uint8)[:, :, None], 3, axis=2)
    scene = (reference * 0.5).astype(np.uint8)  # an even grey target, under the same lamp
    spec = PreprocessSpec(width_px=64, height_px=48, flat_field=FlatField(reference="flat"))
    plain = prepare(scene, spec.model_copy(update={"flat_field": None}))
    (even,) = Preparation(spec, {"flat": reference})(scene).images
    assert plain.std() > 20
    assert even.std() < 1
    assert even.mean() == pytest.approx(plain.mean(), abs=2)


def test_a_picture_of_another_size_than_the_flat_field_is_unreadable() -> None:
    spec = PreprocessSpec(width_px=8, height_px=8, flat_field=FlatField(reference="flat"))
    with pytest.raises(
        UnreadableImage, match=r"the image has 50x40 pixels, the flat field's .* 64x48"
    ):
        Preparation(spec, {"flat": noise(48, 64)})(noise(40, 50))


def test_a_reference_that_was_not_given_is_asked_for() -> None:
    spec = PreprocessSpec(width_px=8, height_px=8, flat_field=FlatField(reference="flat"))
    with pytest.raises(DataError, match='picture "flat"; give its path under `references`'):
        Preparation(spec)


def test_a_part_that_lies_elsewhere_is_brought_to_the_same_place() -> None:
    spec = PreprocessSpec(
        colour="grey",
        width_px=64,
        height_px=64,
        locate=Contour(by="contour", part="brighter", upright=True),
    )
    here, there = (np.zeros((200, 300, 3), np.uint8) for _ in range(2))
    piece = np.clip(cell()[:100, :100].astype(int) + 60, 0, 255).astype(np.uint8)
    here[20:120, 30:130] = piece
    there[80:180, 170:270] = piece
    seen = [Preparation(spec)(scene) for scene in (here, there)]
    assert np.abs(seen[0].images.astype(int) - seen[1].images).max() <= 2
    assert all(s.reason is None and s.confidence > 0.5 for s in seen)


def test_a_part_that_is_not_there_is_reported() -> None:
    spec = PreprocessSpec(width_px=16, height_px=16, locate=Contour(by="contour", part="brighter"))
    seen = Preparation(spec)(np.full((40, 50, 3), 80, np.uint8))
    assert seen.reason == "part not found: confidence 0.00 below 0.50"
    assert seen.images.shape == (1, 16, 16, 3)


def test_tiles_are_the_picture_in_pieces_row_by_row() -> None:
    image = noise(40, 60)
    tiles = Tiles(rows=2, columns=3, overlap=0)
    seen = Preparation(PreprocessSpec(width_px=20, height_px=20, tiles=tiles))(image).images
    assert seen.shape == (6, 20, 20, 3)
    assert (seen[4] == image[20:, 20:40]).all()


def test_a_mask_goes_where_its_picture_goes() -> None:
    spec = PreprocessSpec.model_validate(
        {
            "colour": "grey",
            "width_px": 60,
            "height_px": 40,
            "roi": {"x_px": 20, "y_px": 10, "width_px": 240, "height_px": 160},
            "locate": {"by": "contour", "part": "brighter", "upright": True},
            "fit": "letterbox",
            "tiles": {"columns": 2, "overlap": 0},
        }
    )
    scene = np.zeros((200, 300, 3), np.uint8)
    cv2.fillPoly(scene, [np.array([(60, 30), (220, 58), (205, 140), (45, 112)])], (120, 120, 120))
    mask = np.zeros((200, 300), np.uint8)
    cv2.circle(scene, (180, 80), 6, (255, 255, 255), -1)
    cv2.circle(mask, (180, 80), 6, 1, -1)
    seen = Preparation(spec)(scene, mask)
    assert seen.masks is not None
    assert seen.masks.shape == (2, 40, 60)
    assert set(np.unique(seen.masks)) == {0, 255}
    assert not seen.masks[0].any()
    inside, around = seen.images[1, ..., 0][seen.masks[1] > 0], seen.images[1, ..., 0].max()
    assert inside.mean() > 180
    assert around == seen.images[1, ..., 0][seen.masks[1] > 0].max()


def test_a_defect_of_one_pixel_survives_shrinking() -> None:
    mask = np.zeros((400, 400), np.uint8)
    mask[123, 77] = 1
    spec = PreprocessSpec(width_px=8, height_px=8, interpolation="nearest")
    seen = Preparation(spec)(noise(400, 400), mask).masks
    assert seen is not None
    assert seen.sum() == 255


def test_a_mask_of_another_size_than_its_picture_is_refused() -> None:
    spec = PreprocessSpec(width_px=8, height_px=8)
    with pytest.raises(UnreadableImage, match="the mask has 10x10 pixels, the image 50x40"):
        Preparation(spec)(noise(40, 50), np.zeros((10, 10), np.uint8))


@pytest.mark.parametrize(
    "steps",
    [
        {"roi": {"x_px": 10, "y_px": 5, "width_px": 30, "height_px": 20}},
        {
            "rectify": {
                "corners_px": [[0, 0], [90, 5], [95, 70], [2, 60]],
                "width_px": 9,
                "height_px": 9,
            }
        },
        {"unwrap": {"centre_px": [60, 50], "outer_px": 40}},
        {"unwrap": {"outer_px": 40}},
        {"flat_field": {"reference": "picture"}},
        {"locate": {"by": "template", "reference": "picture"}},
        {},
    ],
)
def test_a_frame_of_the_size_it_names_is_accepted(steps: dict[str, object]) -> None:
    spec = PreprocessSpec.model_validate({"width_px": 16, "height_px": 16, **steps})
    preparation = Preparation(spec, {"picture": noise(33, 44)})
    height, width = preparation.frame_px
    assert preparation(noise(height, width)).images.shape == (1, 16, 16, 3)


@pytest.mark.parametrize("grey", [100, 200, 250])
def test_an_even_flat_field_of_a_large_camera_changes_nothing(grey: int) -> None:
    spec = PreprocessSpec(width_px=64, height_px=64, flat_field=FlatField(reference="flat"))
    even = np.full((2048, 2448, 3), grey, np.uint8)
    assert (Preparation(spec, {"flat": even})(even).images == grey).all()


def test_a_defect_of_one_pixel_survives_a_rectification_that_shrinks() -> None:
    spec = PreprocessSpec.model_validate(
        {
            "width_px": 60,
            "height_px": 40,
            "rectify": {
                "corners_px": [[10, 10], [590, 30], [580, 390], [20, 380]],
                "width_px": 60,
                "height_px": 40,
            },
        }
    )
    preparation = Preparation(spec)
    for x, y in np.random.default_rng(0).integers((60, 60), (540, 340), (40, 2)).tolist():
        mask = np.zeros((400, 600), np.uint8)
        mask[y, x] = 1
        seen = preparation(np.zeros((400, 600, 3), np.uint8), mask).masks
        assert seen is not None
        assert seen.any(), (x, y)


def test_a_rectification_that_shrinks_averages_fine_stripes() -> None:
    stripes = np.zeros((400, 600, 3), np.uint8)
    stripes[:, ::10] = 200
    spec = PreprocessSpec.model_validate(
        {
            "width_px": 60,
            "height_px": 40,
            "rectify": {
                "corners_px": [[0, 0], [599, 0], [599, 399], [0, 399]],
                "width_px": 60,
                "height_px": 40,
            },
        }
    )
    assert prepare(stripes, spec).mean() == pytest.approx(20, abs=2)
