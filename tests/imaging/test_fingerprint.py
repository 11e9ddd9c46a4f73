"""Copies of one shot have close fingerprints, other pictures have not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.imaging import Pixels
from pipeline.imaging.fingerprint import LENGTH, fingerprint


def part(seed: int = 0, side_px: int = 160) -> Pixels:
    """A ring on a smooth ground that only this seed has."""
    ground = np.random.default_rng(seed).integers(60, 200, (6, 6, 1), dtype=np.uint8)
    picture = cv2.resize(ground, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    cv2.circle(picture, (side_px // 2, side_px // 2), side_px // 3, 230, side_px // 16)
    return np.repeat(picture[:, :, None], 3, axis=2)


def jpeg(rgb: Pixels, quality: int) -> Pixels:
    _, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def apart(a: Pixels, b: Pixels) -> float:
    return float(np.linalg.norm(fingerprint(a) - fingerprint(b)))


def test_a_fingerprint_is_a_short_vector_of_floats() -> None:
    found = fingerprint(part())
    assert found.shape == (LENGTH,)
    assert found.dtype == np.float32
    assert 0.5 < np.linalg.norm(found) < 1


def test_equal_pixels_have_equal_fingerprints() -> None:
    assert np.array_equal(fingerprint(part()), fingerprint(part().copy()))


COPIES: dict[str, Callable[[Pixels], Any]] = {
    "saved as JPEG": lambda rgb: jpeg(rgb, 80),
    "brighter": lambda rgb: np.clip(rgb * 1.05, 0, 255).astype(np.uint8),
    "darker": lambda rgb: (rgb * 0.95).astype(np.uint8),
    "halved": lambda rgb: cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "enlarged": lambda rgb: cv2.resize(rgb, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
}


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_stays_close(change: str) -> None:
    assert apart(part(), COPIES[change](part())) < 0.03


def test_another_part_of_the_same_kind_is_far() -> None:
    assert apart(part(0), part(1)) > 0.3


def test_a_mirrored_picture_is_another_picture() -> None:
    assert apart(part(), np.ascontiguousarray(part()[:, ::-1])) > 0.3


@pytest.mark.parametrize("grey", [0, 77, 255])
def test_an_even_picture_has_no_fingerprint(grey: int) -> None:
    even = np.full((40, 50, 3), grey, np.uint8)
    assert np.linalg.norm(fingerprint(even)) < 1e-3


def test_sensor_noise_does_not_distinguish_two_empty_shots() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(128, 2, (300, 300, 3)).clip(0, 255).astype(np.uint8) for _ in range(2))
    assert apart(a, b) < 0.05


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (64, 64), (600, 20)])
def test_any_size_and_shape_has_a_fingerprint(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert np.isfinite(fingerprint(picture)).all()
