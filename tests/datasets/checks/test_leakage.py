"""What copying the nearest known label scores, with and without a leak."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.datasets.checks.leakage import measure_leakage, nearest_label_accuracy

RNG = np.random.default_rng(0)
N = 60
LOOKS = RNG.normal(0, 1, (N, 8)).astype(np.float32)
LABELS = ["good", "bad"] * (N // 2)


def test_the_nearest_image_outside_test_gives_the_label() -> None:
    looks = np.array([[0.0], [10.0], [1.0], [9.0]], np.float32)
    sides = ["train", "val", "test", "test"]
    assert nearest_label_accuracy(looks, ["a", "b", "a", "b"], sides) == 1
    assert nearest_label_accuracy(looks, ["a", "b", "b", "b"], sides) == 0.5


def test_copies_across_a_split_make_look_up_perfect_until_it_is_split_by_group() -> None:
    looks = np.vstack([LOOKS, LOOKS])
    groups = [f"part-{i}" for i in range(N)] * 2
    told = measure_leakage(looks, LABELS * 2, groups, ["train"] * N + ["test"] * N)
    assert told is not None
    assert (told["given"], told["known"]) == (1, 1)
    assert told["regrouped"] == pytest.approx(0.5, abs=0.2)


def test_without_a_given_test_side_there_is_nothing_to_report() -> None:
    assert measure_leakage(LOOKS, LABELS, LABELS, [""] * N) is None
    assert measure_leakage(LOOKS, LABELS, LABELS, ["train"] * N) is None


def test_groups_too_few_to_split_again_leave_the_given_figure_alone() -> None:
    told = measure_leakage(LOOKS, LABELS, ["one", "two"] * (N // 2), ["train", "test"] * (N // 2))
    assert told is not None
    assert told["regrouped"] is None
