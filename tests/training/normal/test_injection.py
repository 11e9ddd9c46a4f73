"""Injected defects: seen, small, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.normal.injection import inject
from pipeline.training.training_data import TrainingData

pytestmark = pytest.mark.slow


def test_a_defect_changes_a_small_area_that_can_be_seen(alone: TrainingData) -> None:
    image, other = alone.images[0], alone.images[1]
    for seed in range(30):
        made = inject(image, other, np.random.default_rng(seed))
        assert made is not None
        assert made.shape == image.shape
        assert made.dtype == np.uint8
        change = np.abs(made.astype(int) - image).max(2)
        assert 0 < (change > 0).mean() < 0.3
        assert change.max() >= 6


def test_the_same_seed_gives_the_same_defect(alone: TrainingData) -> None:
    image, other = alone.images[0], alone.images[1]
    twice = [inject(image, other, np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(twice[0], twice[1])


def test_the_part_itself_is_left_as_it_was(alone: TrainingData) -> None:
    image = alone.images[0]
    before = image.copy()
    inject(image, alone.images[1], np.random.default_rng(0))
    np.testing.assert_array_equal(image, before)
