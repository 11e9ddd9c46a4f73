"""A greedy coreset: few points such that none of the others is far from all of them.

The farthest-point rule of Gonzalez (Theoretical Computer Science 38, 1985), which is within twice
the best possible radius; PatchCore thins its memory by it (Roth et al., CVPR 2022).
"""

from __future__ import annotations

import numpy as np

from pipeline.training import Floats


def greedy(points: Floats, n: int, seed: int) -> tuple[Floats, list[float]]:
    """Choose points one after the other, each the farthest from those before.

    Args:
        points: float32 N,D; N at least 1.
        n: how many, at most N.
        seed: of the first one.

    Returns:
        The chosen points, float32 min(n, N),D, and after each of them the radius: the largest
        distance of a point to the nearest chosen one.
    """
    squares = np.einsum("nd,nd->n", points, points)
    nearest = np.full(len(points), np.inf, np.float32)
    farthest = int(np.random.default_rng(seed).integers(len(points)))
    chosen, radii = [], []
    for _ in range(min(n, len(points))):
        chosen.append(farthest)
        distance = points @ (-2 * points[farthest])
        distance += squares
        distance += squares[farthest]
        np.minimum(nearest, distance, out=nearest)
        nearest[farthest] = 0.0  # rounding would choose it again
        farthest = int(nearest.argmax())
        radii.append(float(np.sqrt(max(nearest[farthest], 0.0))))
    found: Floats = points[chosen]
    return found, radii
