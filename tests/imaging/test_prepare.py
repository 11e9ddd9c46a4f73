"""RGB pixels to the network's input, for every option of the spec."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts.spec import Clahe, PreprocessSpec, Roi
from pipeline.datasets.adapters import elpv
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels
from pipeline.imaging.codec import read
from pipeline.imaging.prepare import prepare


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


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
