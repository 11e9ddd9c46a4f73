"""Survival: a policy that would erase defects is named, with how many and what to change."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.datasets.shards import Shards
from pipeline.training.augmentation import Policy, survival
from tests.training.augmentation.conftest import SIDE, Store, disc, ground

PLACES = [(16, 16), (46, 16), (16, 46), (46, 46), (31, 31)]


def pits(store: Store, radius: float, *, grain: float = 3, depth: int = 60) -> Shards:
    """Ten parts with one pit each, and two good ones."""
    masks = [disc(*PLACES[i % 5], radius) for i in range(10)]
    masks += [np.zeros((SIDE, SIDE), np.uint8)] * 2
    grounds = [ground(i, grain=grain) for i in range(12)]
    return store(["pit"] * 10 + ["good"] * 2, masks, grounds, depth)


def judge(stored: Shards, policy: dict[str, object]) -> tuple[survival.Survival, list[str]]:
    words = Policy.model_validate(policy)
    found = survival.measure(stored, np.arange(len(stored)), words)
    assert found is not None
    return found, survival.warnings(words, found)


def test_small_defects_and_a_long_streak_give_a_warning_with_the_share(store: Store) -> None:
    found, said = judge(pits(store, 1.5), {"vibration": {"max_px": 15}})
    assert found.n_defects == found.judged == 10
    assert found.small_px == pytest.approx(3.4, abs=0.1)
    assert "vibration of 15 px blurs away defects of that size, and 100% of 10" in said[0]
    assert "lower vibration.max_px" in said[0]


def test_a_faint_small_defect_is_measured_as_lost_in_blur(store: Store) -> None:
    found, said = judge(pits(store, 1.5, grain=1, depth=15), {"vibration": {"max_px": 31}})
    assert found.lost["vibration"] >= 8
    assert any("vibration at full strength hides" in line for line in said)


def test_large_defects_survive_what_small_ones_do_not(store: Store) -> None:
    found, said = judge(pits(store, 9), {"vibration": {"max_px": 5}, "jpeg": {"min_quality": 60}})
    assert found.lost == {"vibration": 0, "jpeg": 0, survival.ALL: 0}
    assert said == []


def test_noise_that_buries_defects_names_the_deviation(store: Store) -> None:
    found, said = judge(pits(store, 4), {"sensor_noise": {"deviation": 0.3}})
    assert found.lost["sensor_noise"] == 10
    assert "sensor_noise at full strength hides 10 of 10 defects measured (100%)" in said[0]
    assert "lower sensor_noise.deviation" in said[0]


def test_dust_as_large_as_defects_is_named(store: Store) -> None:
    _, said = judge(pits(store, 2), {"dust": {"max_px": 6, "max_specks": 1}})
    assert "dust of 6 px hides, or looks like, defects of that size" in said[0]


def test_dust_smaller_than_every_defect_is_not(store: Store) -> None:
    assert judge(pits(store, 6), {"dust": {"max_px": 3, "max_specks": 1}})[1] == []


def test_a_shift_that_moves_defects_out_of_the_image_is_measured(store: Store) -> None:
    masks = [disc(60, y, 2) for y in (10, 20, 30, 40, 50)]
    found, said = judge(store(["pit"] * 5, masks), {"shift": {"max_fraction": 0.3}})
    assert found.lost["shift"] == 5
    assert "lower shift.max_fraction" in said[0]


def test_a_flip_alone_hides_nothing(store: Store) -> None:
    found, said = judge(pits(store, 2), {"flip": {"horizontal": True, "vertical": True}})
    assert found.lost == {survival.ALL: 0}
    assert said == []


def test_what_nobody_sees_before_is_not_judged(store: Store) -> None:
    stored = pits(store, 4, grain=90)
    found, said = judge(stored, {"sensor_noise": {"deviation": 0.3}})
    assert (found.n_defects, found.judged) == (10, 0)
    assert said == []


def test_an_effect_that_never_happens_gives_no_warning(store: Store) -> None:
    policy: dict[str, object] = {
        "vibration": {"max_px": 31, "probability": 0},
        "dust": {"max_px": 60, "probability": 0},
    }
    assert judge(pits(store, 1.5), policy)[1] == []


def test_of_many_defects_some_are_measured_and_all_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survival, "AT_MOST", 4)
    found, _ = judge(pits(store, 4), {"jpeg": {}})
    assert (found.n_defects, found.judged, len(found.diameters_px)) == (10, 4, 10)


@pytest.mark.parametrize("masked", [True, False], ids=["sound masks", "no masks"])
def test_without_defects_in_masks_the_smallest_detail_is_stated(store: Store, masked: bool) -> None:
    masks = [np.zeros((SIDE, SIDE), np.uint8)] * 2 if masked else None
    stored = store(["good", "good"], masks)
    policy = Policy.model_validate({"vibration": {"max_px": 9}, "dust": {"max_px": 3}})
    found = survival.measure(stored, np.arange(2), policy)
    assert found is None
    assert survival.warnings(policy, found) == []
    said = survival.statement(policy, found)
    assert said.startswith("vibration and dust up to 9 px may hide defects smaller than that")
    assert "nothing in the policy" in survival.statement(Policy(), None)
