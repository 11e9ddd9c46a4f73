"""Copy-paste: a defect arrives whole, lit like its new place, and visible, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.imaging import Pixels
from pipeline.training.augmentation.defects import defects_of, visibility
from pipeline.training.augmentation.pasting import Paste, paste
from tests.training.augmentation.conftest import disc, ground

STILL = Paste(images_per_class=1, max_per_image=1, min_scale=1, max_scale=1, max_deg=0, max_shift=0)


def pasted(
    background: Pixels,
    config: Paste = STILL,
    *,
    mask: Pixels | None = None,
    level: float = 150,
    depth: int = 60,
    seed: int = 0,
) -> tuple[Pixels, Pixels] | None:
    where = disc(30, 34, 5) if mask is None else mask
    donor = ground(1, level, channels=background.shape[2])
    donor = (donor - np.where(where, depth, 0)[:, :, None]).astype(np.uint8)
    return paste(donor, defects_of(where), background, config, np.random.default_rng(seed))


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "rgb"])
def test_the_defect_arrives_and_the_rest_stays_as_it_was(channels: int) -> None:
    background = ground(2, channels=channels)
    done = pasted(background)
    assert done is not None
    made, mask = done
    assert made.shape == background.shape
    assert made.dtype == mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, disc(30, 34, 5))
    assert made[mask > 0].mean() == pytest.approx(90, abs=3)
    far = disc(30, 34, 12) == 0
    np.testing.assert_array_equal(made[far], background[far])


def test_a_darker_place_gets_a_darker_defect_without_a_seam() -> None:
    done = pasted(ground(2, level=100, grain=0))
    assert done is not None
    made, mask = done
    assert made[mask > 0].mean() == pytest.approx(90 * 100 / 150, abs=3)
    seam = (disc(30, 34, 9) > 0) & (disc(30, 34, 7) == 0)
    assert made[seam].mean() == pytest.approx(100, abs=4)


def test_a_place_lit_quite_otherwise_gets_none() -> None:
    assert pasted(ground(2, level=40)) is None


def test_a_defect_that_would_not_be_seen_is_not_pasted() -> None:
    assert pasted(ground(2, grain=2)) is not None
    assert pasted(ground(2, grain=40)) is None
    assert pasted(ground(2), depth=0) is None


def test_what_is_pasted_can_be_seen() -> None:
    wild = Paste(images_per_class=1, max_per_image=4, max_shift=1, max_deg=180)
    mask = disc(12, 12, 3) | disc(30, 30, 4) | disc(50, 20, 5) | disc(20, 50, 4)
    numbers = set()
    for seed in range(12):
        done = pasted(ground(2), wild, mask=mask, seed=seed)
        assert done is not None
        there = defects_of(done[1])
        numbers.add(len(there))
        assert all(d.whole for d in there)
        assert all(visibility(done[0], d.area, done[1] > 0) > 5 for d in there)
    assert {1, 3} <= numbers
    assert max(numbers) <= 4


def test_sizes_and_shifts_stay_in_their_ranges() -> None:
    config = STILL.model_copy(update={"min_scale": 0.8, "max_scale": 1.5, "max_shift": 0.1})
    sizes, places = [], []
    for seed in range(40):
        done = pasted(ground(2), config, seed=seed)
        assert done is not None
        (defect,) = defects_of(done[1])
        sizes.append(defect.diameter_px)
        places.append(np.subtract(defect.centre, (30, 34)))
    original = defects_of(disc(30, 34, 5))[0].diameter_px
    assert 0.75 * original < min(sizes) < 0.95 * original
    assert 1.3 * original < max(sizes) < 1.55 * original
    assert 4 < np.abs(places).max() <= 7


def test_the_same_choice_pastes_the_same() -> None:
    wild = Paste(images_per_class=1, max_shift=0.3)
    first, second = (pasted(ground(2), wild, seed=5) for _ in range(2))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first[0], second[0])
    other = pasted(ground(2), wild, seed=6)
    assert other is not None
    assert (other[0] != first[0]).any()
