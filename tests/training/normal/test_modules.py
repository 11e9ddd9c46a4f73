"""The torch modules of the graph, on small tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.training.normal.modules import (
    Memory,
    PooledDistance,
    levels,
    patches,
    places_counted,
    worst_places,
)
from pipeline.training.normal.subspace import Subspace
from tests.training.normal.conftest import noise


@pytest.mark.parametrize(
    ("sizes", "pairs"),
    [
        ([56, 28, 14, 14, 7, 7], [(1, 3), (3, 5)]),
        ([12, 6], [(0, 1)]),
        ([8], [(0, 0)]),
        ([32, 16, 8], [(0, 1), (1, 2)]),
    ],
)
def test_pairs_of_levels_are_the_coarsest_the_last_map_of_each_size(
    sizes: list[int], pairs: list[tuple[int, int]]
) -> None:
    assert levels(sizes) == pairs


def test_patches_lie_on_the_finer_grid_and_hold_the_channels_of_both_levels() -> None:
    maps = [torch.rand(2, 3, 8, 8), torch.rand(2, 5, 4, 4)]
    assert patches(maps, (0, 1)).shape == (2, 8, 8, 8)
    assert patches(maps, (0, 0)).shape == (2, 3, 8, 8)


def test_the_border_is_damped_by_zeros_around_the_map() -> None:
    flat = patches([torch.ones(1, 2, 6, 6)], (0, 0))
    assert flat[0, 0, 3, 3] == 1
    assert flat[0, 0, 0, 0] == pytest.approx(4 / 9)


def test_the_memory_gives_the_distance_to_the_nearest_patch_it_holds() -> None:
    kept, grid = torch.from_numpy(noise(7, (4,))), torch.from_numpy(noise(2, (4, 3, 5), seed=1))
    memory = Memory(torch.eye(4), torch.zeros(4), kept, floor=0.0)
    flat = grid.permute(0, 2, 3, 1).reshape(-1, 4)
    expected = torch.cdist(flat, kept).amin(1).reshape(2, 3, 5)
    torch.testing.assert_close(memory(grid), expected, atol=1e-4, rtol=1e-4)


def test_pooled_distances_are_those_of_the_subspace() -> None:
    space, asked = Subspace.of(noise(80, (20,)), 6), noise(9, (20,), seed=2)
    module = PooledDistance(
        torch.from_numpy(space.mean),
        torch.from_numpy(space.scale),
        torch.from_numpy(space.directions),
        torch.from_numpy(space.variance.astype(np.float32)),
        space.outside,
    )
    distances, embedding = module(torch.from_numpy(asked))
    np.testing.assert_allclose(distances.numpy(), space.distances(asked), rtol=1e-4)
    assert embedding.shape == (9, 6)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 9.0), (0.2, 8.5), (1.0, 4.5)], ids=["one", "some", "all"]
)
def test_the_score_of_a_picture_is_the_mean_of_its_farthest_places(
    share: float, expected: float
) -> None:
    places = torch.arange(10.0).reshape(1, 2, 5)
    assert worst_places(places, share).item() == pytest.approx(expected)
    assert places_counted(10, 0.0) == 1
