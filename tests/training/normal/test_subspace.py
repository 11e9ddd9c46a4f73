"""The subspace of good parts: what lies along it, and what lies outside."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.normal.subspace import Subspace
from tests.training.normal.conftest import noise


def plane(n: int, seed: int = 0) -> np.ndarray:
    """Points of a plane in 30 dimensions, with little noise; float32."""
    axes = noise(2, (30,), seed=9)
    found: np.ndarray = 5 * noise(n, (2,), seed) @ axes + 0.1 * noise(n, (30,), seed + 1)
    return found.astype(np.float32)


def test_points_off_the_plane_are_farther_than_points_on_it() -> None:
    space = Subspace.of(plane(200), 2)
    on, off = plane(50, seed=5), plane(50, seed=5) + 3 * noise(50, (30,), seed=7)
    assert space.distances(off).min() > space.distances(on).max()


def test_good_parts_are_at_a_distance_of_about_one() -> None:
    space = Subspace.of(noise(2000, (30,)), 10)
    assert space.distances(noise(500, (30,), seed=3)).mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("n", [20, 200])
def test_few_parts_and_many_give_orthonormal_directions(n: int) -> None:
    space = Subspace.of(plane(n), 5)
    np.testing.assert_allclose(space.directions.T @ space.directions, np.eye(5), atol=1e-4)


def test_a_space_cut_to_fewer_components_is_the_one_fitted_with_fewer() -> None:
    points, asked = plane(100), plane(10, seed=4)
    cut, fitted = Subspace.of(points, 12).cut(3), Subspace.of(points, 3)
    np.testing.assert_allclose(cut.distances(asked), fitted.distances(asked), rtol=1e-3)


def test_no_more_components_than_the_parts_allow() -> None:
    space = Subspace.of(noise(6, (30,)), 64)
    assert space.directions.shape == (30, 4)
    assert np.isfinite(space.distances(noise(3, (30,), seed=1))).all()


def test_the_rounding_of_a_feature_that_never_varies_does_not_count() -> None:
    points, asked = plane(100), plane(20, seed=4)
    dead = [np.pad(x, ((0, 0), (0, 1)), constant_values=7.0) for x in (points, asked)]
    dead[1][:, -1] += 1e-4
    without, found = Subspace.of(points, 3).distances(asked), Subspace.of(dead[0], 3)
    np.testing.assert_allclose(found.distances(dead[1]), without, rtol=0.05)
