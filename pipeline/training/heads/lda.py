"""Linear discriminant analysis with shrinkage, in closed form.

Friedman, Regularized Discriminant Analysis, JASA 84, 1989: the covariance within classes is drawn
towards a multiple of the identity; drawn all the way, the nearest class mean decides.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def discriminants(
    x: Tensor, targets: Tensor, shrinkage: Sequence[float], weights: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Weight float32 P,K and bias K for each shrinkage from 0 to 1, classes equally likely.

    Args:
        x: components float32 N,P.
        targets: float32 N,K; rows sum to 1.
        shrinkage: of the covariance within classes.
        weights: how much each row counts, float32 N, 1 on average.
    """
    x, targets = x.double(), targets.double() * weights.double()[:, None]
    counts = targets.sum(0)
    means = targets.T @ x / counts.clamp_min(1e-9)[:, None]
    # Of soft targets too: E[x x'] less what the class means explain.
    within = (x.T @ (x * weights.double()[:, None]) - (means * counts[:, None]).T @ means) / len(x)
    identity = torch.eye(x.shape[1], dtype=torch.float64)
    unit = (within.trace() / len(within)).clamp_min(1e-12)
    found = []
    for share in shrinkage:
        covariance = (1 - share) * within + max(share, 1e-6) * unit * identity
        weight = torch.linalg.solve(covariance, means.T)
        bias = -0.5 * (means.T * weight).sum(0)
        found.append((weight.float().contiguous(), bias.float()))
    return found
