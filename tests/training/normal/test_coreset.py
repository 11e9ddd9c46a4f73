"""The greedy coreset covers what it is chosen from."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.normal.coreset import greedy
from tests.training.normal.conftest import noise


def test_each_point_is_the_farthest_from_those_before() -> None:
    points = np.array([[0.0], [1.0], [10.0], [4.0]], np.float32)
    chosen, radii = greedy(points, 4, seed=0)
    left = points[:, 0].tolist()
    for i, point in enumerate(chosen[1:, 0].tolist(), start=1):
        gaps = {p: min(abs(p - c) for c in chosen[:i, 0].tolist()) for p in left}
        assert gaps[point] == max(gaps.values())
    assert radii == sorted(radii, reverse=True)


def test_the_last_radius_is_the_largest_distance_to_a_chosen_point() -> None:
    points = noise(300, (8,))
    chosen, radii = greedy(points, 40, seed=0)
    distances = np.sqrt(((points[:, None] - chosen) ** 2).sum(2)).min(1)
    assert distances.max() == pytest.approx(radii[-1], abs=1e-3)


def test_it_covers_better_than_points_at_random() -> None:
    points = np.concatenate([noise(1000, (4,)), 20 + noise(5, (4,))])
    _, radii = greedy(points, 30, seed=0)
    drawn = points[np.random.default_rng(0).permutation(len(points))[:30]]
    at_random = np.sqrt(((points[:, None] - drawn) ** 2).sum(2)).min(1).max()
    assert radii[-1] < at_random / 2


def test_no_more_points_are_chosen_than_there_are() -> None:
    points = noise(5, (3,))
    chosen, radii = greedy(points, 50, seed=0)
    assert len(chosen) == len(radii) == 5
    assert {tuple(row) for row in chosen.tolist()} == {tuple(row) for row in points.tolist()}
    assert radii[-1] == 0
