"""What the surface numbers see, and what they do not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.imaging import Pixels
from pipeline.imaging.texture import LENGTH, structure_px, texture

PLAIN = np.full((128, 128, 3), 120, np.uint8)


def scratched(row: int, picture: Pixels = PLAIN) -> Pixels:
    marked = picture.copy()
    marked[row : row + 4, 40:90] = 250
    return marked


def apart(one: Pixels, other: Pixels) -> float:
    return float(np.abs(texture(one) - texture(other)).max())


@pytest.mark.parametrize("shape", [(300, 300, 3), (7, 900, 3), (1, 1, 3)])
def test_any_size_gives_the_same_number_of_finite_numbers(shape: tuple[int, int, int]) -> None:
    numbers = texture(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    assert numbers.shape == (LENGTH,)
    assert numbers.dtype == np.float32
    assert np.isfinite(numbers).all()


def test_a_scratch_elsewhere_is_the_same_surface() -> None:
    assert apart(scratched(20), scratched(84)) < 0.02
    assert apart(scratched(20), PLAIN) > 1


def test_a_scratch_in_another_direction_is_another_surface() -> None:
    upright = np.ascontiguousarray(np.rot90(scratched(20)))
    assert apart(upright, scratched(20)) > 0.5


def test_colour_counts() -> None:
    red = PLAIN.copy()
    red[:, :, 0] = 160
    grey = cv2.cvtColor(cv2.cvtColor(red, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert apart(red, np.asarray(grey, np.uint8)) > 10


@pytest.mark.parametrize("wavelength_px", [8, 20, 40])
def test_the_width_of_structures_is_half_a_wavelength(wavelength_px: int) -> None:
    x = np.arange(240)
    wave = 128 + 60 * np.sin(2 * np.pi * x / wavelength_px)
    picture = np.repeat(np.tile(wave, (240, 1))[:, :, None], 3, axis=2).astype(np.uint8)
    assert structure_px(picture) == pytest.approx(wavelength_px / 2, rel=0.25)


def test_an_even_picture_has_no_structure() -> None:
    assert structure_px(np.full((90, 90, 3), 128, np.uint8)) is None
