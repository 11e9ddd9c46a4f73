"""Dust: small, soft specks of the tone asked for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.imaging import Pixels
from pipeline.training.augmentation import Augmenter, Policy


def dusty(channels: int = 1, level: int = 100, **settings: object) -> list[Pixels]:
    augmenter = Augmenter.of(Policy.model_validate({"dust": settings}), full=True)
    plain = np.full((96, 96, channels), level, np.uint8)
    return [augmenter(plain, seed=0, sample_id="a", view=v) for v in range(12)]


@pytest.mark.parametrize(("tone", "darker", "brighter"), [
    ("dark", True, False), ("bright", False, True), ("both", True, True),
])  # fmt: skip
def test_dust_is_of_the_tone_asked_for(tone: str, darker: bool, brighter: bool) -> None:
    made = np.stack(dusty(tone=tone))
    assert (bool((made < 100).any()), bool((made > 100).any())) == (darker, brighter)


def test_specks_are_no_larger_and_no_more_than_allowed() -> None:
    sizes = []
    for made in dusty(max_specks=3, max_px=8):
        # Half of the weakest opacity: the edge is where half of the light still comes through.
        n, _, stats, _ = cv2.connectedComponentsWithStats((made[:, :, 0] < 92).astype(np.uint8))
        assert n - 1 <= 3
        sizes += [int(max(s[2], s[3])) for s in stats[1:] if s[0] > 0 and s[1] > 0]
    assert 5 <= max(sizes) <= 9


def test_something_of_the_part_shows_through_a_speck() -> None:
    assert min(int(m.min()) for m in dusty(max_px=12)) >= 100 * 0.3 - 1


def test_dust_is_grey_on_a_colour_image() -> None:
    for made in dusty(channels=3, tone="both"):
        assert (made == made[:, :, :1]).all()
