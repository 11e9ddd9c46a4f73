"""How healthy a picture is, and what is said of one that is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.contracts.bundle import Range, Reference
from pipeline.imaging import Pixels
from pipeline.imaging.quality import Quality, image_reason, is_grey, measure, reference

TRAINED = Reference(
    n_images=10,
    brightness=Range(low=100, median=110, high=120),
    contrast=Range(low=20, median=30, high=40),
    sharpness=Range(low=50, median=60, high=70),
)
HEALTHY = Quality(brightness=110, contrast=30, sharpness=60)


def noise() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (64, 64, 1), dtype=np.uint8)


def test_an_even_grey_has_its_brightness_and_nothing_else() -> None:
    assert measure(np.full((8, 8, 1), 77, np.uint8)) == Quality(77.0, 0.0, 0.0)


def test_a_darker_picture_is_less_bright() -> None:
    assert measure(noise() // 2).brightness == pytest.approx(measure(noise()).brightness / 2, abs=1)


def test_contrast_is_the_standard_deviation() -> None:
    assert measure(noise()).contrast == pytest.approx(noise().std())


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    laplacian = cv2.Laplacian(noise()[:, :, 0].astype(np.float64), cv2.CV_64F)
    assert measure(noise()).sharpness == pytest.approx(laplacian.var(), rel=1e-5)


def test_a_blurred_picture_is_less_sharp() -> None:
    blurred = np.asarray(cv2.GaussianBlur(noise(), (0, 0), 1.5), np.uint8).reshape(64, 64, 1)
    assert measure(blurred).sharpness < measure(noise()).sharpness / 10


def test_colour_is_measured_as_grey_in_rgb_order() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 255
    assert measure(red).brightness == pytest.approx(76, abs=1)


def test_the_reference_holds_smallest_median_and_largest() -> None:
    seen = reference([Quality(1, 20, 300), Quality(3, 10, 200), Quality(8, 30, 100)])
    assert seen == Reference(
        n_images=3,
        brightness=Range(low=1, median=3, high=8),
        contrast=Range(low=10, median=20, high=30),
        sharpness=Range(low=100, median=200, high=300),
    )


def test_a_picture_like_those_in_training_is_not_refused() -> None:
    assert image_reason(HEALTHY, TRAINED) is None


@pytest.mark.parametrize("extreme", ["low", "high"])
def test_no_training_picture_is_refused(extreme: str) -> None:
    quality = Quality(
        getattr(TRAINED.brightness, extreme),
        getattr(TRAINED.contrast, extreme),
        getattr(TRAINED.sharpness, extreme),
    )
    assert image_reason(quality, TRAINED) is None


@pytest.mark.parametrize(
    ("quality", "sentence"),
    [
        (Quality(89.9, 30, 60), "too dark: mean grey 89.9, training saw 100.0 to 120.0"),
        (Quality(130.1, 30, 60), "too bright: mean grey 130.1, training saw 100.0 to 120.0"),
        (Quality(110, 9.9, 60), "no contrast: deviation 9.9, training saw 20.0 to 40.0"),
        (Quality(110, 30, 24.9), "blurred: sharpness 24.9, training saw 50.0 to 70.0"),
    ],
)
def test_a_picture_beyond_a_limit_is_named_with_what_training_saw(
    quality: Quality, sentence: str
) -> None:
    assert image_reason(quality, TRAINED) == sentence


@pytest.mark.parametrize(
    "quality",
    [Quality(90, 30, 60), Quality(130, 30, 60), Quality(110, 10, 60), Quality(110, 30, 25)],
)
def test_a_picture_just_at_a_limit_is_not_refused(quality: Quality) -> None:
    assert image_reason(quality, TRAINED) is None


def test_a_dark_picture_is_named_even_where_training_saw_a_wide_range() -> None:
    wide = TRAINED.model_copy(update={"brightness": Range(low=40, median=100, high=200)})
    said = image_reason(Quality(19, 30, 60), wide)
    assert said is not None
    assert said.startswith("too dark")


def test_a_covered_lens_is_too_dark_and_a_saturated_one_too_bright() -> None:
    dark, bright = (measure(np.full((8, 8, 1), v, np.uint8)) for v in (0, 255))
    assert str(image_reason(dark, TRAINED)).startswith("too dark")
    assert str(image_reason(bright, TRAINED)).startswith("too bright")


@pytest.mark.parametrize(("red", "grey"), [(102, True), (103, False)])
def test_a_picture_is_grey_while_its_channels_differ_by_little(red: int, grey: bool) -> None:
    picture = np.full((4, 4, 3), 100, np.uint8)
    picture[1, 2, 0] = red
    assert is_grey(picture) is grey
